"""The schedule says when each operation is due, who sends it and to whom: pure and seeded.

It is the same for every number of workers. Operation k of a stream is due at ``start + k / rate``
(uniform) or after k seeded exponential gaps of the same mean (Poisson); where the rate changes,
when its integral has come to k, or to the sum of k gaps of mean 1. Every worker draws the whole
schedule and keeps k ≡ worker (mod workers): the union over the workers is the schedule that one
worker would have, and no two workers send the same operation.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.choices import did_you_mean, listed
from harness.errors import BadFileError
from harness.operations.operation import Address
from harness.scenario.stream import Arrivals, Stream
from harness.stats import Integers

Floats = NDArray[np.floating[Any]]
CHUNK = 4096  # drawn at once; part of the seeded result, so it never changes
NOBODY = -1
NEVER_NS = 1 << 62  # when an operation is due that a rate of 0 never comes to
# Up to this rate every operation gets a wake of its own. Above it a wake sends all that is due: it
# costs some 30 µs of cold caches, whatever it sends. It comes when so many are due, or when the
# first has waited for this share of the lateness that is allowed; the rest is for the sending.
DIRECT_RATE_PER_S = 2_000.0
BATCH = 32
WAITED_SHARE = 0.6
EARLY_STREAM = 0xFFFF  # of keys that are put for gets to read, before the run's clock starts
SEEDS = 64  # such keys that a worker puts
# An operation's id: which run, which worker of it, which stream, and its position in the worker's
# share of it.
IDENTIFIER = np.dtype([("run", "<u8"), ("worker", "<u2"), ("stream", "<u2"), ("sequence", "<u4")])


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A stretch of one worker's share of a stream, in order: arrays of the same length.

    `number` is k, `intended_ns` CLOCK_MONOTONIC, `source` and `target` node indexes (target −1:
    none), `draw` a seeded number (u32) for choices that only the run can make (which of the stored
    keys is read).
    """

    number: Integers
    intended_ns: Integers
    source: Integers
    target: Integers
    draw: NDArray[np.uint32]

    def pieces(self, size: int) -> Iterator[Due]:
        """Yield it in pieces of at most so many operations."""
        for begin in range(0, len(self.number), size):
            part = slice(begin, begin + size)
            yield Due(**{one.name: getattr(self, one.name)[part] for one in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One worker's part of one stream: `worker` of `workers`, stream `stream` of phase `phase`."""

    seed: int
    phase: int
    stream: int
    worker: int = 0
    workers: int = 1


def schedule(
    stream: Stream, nodes: tuple[str, ...], share: Share, start_ns: int, end_ns: int | None
) -> Iterator[Due]:
    """Yield the stretches of a share that are due from `start_ns` until before `end_ns`.

    `end_ns` None: for ever. Raises BadFileError where the stream has nobody to send, or nobody to
    send to.
    """
    sources, target = _parties(stream, nodes)
    times = _intended(stream, share, start_ns + round(stream.after_s * 1e9))
    choices = np.random.default_rng([share.seed, share.phase, share.stream, 1])
    for first in _chunks():
        intended = next(times)
        source, to = _choose(choices, sources, target, len(nodes), stream.operation.spec.to)
        draw = choices.integers(1 << 32, size=CHUNK, dtype=np.uint32)
        number = np.arange(first, first + CHUNK)
        ours = number % share.workers == share.worker
        if end_ns is not None:
            ours &= intended < end_ns
        if stream.count is not None:
            ours &= number < stream.count
        if stream.profile is not None:
            ours &= intended < NEVER_NS
        if ours.any():
            yield Due(
                number=number[ours],
                intended_ns=intended[ours],
                source=source[ours],
                target=to[ours],
                draw=draw[ours],
            )
        if intended[-1] >= (NEVER_NS if end_ns is None else min(end_ns, NEVER_NS)) or (
            stream.count is not None and first + CHUNK >= stream.count
        ):
            return


def whole(stream: Stream, nodes: tuple[str, ...], share: Share, start_ns: int, end_ns: int) -> Due:
    """Return a share in one piece, as `schedule` yields it."""
    parts = list(schedule(stream, nodes, share, start_ns, end_ns))
    columns = {
        name: np.concatenate([np.empty(0, np.int64), *(getattr(part, name) for part in parts)])
        for name in ("number", "intended_ns", "source", "target")
    }
    draw = np.concatenate([np.empty(0, np.uint32), *(part.draw for part in parts)])
    return Due(**columns, draw=draw)


def salt(t0_ns: int, seed: int) -> bytes:
    """Return the 8 bytes that tell a run's operations from those of every other run."""
    return hashlib.blake2b(f"{t0_ns} {seed}".encode(), digest_size=8).digest()


def tick_ns(rate_per_s: float, late_ns: int) -> int:
    """Return how long the first operation due may wait for others, at this total rate of a worker.

    It is 0 where each is sent by itself. `late_ns`: how late an operation may be sent.
    """
    if rate_per_s <= DIRECT_RATE_PER_S:
        return 0
    return round(min(late_ns * WAITED_SHARE, BATCH / rate_per_s * 1e9))


def _chunks() -> Iterator[int]:
    first = 0
    while True:
        yield first
        first += CHUNK


def _intended(stream: Stream, share: Share, start_ns: int) -> Iterator[Integers]:
    gap = 1e9 / stream.rate_per_s if stream.profile is None else 1.0
    if stream.arrivals is Arrivals.UNIFORM:
        for first in _chunks():
            yield _due_ns(stream, np.arange(first, first + CHUNK) * gap, start_ns)
    else:
        gaps = np.random.default_rng([share.seed, share.phase, share.stream, 0])
        since = 0.0
        while True:
            after = since + np.cumsum(gaps.exponential(gap, CHUNK))
            yield _due_ns(stream, after, start_ns)
            since = float(after[-1])


def _due_ns(stream: Stream, after: Floats, start_ns: int) -> Integers:
    """Return what is due so long (ns) after the start; of a profile, after so many operations."""
    if stream.profile is not None:
        after = np.minimum(stream.profile.moments_s(after.astype(np.float64)) * 1e9, NEVER_NS)
    return start_ns + after.astype(np.int64)


def _parties(stream: Stream, nodes: tuple[str, ...]) -> tuple[Integers, int]:
    index = {name: position for position, name in enumerate(nodes)}
    target = NOBODY
    to_nobody = stream.operation.spec.to is Address.NOBODY
    if stream.target is not None and not to_nobody:
        target = _known(index, stream.target)
    sources = [_known(index, name) for name in stream.sources] or [
        at for at in range(len(nodes)) if at != target
    ]
    if target in sources:
        raise BadFileError(
            f"{stream.operation.word}: node {stream.target!r} would send to itself; take it out "
            "of the sources"
        )
    if not sources or (len(nodes) < 2 and not to_nobody):
        raise BadFileError(
            f"{stream.operation.word}: expected at least 2 nodes, found {len(nodes)}"
        )
    return np.array(sources, np.int64), target


def _known(index: dict[str, int], name: str) -> int:
    if name not in index:
        raise BadFileError(
            f"streams: there is no node {name!r} in this cluster{did_you_mean(name, index)}; "
            f"there are {listed(index, name)}"
        )
    return index[name]


def _choose(
    choices: np.random.Generator, sources: Integers, target: int, nodes: int, to: Address
) -> tuple[Integers, Integers]:
    source = sources[choices.integers(len(sources), size=CHUNK)]
    if target != NOBODY:
        return source, np.full(CHUNK, target)
    if to is not Address.NODE:
        return source, np.full(CHUNK, NOBODY)
    other = choices.integers(nodes - 1, size=CHUNK)
    return source, other + (other >= source)  # skips the source: every other node is as likely
