"""Moving slots between the primaries of a Redis Cluster while clients write: what takes longer than a pass."""
