"""What is asked for: frozen values with defaults, ranges, parsers, help and one digest."""
