"""Carries out a plan: one effect a step, preconditions checked again, stops at a barrier or a failure."""
