"""Model files that try something: objects that read, write or run, and every place for one."""
