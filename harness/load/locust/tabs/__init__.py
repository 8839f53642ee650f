"""Tabs of our own on the pages of Locust's web UI, and the banner above all of them.

Locust's bundle draws tables only, so a script that is injected into its page draws each tab from
our own JSON routes, all below ``/p2p/``. One module is one tab; `blocks` are what they are made of.
"""

from __future__ import annotations

from harness.load.locust.tabs.desk import Desk
from harness.load.locust.tabs.routes import add

__all__ = ["Desk", "add"]
