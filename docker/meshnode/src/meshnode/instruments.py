"""What a node records about itself: journal, histograms, counters."""

import logging
import time

from meshnode.histogram import Histograms
from meshnode.journal import Journal, Kind
from meshnode.wire import Drop

log = logging.getLogger("meshnode")

COUNTERS = (
    *(drop.value for drop in Drop),
    "messages_in",
    "messages_out",
    "messages_relayed",
    "route_requests_in",
    "route_requests_late",
    "route_requests_out",
    "file_chunks_in",
    "broadcasts_in",
    "broadcasts_forwarded",
    "broadcasts_duplicate",
    "links_refused",
    "journal_errors",
    "callback_errors",
)
_OUTCOME_OF = {drop: number for number, drop in enumerate(Drop, 1)}
_NO_ID = bytes(16)


class Instruments:
    """One node's records since `begin`."""

    def __init__(self, node_id: bytes) -> None:
        self.journal = Journal(node_id)
        self.histograms = Histograms()
        self.counters = dict.fromkeys(COUNTERS, 0)

    def begin(self, descriptor: int, *, early: bool) -> bool:
        """A new journal, as `Journal.begin` says; histograms and counters from zero. Raises
        OSError.
        """
        is_whole = self.journal.begin(descriptor, early=early)
        self.histograms.reset()
        self.counters.update(dict.fromkeys(COUNTERS, 0))
        return is_whole

    def met(self, kind: Kind, peer_id: bytes) -> None:
        """Journal what became of a connection with another node."""
        self.journal.add(kind, _NO_ID, time.monotonic_ns(), peer=peer_id)

    def dropped(
        self, reason: Drop, now_ns: int, *, size: int, peer: bytes = b"", message_id: bytes = _NO_ID
    ) -> None:
        """Count a frame or datagram that was not acted on, and journal it."""
        self.counters[reason.value] += 1
        self.journal.add(
            Kind.DROPPED, message_id, now_ns, peer=peer, size=size, outcome=_OUTCOME_OF[reason]
        )

    def flush(self) -> None:
        """Write the journal. A full disk costs records, never the node: it is counted and logged
        once in a while.
        """
        try:
            self.journal.flush()
        except OSError as error:
            self.counters["journal_errors"] += 1
            if (
                self.counters["journal_errors"] & (self.counters["journal_errors"] - 1) == 0
            ):  # the 1st, 2nd, 4th, 8th …
                log.error("journal: %s (%d times)", error.strerror, self.counters["journal_errors"])
