"""Kept for locustfiles that an earlier `harness init` copied; the users live in
harness/load/locust/users.py.
"""

from __future__ import annotations

from harness.load.locust.users import USERS, StreamUser

__all__ = ["USERS", "StreamUser"]
globals().update(USERS)
