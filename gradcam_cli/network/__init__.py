"""A Keras network is called, tapped and read, while it is traced."""
