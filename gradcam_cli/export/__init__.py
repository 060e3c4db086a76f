"""A run's records become a file that other programs read."""
