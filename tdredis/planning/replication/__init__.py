"""Active/standby and standalone Redis: the picture drawn of it, the rules in their order, and its status. PURE."""
