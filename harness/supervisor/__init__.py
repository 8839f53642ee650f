"""The supervisor owns one cluster, and one run while it is played and recorded.

Nothing is imported here: __main__ needs a process of one thread.
"""
