"""What was sent is remembered, so that reports of it are known among the lines that a node says: by
the ids of operations that stand in them.
"""

from __future__ import annotations

from harness.scenario.schedule import IDENTIFIER

KNOWN_MAX = 1 << 18  # operations, or keys, that are remembered
STREAM_BYTES = IDENTIFIER.itemsize - IDENTIFIER["sequence"].itemsize  # of ids of one stream


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
            if len(known) > KNOWN_MAX:
                del known[next(iter(known))]

    def __contains__(self, id_: object) -> bool:
        """Whether an id is known."""
        return isinstance(id_, bytes) and (
            id_ in self._kinds or id_[:STREAM_BYTES] in self._streams
        )

    def kind(self, id_: bytes) -> int:
        """Return the kind of reports of an id that is known."""
        return self._kinds.get(id_) or self._streams[id_[:STREAM_BYTES]]
