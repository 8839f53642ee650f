"""What a packet or a stream meets between two nodes, seen from inside their own namespaces; the
system under test never sees it.

Both ends are in this process and on one clock, so what is measured is one-way.
"""
