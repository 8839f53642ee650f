"""Values that this node keeps for others: bounded, each for a fixed time."""

from collections.abc import Iterator

VALUE_TTL_NS = 24 * 3600 * 10**9


class ValueStore:
    """Keys to values, at most `max_values` of them; the one that expires first makes room.

    Every value lives equally long, so the dict's order (a renewed value moves to its end) is the
    order of expiry.
    """

    def __init__(self, max_values: int) -> None:
        if max_values < 1:
            raise ValueError(f"a store holds at least one value, not {max_values}")
        self._max_values = max_values
        self._values: dict[bytes, tuple[bytes, int]] = {}

    def __len__(self) -> int:
        return len(self._values)

    def put(self, key: bytes, value: bytes, now_ns: int) -> None:
        """Keep `value` from now for `VALUE_TTL_NS`, in place of what the key had."""
        self._values.pop(key, None)
        if len(self._values) >= self._max_values:
            del self._values[next(iter(self._values))]
        self._values[key] = (value, now_ns + VALUE_TTL_NS)

    def get(self, key: bytes, now_ns: int) -> bytes | None:
        """The value, or None where there is none or its time is over."""
        value, expires_ns = self._values.get(key, (None, 0))
        return value if expires_ns > now_ns else None

    def expire(self, now_ns: int) -> None:
        """Forget the values whose time is over."""
        while (expires_ns := self.next_expiry_ns()) is not None and expires_ns <= now_ns:
            del self._values[next(iter(self._values))]

    def next_expiry_ns(self) -> int | None:
        """When the next value's time is over."""
        return next((expires_ns for _, expires_ns in self._values.values()), None)

    def items(self) -> Iterator[tuple[bytes, bytes, int]]:
        """(key, value, expires_ns), the first to expire first."""
        return ((key, value, expires_ns) for key, (value, expires_ns) in self._values.items())

    def replace(self, items: list[tuple[bytes, bytes, int]]) -> None:
        """Hold exactly `items`; of too many the ones that expire last."""
        kept = sorted(items, key=lambda item: item[2])[-self._max_values :]
        self._values = {key: (value, expires_ns) for key, value, expires_ns in kept}

    def limit_expiry(self, now_ns: int) -> None:
        """No value expires later than one stored now: expiries read from a file may be another
        boot's clock.
        """
        latest_ns = now_ns + VALUE_TTL_NS
        self._values = {
            key: (value, min(expires_ns, latest_ns))
            for key, (value, expires_ns) in self._values.items()
        }
