"""What this machine and user can do, found by trying; whether a cluster fits."""
