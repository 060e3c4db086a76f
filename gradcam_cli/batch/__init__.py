"""Many files, one bounded stream."""
