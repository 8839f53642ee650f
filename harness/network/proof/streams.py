"""Streams of our own go between two nodes through the same proxy and show what each toxic does.

Amounts (latency, bandwidth, slices) are measured on one connection in each direction. How a stream
ends (timeout, reset, a limit, a slow close) is measured on one connection for each toxic. What
cannot be shown within a second or 20 kB is said to be not shown.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median

from harness.history.proof import ProofAnswer
from harness.kernel.namespaces import open_socket
from harness.topology.impairment import Impairment, Toxic

PORT = 61_001
PINGS = 5
BYTES_MAX = 20_000  # of a burst: 14 packets
WAIT_MS = 1_200.0  # for how a stream ends, beyond the delays
CONNECT_S = 4.0  # one SYN may be lost
TOLERANCE_MS, TOLERANCE = 5.0, 0.10
NOISE_MS = 25.0  # a user's program is late on a busy host: later than asked by more shows no amount
LEAST_MS = 10.0  # a burst that takes less shows no rate
IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
NOT_SHOWN = ProofAnswer.AMOUNT_NOT_SHOWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one toxic, or of a stream without any.

    Units of `asked` and `achieved` are Toxiproxy's: ms, kB/s, bytes.
    """

    what: str  # toxic latency upstream
    asked: float | None = None
    achieved: float | None = None
    tolerance: float | None = None
    answer: ProofAnswer
    sentence: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pair:
    """A connection: the end that dialled, and the end that was dialled."""

    dialler: socket.socket
    dialled: socket.socket
    begun_s: float

    def ends(self, direction: str) -> tuple[socket.socket, socket.socket]:
        """Return who sends and who receives in a direction."""
        return (
            (self.dialler, self.dialled)
            if direction == "upstream"
            else (self.dialled, self.dialler)
        )


def stream(
    namespaces: tuple[int, int],
    address: str,
    toxics: Sequence[Toxic],
    below: Mapping[str, Impairment],
) -> list[Seen]:
    """Dial from the first namespace at `address` in the second; return what the toxics do there.

    Takes a few seconds at most. `below`: upstream and downstream → what packets meet on that way,
    whose delay comes on top.
    """
    endings = [toxic for toxic in toxics if toxic.kind in _ENDINGS]
    if len(endings) > 1 or any(toxic.toxicity < 1 for toxic in toxics):
        why = (
            "one stream does not tell them apart"
            if len(endings) > 1
            else "only some streams have it"
        )
        return [Seen(what=_name(toxic), answer=NOT_SHOWN, sentence=why) for toxic in toxics]
    found: list[Seen] = []
    try:
        # The other endings let no stream be whole.
        if all(toxic.kind == "slow_close" for toxic in endings):
            with _connected(namespaces, address) as pair:
                for direction in ("upstream", "downstream"):
                    found += _amounts(
                        pair,
                        direction,
                        [toxic for toxic in toxics if toxic.stream == direction],
                        below[direction],
                    )
        for toxic in endings:
            late_ms = below[toxic.stream].delay_ms + sum(
                _of(other, "latency") + _of(other, "jitter")
                for other in toxics
                if other.stream == toxic.stream
            )
            with _connected(namespaces, address) as pair:
                found.append(_ENDINGS[toxic.kind](pair, toxic, late_ms))
    except OSError as error:
        lossy = any(what.loss or what.rate_bps for what in below.values())
        found.append(
            Seen(
                what="stream",
                answer=NOT_SHOWN if lossy else NOT_IN_FORCE,
                sentence=f"no stream came through: {error}",
            )
        )
    return found


@contextmanager
def _connected(namespaces: tuple[int, int], address: str) -> Iterator[_Pair]:
    here, there = (
        open_socket(namespace, socket.AF_INET, socket.SOCK_STREAM) for namespace in namespaces
    )
    with ExitStack() as stack:
        stack.enter_context(here)
        stack.enter_context(there)
        there.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        there.bind((address, PORT))
        there.listen()
        for one in (here, there):
            one.settimeout(CONNECT_S)
        here.connect((address, PORT))
        begun_s = time.monotonic()
        dialled = stack.enter_context(there.accept()[0])
        for one in (here, dialled):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            one.settimeout(CONNECT_S)
        yield _Pair(dialler=here, dialled=dialled, begun_s=begun_s)


def _amounts(pair: _Pair, direction: str, toxics: Sequence[Toxic], below: Impairment) -> list[Seen]:
    """Measure one direction of a connection: delay, bytes a second, and into how many pieces it is
    cut.
    """
    sender, receiver = pair.ends(direction)
    times = [_carried(sender, receiver, 8)[0] for _ in range(PINGS)]
    latencies = [toxic for toxic in toxics if toxic.kind == "latency"]
    asked_ms = below.delay_ms + sum(_of(toxic, "latency") for toxic in latencies)
    tolerance = (
        max(TOLERANCE_MS, TOLERANCE * asked_ms)
        + below.jitter_ms
        + sum(_of(toxic, "jitter") for toxic in latencies)
    )
    middle = median(times) if latencies else min(times)
    what = f"toxic latency {direction}" if latencies else f"stream {direction}"
    answer = (
        NOT_IN_FORCE
        if middle < asked_ms - tolerance
        else IN_FORCE
        if middle <= asked_ms + tolerance + NOISE_MS
        else NOT_SHOWN
    )
    found = [
        Seen(
            what=what,
            asked=asked_ms,
            achieved=middle,
            tolerance=tolerance,
            answer=answer,
            sentence=f"its bytes took {middle:.1f} ms, asked are {asked_ms:g} ms",
        )
    ]
    for toxic in toxics:
        if toxic.kind == "bandwidth":
            found.append(
                _bandwidth(
                    sender, receiver, toxic, middle, narrowed=bool(below.rate_bps or below.loss)
                )
            )
        elif toxic.kind == "slicer":
            found.append(_slices(sender, receiver, toxic))
    return found


def _bandwidth(
    sender: socket.socket,
    receiver: socket.socket,
    toxic: Toxic,
    latency_ms: float,
    *,
    narrowed: bool,
) -> Seen:
    rate = _of(toxic, "rate")  # kB/s: bytes a ms
    count = int(min(BYTES_MAX, max(2_000, rate * 200)))
    wanted_ms = count / rate if rate else WAIT_MS * 2
    if not LEAST_MS <= wanted_ms <= WAIT_MS:
        return Seen(
            what=_name(toxic),
            asked=rate,
            answer=NOT_SHOWN,
            sentence=f"{count:,} bytes would take {wanted_ms:.0f} ms",
        )
    took_ms = max(_carried(sender, receiver, count)[0] - latency_ms, 1e-3)
    achieved = count / took_ms
    answer = (
        NOT_IN_FORCE
        if achieved > 1.3 * rate
        else IN_FORCE
        if achieved > rate / 2 and not narrowed
        else NOT_SHOWN
    )
    return Seen(
        what=_name(toxic),
        asked=rate,
        achieved=achieved,
        tolerance=0.3 * rate,
        answer=answer,
        sentence=f"{count:,} bytes at {achieved:,.0f} kB/s",
    )


def _slices(sender: socket.socket, receiver: socket.socket, toxic: Toxic) -> Seen:
    size = max(_of(toxic, "average_size"), 1.0)
    wanted = 4_000 / size
    if wanted < 4:
        return Seen(
            what=_name(toxic),
            asked=size,
            answer=NOT_SHOWN,
            sentence="4,000 bytes make too few slices",
        )
    # Those that arrive together are read as one.
    pieces = max(_carried(sender, receiver, 4_000)[1] for _ in range(3))
    answer = IN_FORCE if pieces >= wanted / 2 else NOT_IN_FORCE if pieces == 1 else NOT_SHOWN
    return Seen(
        what=_name(toxic),
        asked=size,
        achieved=4_000 / pieces,
        answer=answer,
        sentence=f"4,000 bytes came in {pieces:,} pieces",
    )


def _timeout(pair: _Pair, toxic: Toxic, late_ms: float) -> Seen:
    sender, receiver = pair.ends(toxic.stream)
    asked = _of(toxic, "timeout")
    sender.sendall(b"." * 64)
    data, ended_ms = _until_end(
        receiver, pair.begun_s, late_ms + min(asked or WAIT_MS / 2, WAIT_MS) + 300.0
    )
    if data:
        return Seen(
            what=_name(toxic), asked=asked, answer=NOT_IN_FORCE, sentence="bytes came through"
        )
    return _after(toxic, asked, ended_ms, late_ms, never=not asked)


def _reset(pair: _Pair, toxic: Toxic, late_ms: float) -> Seen:
    sender, receiver = pair.ends(toxic.stream)
    asked = _of(toxic, "timeout")
    begun_s = time.monotonic()
    sender.sendall(b"." * 64)  # the toxic begins to count with the first bytes
    data, ended_ms = _until_end(receiver, begun_s, late_ms + min(asked, WAIT_MS) + 300.0)
    if data:
        return Seen(
            what=_name(toxic), asked=asked, answer=NOT_IN_FORCE, sentence="bytes came through"
        )
    return _after(toxic, asked, ended_ms, late_ms, never=False)


def _limit(pair: _Pair, toxic: Toxic, late_ms: float) -> Seen:
    sender, receiver = pair.ends(toxic.stream)
    asked = _of(toxic, "bytes")
    if asked > BYTES_MAX:
        return Seen(
            what=_name(toxic),
            asked=asked,
            answer=NOT_SHOWN,
            sentence=f"more than {BYTES_MAX:,} bytes are not sent for a proof",
        )
    sender.sendall(b"." * (int(asked) + 100))
    data, ended_ms = _until_end(receiver, time.monotonic(), late_ms + WAIT_MS)
    answer = (
        NOT_IN_FORCE
        if data > asked
        else IN_FORCE
        if data == asked and ended_ms is not None
        else NOT_SHOWN
    )
    return Seen(
        what=_name(toxic),
        asked=asked,
        achieved=float(data),
        tolerance=0.0,
        answer=answer,
        sentence=f"{data:,} bytes came through",
    )


def _slow_close(pair: _Pair, toxic: Toxic, late_ms: float) -> Seen:
    sender, receiver = pair.ends(toxic.stream)
    asked = _of(toxic, "delay")
    begun_s = time.monotonic()
    sender.close()
    _, ended_ms = _until_end(receiver, begun_s, late_ms + min(asked, WAIT_MS) + 300.0)
    return _after(toxic, asked, ended_ms, late_ms, never=False)


def _after(
    toxic: Toxic, asked: float, ended_ms: float | None, late_ms: float, *, never: bool
) -> Seen:
    """Judge when a stream ended that should have ended `asked` ms after something."""
    tolerance = max(TOLERANCE_MS, TOLERANCE * asked)
    if ended_ms is None:
        answer = IN_FORCE if never else NOT_SHOWN if asked > WAIT_MS else NOT_IN_FORCE
        return Seen(what=_name(toxic), asked=asked, answer=answer, sentence="it did not end")
    early, late = (
        ended_ms < asked - tolerance or never,
        ended_ms > asked + late_ms + tolerance + NOISE_MS,
    )
    answer = NOT_IN_FORCE if early else NOT_SHOWN if late else IN_FORCE
    return Seen(
        what=_name(toxic),
        asked=asked,
        achieved=ended_ms,
        tolerance=tolerance,
        answer=answer,
        sentence=f"it ended after {ended_ms:.0f} ms",
    )


_ENDINGS = {
    "timeout": _timeout,
    "reset_peer": _reset,
    "limit_data": _limit,
    "slow_close": _slow_close,
}


def _carried(sender: socket.socket, receiver: socket.socket, count: int) -> tuple[float, int]:
    """Send `count` bytes; return the ms until the last arrived, and in how many pieces they were
    read.

    Raises OSError.
    """
    begun_s, left, pieces = time.monotonic(), count, 0
    sender.sendall(b"." * count)
    while left:
        data = receiver.recv(min(left, 65_536))
        if not data:
            raise OSError("it was closed")
        left -= len(data)
        pieces += 1
    return (time.monotonic() - begun_s) * 1e3, pieces


def _until_end(receiver: socket.socket, begun_s: float, most_ms: float) -> tuple[int, float | None]:
    """Read until the stream ends; return how many bytes came, and when it ended.

    The time is in ms since `begun_s`; None where it did not end within `most_ms` of now.
    """
    count, until_s = 0, time.monotonic() + most_ms / 1e3
    while (left_s := until_s - time.monotonic()) > 0:
        receiver.settimeout(left_s)
        try:
            data = receiver.recv(65_536)
        except TimeoutError:
            return count, None
        except ConnectionError:
            data = b""
        if not data:
            return count, (time.monotonic() - begun_s) * 1e3
        count += len(data)
    return count, None


def _name(toxic: Toxic) -> str:
    return f"toxic {toxic.kind} {toxic.stream}"


def _of(toxic: Toxic, attribute: str) -> float:
    return float(dict(toxic.attributes).get(attribute, 0))
