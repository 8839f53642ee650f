"""Transports are the ways in which a driver speaks to a node inside its network namespace.

They are HTTP, lines, programs and helpers; logs.py follows a node's log.
"""
