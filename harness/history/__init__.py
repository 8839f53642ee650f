"""History is what happened in a run, as columns: its folder written, and read back."""
