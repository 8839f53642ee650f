"""A soak plays a chain of windows on one cluster, judges each while the next is played, and keeps
its own cost bounded (docs/soak.md).
"""
