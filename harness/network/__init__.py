"""The wires between nodes, and what makes them bad."""
