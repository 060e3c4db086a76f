"""A model file becomes a Keras network, whatever saved it."""
