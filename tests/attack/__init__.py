"""A long campaign of damaged pictures and crafted model files: ``python -m tests.attack``."""
