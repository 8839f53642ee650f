"""A scenario: load in phases, a timeline of faults, a budget; and the files they are read from."""
