"""Active/standby and standalone Redis: the world drawn of it, the rules in their order, and its status. PURE."""
