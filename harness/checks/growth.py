"""Rows about how fast something grows: `statistic = "slope"`. Pure.

The answer is of the interval of each node's slope, which holds for all nodes at once: PASS where
none of it reaches the bound, FAIL where all of one node's does, and where a bound lies inside of
it, the phase was too short to tell.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.checks import leaks
from harness.checks import watched as watching
from harness.checks.leaks import Watched
from harness.checks.promises import shown, stretch
from harness.checks.row_finding import finding, unknown
from harness.checks.slope import Slope
from harness.checks.verdict import Answer, Cause, Finding
from harness.choices import one_of
from harness.errors import BadFileError
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

SLOPE = "slope"
GROWTH = "growth in "
# Metric → what its growth is counted in.
COUNTED_IN = {
    "memory": "bytes",
    "rss": "bytes",
    "fds": "fds",
    "threads": "threads",
    "connections": "connections",
    "disk": "bytes",
}
ALL = "harness"  # each of the harness's own processes
PROCESSES = ("supervisor", "gateway", "load", "delay engine", ALL)


def validate(row: Row) -> None:
    """Raise BadFileError where a row about a slope asks for what there is not, or another row for
    what only a slope has.
    """
    if row.statistic != SLOPE:
        if row.kind.startswith(GROWTH):
            raise BadFileError(
                f"row {row.name}: unit: {row.unit!r} is of statistic {SLOPE!r}, found "
                f"{row.statistic!r}"
            )
        if row.conditions.process is not None:
            raise BadFileError(
                f"row {row.name}: process: expected none but with statistic {SLOPE!r}, found "
                f"{row.conditions.process!r}"
            )
        return
    if row.metric not in COUNTED_IN:
        raise BadFileError(
            f"row {row.name}: metric: of a slope {one_of(row.metric, list(COUNTED_IN))}"
        )
    if row.kind != GROWTH + COUNTED_IN[row.metric]:
        raise BadFileError(
            f"row {row.name}: unit: {row.metric} grows in {COUNTED_IN[row.metric]} an hour, "
            f"{row.unit!r} measures a {row.kind}"
        )
    if row.comparison not in ("<", "<="):
        raise BadFileError(
            f"row {row.name}: comparison: of a slope expected < or <=, found {row.comparison!r}"
        )
    _validate_whose(row)


def _validate_whose(row: Row) -> None:
    wanted = row.conditions
    for key, value in (("under", wanted.under), ("received_per_s", wanted.received_per_s)):
        if value is not None:
            raise BadFileError(f"row {row.name}: {key}: expected none of a slope, found {value!r}")
    if wanted.process is None:
        return
    if wanted.process not in PROCESSES:
        raise BadFileError(f"row {row.name}: process: {one_of(wanted.process, list(PROCESSES))}")
    if wanted.node is not None:
        raise BadFileError(
            f"row {row.name}: process: expected no node beside it, found {wanted.node!r}"
        )
    if row.metric not in watching.OF_OWN:
        raise BadFileError(
            f"row {row.name}: metric: of a process {one_of(row.metric, list(watching.OF_OWN))}"
        )


def judge(history: History, row: Row, phase: PhaseWindow) -> Finding:
    """The finding of a row about a slope, of a phase whose record is whole."""
    watched = _watched(history, row, phase)
    if lacking := _lacking(history, row, watched):
        return unknown(row, Cause.NOT_MEASURED, lacking)
    return of_series(row, watched, f"phase {phase.name}")


def of_series(row: Row, watched: Sequence[Watched], where: str) -> Finding:
    """The finding of a row about the slopes of these series, at least one, which are of `where`."""
    confidence = 1 - leaks.FALSE_ALARMS / len(watched)
    slopes = [leaks.of(one, confidence) for one in watched]
    told = [(one, found) for one, found in zip(watched, slopes, strict=True) if found is not None]
    if not told:
        said = leaks.sentence(watched[0], None)
        if leaks.untold(watched[0], None) == leaks.NOT_SAMPLED:
            said = f"{watched[0].of}: {where} is too short to tell how fast {row.metric} grows"
        return unknown(row, Cause.TOO_FEW, said)
    untold = [one for one, found in zip(watched, slopes, strict=True) if found is None]
    return _judged(row, told, untold)


def _judged(row: Row, told: Sequence[tuple[Watched, Slope]], untold: Sequence[Watched]) -> Finding:
    """The finding of slopes; `untold` have none."""
    worst, slope = max(told, key=lambda one: one[1].per_s)
    if row.bound is None:
        said = "measured, not promised"
        return finding(
            row, Answer.MEASURED, _shown(row, worst, slope), said, value=row.in_unit(slope.per_s)
        )
    missed = [one for one in told if not row.holds(row.in_unit(one[1].low_per_s))]
    rising = [one for one in missed if not leaks.fills(*one)]
    if rising:
        worst, slope = max(rising, key=lambda one: one[1].low_per_s)
        more = f", and {len(rising) - 1} more" if len(rising) > 1 else ""
        return finding(
            row,
            Answer.FAIL,
            _shown(row, worst, slope),
            f"missed: {leaks.sentence(worst, slope)}{more}",
            value=row.in_unit(slope.per_s),
        )
    open_ = [one for one in told if not row.holds(row.in_unit(one[1].high_per_s))]
    if open_ or untold:
        return _unknown(row, missed, open_, untold, _shown(row, worst, slope))
    value = row.in_unit(slope.per_s)
    kept = f"kept{stretch(row, value)}"
    return finding(row, Answer.PASS, _shown(row, worst, slope), kept, value=value)


def _unknown(
    row: Row,
    filling: Sequence[tuple[Watched, Slope]],
    open_: Sequence[tuple[Watched, Slope]],
    untold: Sequence[Watched],
    measured: str,
) -> Finding:
    """The finding where neither side of the bound is shown. `filling`: beyond it for sure, and it
    may stop.
    """
    if not open_:
        return unknown(row, Cause.TOO_FEW, leaks.sentence(untold[0], None), measured)
    one, slope = max(filling or open_, key=lambda one: one[1].high_per_s)
    if filling or (slope.slows and not row.holds(row.in_unit(slope.per_s))):
        why = leaks.Untold(leaks.TOO_EARLY, leaks.filling(one, slope))
        said = leaks.sentence(one, slope, why)
    elif not slope.is_bounded:
        said = leaks.sentence(one, slope)
    elif slope.is_uneven:
        said = f"{leaks.sentence(one, slope)}; the bound lies in that"
    else:
        said = f"too short to tell: {leaks.sentence(one, slope)}, which the bound lies in"
    return unknown(row, Cause.TOO_FEW, said, _shown(row, one, slope))


def _watched(history: History, row: Row, phase: PhaseWindow) -> list[Watched]:
    """The series that a row is about."""
    process, node = row.conditions.process, row.conditions.node
    if process is None:
        found = watching.of_nodes(history, phase)
        return [one for one in found if one.resource == row.metric and node in (None, one.of)]
    return [
        one
        for one in watching.of_own(history, phase)
        if one.resource == row.metric and (process == ALL or kind_of(one.of) == process)
    ]


def kind_of(process: str) -> str:
    """Which of PROCESSES one is: each of several load workers has a number behind its word."""
    return process.rstrip(" 0123456789")


def _lacking(history: History, row: Row, watched: Sequence[Watched]) -> str | None:
    """Say of whom nothing was sampled that the row is about; None where of all something was."""
    process, node = row.conditions.process, row.conditions.node
    if process is not None:
        return None if watched else f"no {row.metric} of the process {process} was told of"
    wanted = history.nodes if node is None else (node,)
    missing = set(wanted) - {one.of for one in watched}
    if not missing and wanted:
        return None
    first = next((name for name in wanted if name in missing), "none")
    return f"{len(missing)} of {len(wanted)} nodes were not sampled in this phase, {first} for one"


def _shown(row: Row, watched: Watched, slope: Slope) -> str:
    """Show a slope with its interval in the row's unit."""
    low, high = (_digits(row.in_unit(one)) for one in (slope.low_per_s, slope.high_per_s))
    return f"{shown(row, row.in_unit(slope.per_s))} [{low}, {high}] at {watched.of}"


def _digits(value: float) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
