"""Which nodes there are, who is linked with whom, what a path between them is like. Values."""
