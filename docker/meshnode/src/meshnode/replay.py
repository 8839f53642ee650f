"""Remembering what was seen, bounded in number: two generations of a set, the older one forgotten
whole.
"""

MAX_SEEN = 131_072
GENERATION_NS = 60 * 10**9  # the whole window of timestamps that are accepted, past and future


class ReplayCache:
    """Keys seen during at least the last `generation_ns`, at most `max_seen` of them.

    Beyond `max_seen` / 2 keys in one generation the oldest are forgotten early: memory is bounded
    before anything else.
    """

    def __init__(self, *, max_seen: int = MAX_SEEN, generation_ns: int = GENERATION_NS) -> None:
        self._max_generation = max(1, max_seen // 2)
        self._generation_ns = generation_ns
        self._young: set[bytes] = set()
        self._old: set[bytes] = set()
        self._since_ns = 0

    def __contains__(self, key: bytes) -> bool:
        return key in self._young or key in self._old

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def add(self, key: bytes, now_ns: int) -> None:
        """Remember `key`; `now_ns` is any clock that goes forward."""
        age_ns = now_ns - self._since_ns
        if age_ns > self._generation_ns or len(self._young) >= self._max_generation:
            self._old = self._young if age_ns <= 2 * self._generation_ns else set()
            self._young = set()
            self._since_ns = now_ns
        self._young.add(key)
