"""Queue, clock, metrics and logs of the running operator."""
