"""Redis I/O: one connection to every Redis process, commands with deadlines, and the news that a connection was lost."""
