"""A small real peer-to-peer node. PROTOCOL.md says what it speaks."""

__version__ = "0.1.0"
