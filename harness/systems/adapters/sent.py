"""What was sent is remembered, so that reports of it are known among the lines that a node says: by
the ids of operations that stand in them.
"""

from __future__ import annotations

import re

from harness.scenario.schedule import IDENTIFIER

ID_CHARACTERS = 32
KINDS_MAX = 1 << 18  # operations whose kind is remembered
STREAM_BYTES = IDENTIFIER.itemsize - IDENTIFIER["sequence"].itemsize  # of ids of one stream
HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")


class Sent:
    """What was sent, as far as reports of it are to be known: which ids, and the kind of each one's
    reports. An id that was not sent yet, or that is forgotten, is known by its beginning: it is
    that of a stream of the load, whose others were.
    """

    def __init__(self) -> None:
        self._kinds: dict[bytes, int] = {}
        self._streams: dict[bytes, int] = {}

    def remember(self, id_: bytes, kind: int) -> None:
        """Remember an operation that is about to be sent."""
        self._kinds[id_] = self._streams[id_[:STREAM_BYTES]] = kind
        for known in (self._kinds, self._streams):
            if len(known) > KINDS_MAX:
                del known[next(iter(known))]

    def kind(self, id_: bytes) -> int:
        """Return the kind of reports of an id that `ids` found."""
        return self._kinds.get(id_) or self._streams[id_[:STREAM_BYTES]]

    def ids(self, line: str) -> set[bytes]:
        """Return the ids of a line that are known.

        What stands right before one may be hexadecimal too (``received`` ends so), and so may be
        what follows it, the rest of its payload: after the first of them others are sought side by
        side.
        """
        found = set()
        for digits in HEXADECIMAL.findall(line):
            at, step = 0, 1
            while at + ID_CHARACTERS <= len(digits):
                id_ = bytes.fromhex(digits[at : at + ID_CHARACTERS])
                if id_ in self._kinds or id_[:STREAM_BYTES] in self._streams:
                    found.add(id_)
                    step = ID_CHARACTERS
                at += step
        return found
