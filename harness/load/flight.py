"""One operation between its intended time and its end, and the keys that gets may read."""

from __future__ import annotations

from dataclasses import dataclass

from harness.operations import Operation

KEYS_MAX = 1 << 16


@dataclass(slots=True)
class Flight:
    """An operation under way. Mutable and slim on purpose: ten thousand a second are made."""

    id: bytes  # 16 bytes
    operation: Operation
    source: int  # node index
    target: int  # node index, −1 none
    payload_bytes: int
    intended_ns: int
    deadline_ns: int  # after this it counts as not sent, or not answered
    key: bytes | None = None  # of the DHT, that it puts a value under, or reads
    sent_ns: int = 0  # 0: not sent


class Keys:
    """Keys whose put was acknowledged, with the node that put them. The newest KEYS_MAX are
    kept.
    """

    def __init__(self) -> None:
        self._keys: list[tuple[bytes, int]] = []
        self._added = 0

    def __len__(self) -> int:
        return len(self._keys)

    def add(self, key: bytes, putter: int) -> None:
        """Remember an acknowledged put."""
        if len(self._keys) < KEYS_MAX:
            self._keys.append((key, putter))
        else:
            self._keys[self._added % KEYS_MAX] = key, putter
        self._added += 1

    def pick(self, draw: int, asker: int) -> bytes | None:
        """The key at a drawn place, or the next that another node than the asker put; None where
        there is none among 16.
        """
        for step in range(min(len(self._keys), 16)):
            key, putter = self._keys[(draw + step) % len(self._keys)]
            if putter != asker:
                return key
        return None
