"""A run's records become a contact sheet."""
