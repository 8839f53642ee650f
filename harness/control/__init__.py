"""Control is how others reach a supervisor: start it, ask it, stop it, clean up after it."""
