"""An answer becomes the bytes of files."""
