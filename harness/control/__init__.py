"""How everyone else reaches a supervisor: start it, ask it, stop it, clean up after it."""
