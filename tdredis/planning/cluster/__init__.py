"""Redis Cluster: the world drawn of it, the rules in their order, and its status. PURE."""
