"""Sources become outcomes: read ahead, explained in blocks, written behind."""
