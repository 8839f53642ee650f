"""Nodes as bare processes in network namespaces."""
