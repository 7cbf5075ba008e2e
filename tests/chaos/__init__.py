"""Redis under faults: a client that writes without pause and keeps a ledger, and what must come of it."""
