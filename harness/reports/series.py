"""What a report draws, as numbers: percentiles, rates and node bands over time. Pure; times are
seconds after the first phase began.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.history.events import FaultChanged
from harness.history.history import History
from harness.history.proof import ProofAnswer
from harness.operations import Operation, Outcome

Floats = npt.NDArray[np.float64]
BUCKETS = 120  # points a line: more cannot be told apart on a page
PERCENTILES = (50, 95, 99)
BAND = (10, 90)  # percentiles of the nodes between which the band lies


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart: nan where nothing was measured. `upper` makes it a band from `values` to
    `upper`.
    """

    name: str
    values: Floats
    upper: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over the same times."""

    title: str
    unit: str
    at_s: Floats
    lines: tuple[Line, ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spell:
    """A fault while it was in force. Seconds; `shown`: what proofs saw of its amounts, as text."""

    name: str
    does: str
    from_s: float
    until_s: float
    shown: str


def spells(history: History) -> list[Spell]:
    """Find when each fault was in force, in the order in which they came; one that was never taken
    back lasts to the end.
    """
    found: list[Spell] = []
    open_: dict[str, FaultChanged] = {}
    changes = [event for event in history.events if isinstance(event, FaultChanged)]
    for change in sorted(changes, key=lambda change: change.set_ns):
        begun = open_.pop(change.fault, None)
        if begun is not None:
            found.append(_spell(history, begun, change.set_ns))
        if change.is_set:
            open_[change.fault] = change
    end_ns = history.phases[-1].end_ns if history.phases else 0
    found += [_spell(history, begun, end_ns) for begun in open_.values()]
    return sorted(found, key=lambda one: one.from_s)


def _spell(history: History, change: FaultChanged, until_ns: int) -> Spell:
    about = [
        proof
        for proof in history.proofs
        if proof.fault == change.fault and change.set_ns <= proof.at_ns < until_ns
    ]
    amounts: dict[str, list[float]] = {}
    for proof in about:
        is_amount = proof.achieved is not None and proof.asked
        if is_amount and proof.answer is not ProofAnswer.AMOUNT_NOT_SHOWN:
            assert proof.achieved is not None
            assert proof.asked is not None
            amounts.setdefault(proof.what, []).append(proof.achieved / proof.asked)
    told = (ProofAnswer.IN_FORCE, ProofAnswer.AMOUNT_NOT_SHOWN, ProofAnswer.NOT_IN_FORCE)
    counts = {answer: sum(proof.answer is answer for proof in about) for answer in told}
    said = [f"{count} × {answer}" for answer, count in counts.items() if count]
    said += [
        f"{what} {float(np.median(ratios)):.0%} of what was asked"
        for what, ratios in amounts.items()
    ]
    zero = begin_ns(history)
    return Spell(
        name=change.fault,
        does=change.words or change.does,
        from_s=(change.set_ns - zero) / 1e9,
        until_s=(until_ns - zero) / 1e9,
        shown=", ".join(said),
    )


def begin_ns(history: History) -> int:
    """Find time zero of all charts: the begin of the first phase."""
    return history.phases[0].begin_ns if history.phases else 0


def end_s(history: History) -> float:
    """Find the end of the last phase, in seconds after time zero."""
    return (history.phases[-1].end_ns - begin_ns(history)) / 1e9 if history.phases else 0.0


def charts(history: History) -> list[Chart]:
    """Compute every chart of a run; charts without any value are left out."""
    if not history.phases or end_s(history) <= 0:
        return []
    made = [_throughput(history), *_latencies(history), *_resources(history), _host(history)]
    return [chart for chart in made if any(np.isfinite(line.values).any() for line in chart.lines)]


def _edges(history: History) -> Floats:
    count = int(min(BUCKETS, max(2, end_s(history))))
    return np.linspace(0, end_s(history), count + 1)


def _of(history: History, operation: Operation) -> tuple[Floats, Floats, npt.NDArray[np.bool_]]:
    """Pick the operations of one kind: intended time (s), latency (ms), and which came true."""
    chosen = history.column("operation") == operation
    intended = history.column("intended_ns")[chosen]
    took = (history.column("done_ns")[chosen] - intended) / 1e6
    return (
        (intended - begin_ns(history)) / 1e9,
        took,
        history.column("outcome")[chosen] == Outcome.OK,
    )


def _throughput(history: History) -> Chart:
    edges = _edges(history)
    width = edges[1] - edges[0]
    lines = []
    for operation in Operation:
        at, _, _ = _of(history, operation)
        if len(at):
            lines.append(Line(name=operation.word, values=np.histogram(at, edges)[0] / width))
    return Chart(
        title="Operations asked for",
        unit="/s",
        at_s=edges[:-1] + width / 2,
        lines=tuple(lines),
        note="by their intended time",
    )


def _latencies(history: History) -> list[Chart]:
    made = []
    edges = _edges(history)
    for operation in Operation:
        at, took, good = _of(history, operation)
        if not len(at):
            continue
        where = np.clip(np.digitize(at, edges) - 1, 0, len(edges) - 2)
        order = np.argsort(where, kind="stable")
        bounds = np.searchsorted(where[order], np.arange(len(edges)))
        values = np.full((len(PERCENTILES), len(edges) - 1), np.nan)
        sorted_took, sorted_good = took[order], good[order]
        for bucket in range(len(edges) - 1):
            part = sorted_took[bounds[bucket] : bounds[bucket + 1]][
                sorted_good[bounds[bucket] : bounds[bucket + 1]]
            ]
            if len(part):
                values[:, bucket] = np.percentile(part, PERCENTILES)
        lost = int((~good).sum())
        made.append(
            Chart(
                title=f"Latency of {operation.word}",
                unit="ms",
                at_s=(edges[:-1] + edges[1:]) / 2,
                lines=tuple(
                    Line(name=f"p{which}", values=row)
                    for which, row in zip(PERCENTILES, values, strict=True)
                ),
                note=f"{_taken(operation)}; {lost:,} of {len(at):,} did not come true"
                if lost
                else f"{_taken(operation)}; all {len(at):,} came true",
            )
        )
    return made


def _taken(operation: Operation) -> str:
    """From when until when a latency was taken."""
    return f"from the intended time {operation.spec.until}".rstrip()


def matrix(history: History, column: str, *, rate: bool = False) -> tuple[Floats, Floats]:
    """Compute (seconds, node × second values) of a sampled column; a rate is the gain a second of a
    cumulative column.
    """
    seconds = max(1, round(end_s(history)))
    table = np.full((len(history.nodes), seconds), np.nan)
    samples = history.samples
    at = (samples.column("at_ns").to_numpy() - begin_ns(history)) / 1e9
    node, value = (
        samples.column("node").to_numpy(),
        samples.column(column).to_numpy(zero_copy_only=False).astype(np.float64),
    )
    if rate:
        order = np.lexsort((at, node))
        at, node, value = at[order], node[order], value[order]
        same = node[1:] == node[:-1]
        gained = np.diff(value) / np.maximum(np.diff(at), 1e-9)
        at, node, value = at[1:][same], node[1:][same], np.maximum(gained[same], 0)
    inside = (at >= 0) & (at < seconds)
    table[node[inside], at[inside].astype(int)] = value[inside]
    return np.arange(seconds, dtype=np.float64) + 0.5, table


RESOURCES = (
    ("Resident memory", "MB", "rss_bytes", 1e-6, False),
    ("CPU of one core", "%", "cpu_ns", 1e-7, True),
    ("File descriptors", "", "fds", 1.0, False),
    ("Network in", "MB/s", "bytes_in", 1e-6, True),
    ("Network out", "MB/s", "bytes_out", 1e-6, True),
)


def _resources(history: History) -> list[Chart]:
    made = []
    for title, unit, column, factor, rate in RESOURCES:
        at, table = matrix(history, column, rate=rate)
        used = np.isfinite(table).any(axis=0)
        if not used.any():
            continue
        at, table = at[used], table[:, used] * factor
        low, middle, high = np.nanpercentile(table, (BAND[0], 50, BAND[1]), axis=0)
        made.append(
            Chart(
                title=f"{title}, by node",
                unit=unit,
                at_s=at,
                lines=(
                    Line(name=f"{BAND[0]} to {BAND[1]} % of the nodes", values=low, upper=high),
                    Line(name="median", values=middle),
                    Line(name="worst", values=np.nanmax(table, axis=0)),
                ),
            )
        )
    return made


def _host(history: History) -> Chart:
    at = (history.host.column("at_ns").to_numpy() - begin_ns(history)) / 1e9
    gaps = np.maximum(np.diff(at), 1e-9)

    def share(column: str, unit_s: float, of: float) -> Floats:
        values = history.host.column(column).to_numpy(zero_copy_only=False).astype(np.float64)
        return np.asarray(100 * np.diff(values) * unit_s / gaps / of)

    inside = (at[1:] >= 0) & (at[1:] <= end_s(history) + 1)
    return Chart(
        title="The host: busy, stolen, waiting for a CPU",
        unit="%",
        at_s=at[1:][inside],
        lines=(
            Line(name="busy", values=share("cpu_busy_ns", 1e-9, history.cores)[inside]),
            Line(name="stolen", values=share("cpu_steal_ns", 1e-9, history.cores)[inside]),
            Line(name="pressure", values=share("psi_cpu_some_us", 1e-6, 1)[inside]),
        ),
        note="pressure: the share of time in which some task waited for a CPU (PSI)",
    )


def worst_nodes(history: History, count: int = 5) -> list[tuple[str, str, list[tuple[str, float]]]]:
    """Find, for each resource, title, unit, and the nodes with the highest value of the run (of a
    rate: the highest mean), worst first.
    """
    made = []
    for title, unit, column, factor, rate in RESOURCES:
        _, table = matrix(history, column, rate=rate)
        known = np.isfinite(table).any(axis=1)
        if not known.any():
            continue
        values = np.full(len(history.nodes), -np.inf)
        values[known] = (np.nanmean if rate else np.nanmax)(table[known], axis=1) * factor
        order = np.argsort(-values, kind="stable")[: min(count, int(known.sum()))]
        made.append(
            (title, unit, [(history.nodes[index], float(values[index])) for index in order])
        )
    return made
