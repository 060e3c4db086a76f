"""Arrays to arrays: activations and gradients become maps. Knows no model and no file."""
