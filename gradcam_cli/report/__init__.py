"""A run becomes one page that people can look through."""
