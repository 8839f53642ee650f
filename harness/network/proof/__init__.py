"""Proof shows what packets and streams meet between two nodes.

It looks from inside the nodes' own namespaces; the system under test never sees it. Both ends are
in this process and on one clock, so what is measured is one-way.
"""
