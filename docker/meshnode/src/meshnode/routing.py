"""The routing table: destination → next hops, learned on demand and kept, apart from the k-buckets.
Sans-IO.

An entry has few candidates, the best first: fewest links, then newest. What a request or reply
taught with a newer stamp replaces what was known before, as in AODV (RFC 3561 §6.2), so that routes
do not loop on old news.
"""

import random
from collections.abc import Callable, Iterable
from typing import NamedTuple

MAX_CANDIDATES = 3
MAX_ENTRIES = 2_000_000


class Candidate(NamedTuple):
    """One way to a destination; it sorts by what is better."""

    hops: int  # links to the destination, this next one among them
    next_hop: bytes
    stamp_ns: int  # wall clock of the message that taught it


class Routes:
    """One node's table. At most `max_entries`; the oldest entry goes first."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self.entries: dict[bytes, tuple[Candidate, ...]] = {}
        self._max_entries = max_entries

    def learn(self, destination: bytes, next_hop: bytes, hops: int, stamp_ns: int) -> None:
        """Know that `destination` is `hops` links away by `next_hop`, from a message stamped
        `stamp_ns` by that destination.
        """
        known = self.entries.get(destination, ())
        if known and stamp_ns < known[0].stamp_ns:
            return
        made = Candidate(hops, next_hop, stamp_ns)
        if not known or stamp_ns > known[0].stamp_ns:
            if not known and len(self.entries) >= self._max_entries:
                del self.entries[next(iter(self.entries))]
            self.entries[destination] = (made,)
        else:
            others = [one for one in known if one.next_hop != next_hop]
            self.entries[destination] = tuple(sorted([made, *others])[:MAX_CANDIDATES])

    def find(self, destination: bytes, is_up: Callable[[bytes], object]) -> bytes | None:
        """The next hop of the best candidate whose link is up; None where there is none."""
        known = self.entries.get(destination)
        return None if known is None else select(known, is_up)

    def forget(self, destination: bytes, next_hop: bytes) -> None:
        """That way is no way any more."""
        left = tuple(one for one in self.entries.get(destination, ()) if one.next_hop != next_hop)
        if left:
            self.entries[destination] = left
        else:
            self.entries.pop(destination, None)

    def fill(self, count: int, next_hops: Iterable[bytes], seed: int = 1) -> None:
        """Add `count` destinations that nobody is, so that the table has the size of a large
        network's.
        """
        chance = random.Random(seed)
        ways = [Candidate(hops, next_hop, 0) for hops in range(2, 8) for next_hop in next_hops]
        for _ in range(count if ways else 0):
            self.entries[chance.randbytes(32)] = (ways[chance.randrange(len(ways))],)


def select(candidates: Iterable[Candidate], is_up: Callable[[bytes], object]) -> bytes | None:
    """The first next hop, best first, whose link is up."""
    for _, next_hop, _ in candidates:
        if is_up(next_hop) is not None:
            return next_hop
    return None
