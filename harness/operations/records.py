"""The kinds of journal records: what a node may have seen of an operation.

PROTOCOL.md of meshnode, section 4, defines them. The numbers stand in journals: they never change.
"""

from __future__ import annotations

from enum import IntEnum


class RecordKind(IntEnum):
    """What one record of a node's journal says."""

    SENT = 1
    DELIVERED = 2
    STARTED = 3
    RECEIVED = 4
    DUPLICATE = 5
    FORWARDED = 6
    STORED = 7
    ANSWERED = 8
    DROPPED = 9
    RELAYED = 10
    FILE_DELIVERED = 11
    # The following are of systems that a gateway drives.
    NOTIFIED = 12
    MEMBER_JOINED = 13
    MEMBER_FAILED = 14
    # The following are of every system again.
    FILE_HASHED = 15  # at both ends; `peer` is the beginning of the hash of all chunks' hashes
    CONNECTED = 16  # a connection from another node was authenticated here
    # The link with a neighbour of the topology: it stands, as it may have when the journal began;
    # it is gone.
    LINK_UP = 17
    LINK_DOWN = 18


# What the ledger counted before a run's metadata said which records its system keeps.
FORMERLY_COUNTED = frozenset({RecordKind.DELIVERED, RecordKind.RECEIVED, RecordKind.NOTIFIED})
