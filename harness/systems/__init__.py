"""Which program is under test, and how to speak to a node of it."""
