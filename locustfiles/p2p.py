"""`locust` at the root of the repository runs this: the traffic streams of a peer-to-peer cluster,
one class each.
"""

from __future__ import annotations

from harness.load.locust import plugin
from harness.load.locust.users import (
    BroadcastUser,
    ConnectUser,
    DhtGetUser,
    DhtListenUser,
    DhtLookupUser,
    DhtPutUser,
    FileTransferUser,
    PrivateMessageUser,
)

__all__ = [
    "BroadcastUser",
    "ConnectUser",
    "DhtGetUser",
    "DhtListenUser",
    "DhtLookupUser",
    "DhtPutUser",
    "FileTransferUser",
    "PrivateMessageUser",
]

plugin.install()
