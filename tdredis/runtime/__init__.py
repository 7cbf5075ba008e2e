"""Queue, metrics, pages and logs of the running operator."""
