"""What stands behind an operation's id in a payload: of one stream of the load always the same, so
that a report which holds more than the id shows whether that came as it was sent.
"""

from __future__ import annotations

from harness.systems.adapters.sent import KNOWN_MAX, STREAM_BYTES

LEAST = 8  # hexadecimal digits: fewer may be the beginning of a word of the node's own
DIGITS = "0123456789abcdef"


class Payloads:
    """What was sent behind ids, as text, by the stream of each."""

    def __init__(self) -> None:
        self._rests: dict[bytes, str] = {}

    def remember(self, id_: bytes, payload: str) -> None:
        """Remember a payload that is about to be sent, which begins with its id as text."""
        self._rests[id_[:STREAM_BYTES]] = payload.removeprefix(id_.hex())
        if len(self._rests) > KNOWN_MAX:
            del self._rests[next(iter(self._rests))]

    def differs(self, line: str, id_: bytes) -> bool:
        """Whether a line holds an id, and behind it something else than was sent there. One that
        is cut short says nothing else.
        """
        sent = self._rests.get(id_[:STREAM_BYTES], "")
        _, _, behind = line.partition(id_.hex())
        came = behind[: len(sent)]
        same = next((at for at, (a, b) in enumerate(zip(came, sent, strict=False)) if a != b), None)
        if same is None:
            return False
        digits = len(came) - len(came.lstrip(DIGITS))
        return came[same].isalnum() and max(digits, same) >= LEAST
