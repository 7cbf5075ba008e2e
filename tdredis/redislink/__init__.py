"""Redis I/O: one connection to every Redis process, commands with deadlines, news of a lost connection."""
