"""Faults are what can go wrong, as values: what, on whom, folded into one state."""
