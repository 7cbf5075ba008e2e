"""Snapshot to plan: the rules, guards and report of the operator. PURE."""
