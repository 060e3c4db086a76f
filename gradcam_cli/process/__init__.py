"""The program as a process: its standard streams, the signals it heeds, and how it ends."""
