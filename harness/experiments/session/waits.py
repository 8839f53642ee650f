"""What a session can wait for: a word each, and the condition and stream that it stands for. Pure.

A wait is a phase of the kind `converge` (scenario/until.py), so the judge looks for the same moment
in the record afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.choices import one_of
from harness.errors import UsageError
from harness.history.plan import PhaseKind
from harness.operations import Operation
from harness.operations.operation import Taken
from harness.scenario import until
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.scenario.until import P95_LEAST, SETTLE_MS, Quantity

SECONDS_LEAST = 3.0  # a second that counts, one in which it may come true, and one to see it in
# Operations a second that are sent to see it by.
PROBES_PER_S = {Quantity.COVERAGE: 5.0, Quantity.SUCCESS: 20.0, Quantity.P95: 2.0 * P95_LEAST}


@dataclass(frozen=True, slots=True, kw_only=True)
class Awaited:
    """One thing that can be waited for. `operation` None: it is of the nodes."""

    quantity: Quantity
    operation: Operation | None = None

    @property
    def is_time(self) -> bool:
        """Whether it is held below a time; else it is a share that is reached."""
        return self.quantity is Quantity.P95


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """A wait that ended because it held, `after_s` seconds after it began: its name in the verdict,
    its phase, and its run folder.
    """

    name: str
    phase: str
    folder: Path
    after_s: float


def _waits(own: Iterable[Operation] = ()) -> dict[str, Awaited]:
    found = {"nodes.ready": Awaited(quantity=Quantity.READY)}
    found["broadcast.coverage"] = Awaited(quantity=Quantity.COVERAGE, operation=Operation.BROADCAST)
    kinds = {Taken.SHARE: Quantity.SUCCESS, Taken.LATENCY: Quantity.P95}
    for one in (*Operation, *own):
        for metric in one.spec.metrics:
            if metric.taken in kinds:
                found.setdefault(
                    f"{one.word}.{metric.suffix}",
                    Awaited(quantity=kinds[metric.taken], operation=one),
                )
    return found


WAITS = _waits()


def phase(
    what: str,
    *,
    name: str,
    seconds: float,
    at_least: float | None,
    below_ms: float | None,
    rate_per_s: float | None,
    own: Iterable[Operation] = (),
) -> Phase:
    """Return the phase that ends as soon as `what` holds, after `seconds` at most. `own`: what the
    system has of its own.

    Raises UsageError for a word, or a number, that nobody can wait for; BadFileError for a rate
    that shows nothing.
    """
    known = _waits(own)
    if what not in known:
        raise UsageError(f"wait_for: {one_of(what, known)}")
    awaited = known[what]
    least_s = 0.0 if awaited.operation is None else SECONDS_LEAST
    if not least_s <= seconds < math.inf or not seconds:
        raise UsageError(
            f"wait_for {what}: seconds: expected "
            f"{f'at least {least_s:g}, or nobody can see it' if least_s else 'above 0'}; "
            f"found {seconds:g}"
        )
    streams: tuple[Stream, ...] = ()
    if awaited.operation is not None:
        rate_per_s = PROBES_PER_S[awaited.quantity] if rate_per_s is None else rate_per_s
        streams = (Stream(operation=awaited.operation, rate_per_s=rate_per_s),)
    elif rate_per_s is not None:
        raise UsageError(f"wait_for {what}: rate_per_s: nothing is sent to see it")
    return Phase(
        name=name,
        duration_s=float(seconds),
        streams=streams,
        kind=PhaseKind.CONVERGE,
        until=_condition(what, awaited, at_least, below_ms),
    )


def _condition(what: str, awaited: Awaited, at_least: float | None, below_ms: float | None) -> str:
    """Write the condition in the words of scenario/until.py."""
    other = at_least if awaited.is_time else below_ms
    wanted = "below_ms" if awaited.is_time else "at_least"
    if other is not None:
        raise UsageError(f"wait_for {what}: expected {wanted}, found the other one")
    if awaited.is_time:
        if below_ms is None or not 0 < below_ms <= SETTLE_MS:
            raise UsageError(
                f"wait_for {what}: below_ms: expected above 0 and at most {SETTLE_MS}; found "
                f"{below_ms}"
            )
        assert awaited.operation is not None
        return f"p95 of {awaited.operation.word} in the last second < {_number(below_ms)} ms"
    at_least = 1.0 if at_least is None else at_least
    if isinstance(at_least, bool) or not 0 < at_least <= 1:
        raise UsageError(
            f"wait_for {what}: at_least: expected a share above 0 and at most 1 (all of it is 1); "
            f"found {at_least}"
        )
    if awaited.operation is None:
        if at_least < 1:
            raise UsageError(f"wait_for {what}: at_least: it is of all nodes: expected 1")
        return until.READY
    if awaited.quantity is Quantity.COVERAGE:
        return f"coverage of the last second >= {_number(at_least * 100)} %"
    return f"success of {awaited.operation.word} in the last second >= {_number(at_least * 100)} %"


def _number(value: float) -> str:
    """Write a number as a file has it, without an exponent."""
    return f"{value:.9f}".rstrip("0").rstrip(".")
