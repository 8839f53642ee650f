"""Who tells: pure functions from a judged run to text. One renderer a file."""
