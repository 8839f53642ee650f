"""Kept for locustfiles that an earlier `harness init` copied; it lives in
harness/load/locust/users.py.
"""

from __future__ import annotations

from harness.load.locust.users import (
    BroadcastUser,
    ConnectUser,
    DhtGetUser,
    DhtListenUser,
    DhtLookupUser,
    DhtPutUser,
    FileTransferUser,
    PrivateMessageUser,
    StreamUser,
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
    "StreamUser",
]
