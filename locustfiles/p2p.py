"""`locust` at the root of the repository runs this: the traffic streams of a peer-to-peer cluster,
one class each.
"""

from __future__ import annotations

from harness.load.locust import plugin
from harness.load.locust.users import USERS

globals().update(USERS)  # PrivateMessageUser, BroadcastUser, …: Locust takes them from here

plugin.install()
