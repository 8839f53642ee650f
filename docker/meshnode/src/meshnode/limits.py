"""How much one peer may send: a token bucket of frames."""


class Bucket:
    """`rate_per_s` tokens a second, at most a second's worth kept."""

    __slots__ = ("_at_ns", "_rate_per_s", "_tokens")

    def __init__(self, rate_per_s: int, now_ns: int) -> None:
        self._rate_per_s = rate_per_s
        self._tokens = float(rate_per_s)
        self._at_ns = now_ns

    def take(self, now_ns: int) -> bool:
        """Take a token; False where there is none."""
        self._tokens = min(
            self._rate_per_s, self._tokens + (now_ns - self._at_ns) / 1e9 * self._rate_per_s
        )
        self._at_ns = now_ns
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
