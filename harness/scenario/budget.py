"""A budget is rows of promises.

A row names a metric, a statistic of it, a bound, its unit, and under which conditions.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from harness.choices import one_of
from harness.errors import BadFileError
from harness.operations import own

# Unit → (kind of quantity, factor to the kind's base: ns, bytes, bytes a second, share of one core,
# a plain number, a growth a second)
UNITS: dict[str, tuple[str, float]] = {
    "ns": ("time", 1),
    "us": ("time", 1e3),
    "µs": ("time", 1e3),
    "ms": ("time", 1e6),
    "s": ("time", 1e9),
    "B": ("size", 1),
    "KB": ("size", 1e3),
    "MB": ("size", 1e6),
    "GB": ("size", 1e9),
    "MiB": ("size", 2**20),
    "B/s": ("byte rate", 1),
    "KB/s": ("byte rate", 1e3),
    "MB/s": ("byte rate", 1e6),
    "GB/s": ("byte rate", 1e9),
    "%": ("share", 0.01),
    "1": ("number", 1),
    "1/s": ("rate", 1),
    # How fast something grows, a second: of `statistic = "slope"` alone.
    "KB/h": ("growth in bytes", 1e3 / 3600),
    "MB/h": ("growth in bytes", 1e6 / 3600),
    "GB/h": ("growth in bytes", 1e9 / 3600),
    "fds/h": ("growth in fds", 1 / 3600),
    "threads/h": ("growth in threads", 1 / 3600),
    "connections/h": ("growth in connections", 1 / 3600),
}
# An operation that was sent later than both says nothing of the system.
LATE_NS_LEAST = 1_000_000
LATE_SHARE_OF_BOUND = 0.05
# The metrics of this suffix are taken by a factor (checks/recovery.py).
RETURN = f".{own.RETURN}"
FACTOR = 2.0
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What must have been true for a row to be judged; where it was not, the row is UNKNOWN."""

    phase: str
    nodes: int | None = None  # exactly so many nodes
    node: str | None = None  # judged on this one node; None: on the worst of all
    # Messages a second that `node` itself had received, at least (−1 %).
    received_per_s: float | None = None
    scenario: str | None = None  # which scenario measures it; a run of another leaves the row out
    under: str | None = None  # the name of a fault whose amount must have been shown in the phase
    # Of a slope: judged on these of the harness's own processes (checks/growth.py), not on nodes.
    process: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One promise. `bound` None: the row is measured and not promised (it is never PASS).

    `factor`: within how much of the baseline a stream has returned; None: FACTOR. `within_ms`: what
    came later, after it was due, does not count; None: it does, whenever it came.
    """

    name: str
    metric: str
    statistic: str
    unit: str
    bound: float | None
    comparison: str = "<"  # strict, as in the source
    stretch: float | None = None  # a further aim, said beside the answer and never judged
    factor: float | None = None
    within_ms: float | None = None
    source: str = ""
    conditions: Conditions = field(default_factory=lambda: Conditions(phase=""))

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise BadFileError(f"row {self.name}: unit: {one_of(self.unit, UNITS)}")
        if self.comparison not in COMPARISONS:
            raise BadFileError(
                f"row {self.name}: comparison: expected one of {' '.join(COMPARISONS)}; found "
                f"{self.comparison!r}"
            )
        for key, value in (("bound", self.bound), ("stretch", self.stretch)):
            if value is not None and not math.isfinite(value):
                raise BadFileError(
                    f"row {self.name}: {key}: expected a finite number; found {value}"
                )
        if self.within_ms is not None and self.within_ms <= 0:
            raise BadFileError(
                f"row {self.name}: within: expected more than 0; found {self.within_ms:g} ms"
            )
        if self.factor is not None and not 1 <= self.factor < math.inf:
            raise BadFileError(f"row {self.name}: factor: expected 1 or more; found {self.factor}")

    @property
    def kind(self) -> str:
        """The kind of quantity that the unit measures: time, size, byte rate, share, number,
        rate, growth in something.
        """
        return UNITS[self.unit][0]

    @property
    def late_ns(self) -> int | None:
        """From how much on an operation is late for this row, ns; None: it never is."""
        if self.within_ms is not None:
            return round(max(LATE_NS_LEAST, LATE_SHARE_OF_BOUND * self.within_ms * 1e6))
        if self.metric == "pacer.lag" or self.kind not in ("time", "byte rate"):
            return None
        bound_ns = 0.0
        is_of_each = not self.metric.endswith(RETURN)  # the time of one operation, or of a burst
        if self.kind == "time" and self.bound is not None and is_of_each:
            bound_ns = self.bound * UNITS[self.unit][1]
        return round(max(LATE_NS_LEAST, LATE_SHARE_OF_BOUND * bound_ns))

    def in_unit(self, base: float) -> float:
        """Show a value in the base of its kind (ns, bytes, …) as this row prints it and as it is
        held against the bound: 0.999 is 99.9 %, and not the 99.89999999999999 of binary fractions.
        """
        return round(base / UNITS[self.unit][1], 9)

    def holds(self, value: float) -> bool:
        """Whether `value`, in the row's unit, keeps the promise."""
        if self.bound is None:
            raise ValueError(f"row {self.name} promises nothing")
        return COMPARISONS[self.comparison](value, self.bound)


def late_ns(rows: Sequence[Row]) -> int:
    """Return how late an operation may be sent where these rows judge it, ns.

    A row about the lateness itself allows what it promises.
    """
    allowed = [row.late_ns for row in rows if row.late_ns is not None]
    allowed += [
        round(row.bound * UNITS[row.unit][1])
        for row in rows
        if row.metric == "pacer.lag" and row.kind == "time" and row.bound is not None
    ]
    return max(min(allowed, default=LATE_NS_LEAST), 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """A named table of rows."""

    name: str
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        if not self.rows:
            raise BadFileError(
                "row: expected at least 1 row, found 0: a budget that promises nothing can only "
                "be UNKNOWN"
            )
        names = [row.name for row in self.rows]
        for name in names:
            if names.count(name) > 1:
                raise BadFileError(
                    f"row: the name {name!r} stands twice; every row needs a name of its own"
                )
