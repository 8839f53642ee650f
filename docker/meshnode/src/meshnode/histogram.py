"""Log-linear histograms of nanoseconds: 128 sub-buckets an octave, so a bucket is at most 0.8 %
wide.
"""

from collections import defaultdict
from typing import Any

OPERATIONS = (
    "create",
    "verify",
    "route",
    "handshake",
    "dht_lookup",
    "dht_rpc",
    "broadcast_forward",
)


def bucket_index(value_ns: int) -> int:
    """The bucket of a value: itself below 256, else `b = bit_length − 8`, `(b << 7) + (value >>
    b)`.
    """
    if value_ns < 256:
        return max(value_ns, 0)
    shift = value_ns.bit_length() - 8
    return (shift << 7) + (value_ns >> shift)


class Histogram:
    """Counts of one operation's durations since it was made."""

    __slots__ = ("_buckets", "_count", "_max_ns", "_sum_ns")

    def __init__(self) -> None:
        self._buckets: defaultdict[int, int] = defaultdict(int)
        self._count = self._sum_ns = self._max_ns = 0

    def add(self, value_ns: int) -> None:
        """Count one duration."""
        self._buckets[bucket_index(value_ns)] += 1
        self._count += 1
        self._sum_ns += value_ns
        self._max_ns = max(self._max_ns, value_ns)

    def to_map(self) -> dict[str, Any]:
        """The form of PROTOCOL.md §2."""
        return {
            "unit": "ns",
            "count": self._count,
            "sum": self._sum_ns,
            "max": self._max_ns,
            "buckets": dict(self._buckets),
        }


class Histograms:
    """One histogram an operation."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start all from zero."""
        self._histograms = {operation: Histogram() for operation in OPERATIONS}

    def add(self, operation: str, value_ns: int) -> None:
        """Count one duration of `operation`."""
        self._histograms[operation].add(value_ns)

    def to_map(self) -> dict[str, Any]:
        """Every operation's histogram."""
        return {operation: histogram.to_map() for operation, histogram in self._histograms.items()}
