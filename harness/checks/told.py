"""What nodes told of themselves once a second, as a row of a budget names it: a series by its name
and labels, its values at a node, and what a counter gained there. Pure.

Nothing is believed that cannot be: a counter that falls while its process lives, a value that is no
number, a series that comes and goes. Who asks for it hears of that instead (NoValueError).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.checks.metric import Floats
from harness.checks.resource_metrics import ends_of
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Cause
from harness.choices import did_you_mean, listed
from harness.history.history import History, Nanoseconds, PhaseWindow, once
from harness.history.metrics import Series

Places = npt.NDArray[np.intp]
COUNTERS = ("counter", "histogram", "summary")
COUNTED_PARTS = ("_bucket", "_sum", "_count")
LISTED_MOST = 5


class Times(NamedTuple):
    """When a node was asked for pages that are believed, within a phase, and until when each was
    answered, in order; in which life of its process each was, and how often that ended after the
    first of them.
    """

    at_ns: Nanoseconds
    lives: npt.NDArray[np.intp]
    ends: int

    @property
    def seconds(self) -> float:
        """From the first to the last."""
        return float(self.at_ns[-1] - self.at_ns[0]) / 1e9 if len(self.at_ns) else 0.0


def matching(history: History, asked: Series) -> list[int]:
    """The series of a name that have these labels, and maybe more, by number."""
    return [
        number
        for number, one in enumerate(history.metrics.series)
        if one.name == asked.name and asked.labels <= one.labels
    ]


def untold(history: History, asked: Series, others: frozenset[str] = frozenset()) -> NoValueError:
    """Say that nobody told this, and what was told that is near; `others`: what nodes tell of
    themselves in another way.
    """
    same = [str(one) for one in history.metrics.series if one.name == asked.name]
    if same:
        shown = "; ".join(sorted(same)[:LISTED_MOST])
        more = f", and {len(same) - LISTED_MOST} more" if len(same) > LISTED_MOST else ""
        return NoValueError(
            Cause.NOT_MEASURED, f"no node told {asked}; of that name were told: {shown}{more}"
        )
    names = sorted({one.name for one in history.metrics.series} | others)
    told = f"; told were {listed(names, asked.name)}" if names else ""
    return NoValueError(
        Cause.NOT_MEASURED,
        f"this system does not tell {asked.name}{did_you_mean(asked.name, names)}{told}",
    )


def is_counter(series: Series) -> bool | None:
    """Whether a series only grows; None where its node does not say what it is."""
    if series.type in ("histogram", "summary"):
        return series.name.endswith(COUNTED_PARTS)
    return None if series.type in ("", "untyped", "unknown") else series.type == "counter"


@once
def _ordered(history: History) -> tuple[dict[tuple[int, int], slice], Nanoseconds, Floats]:
    """Where the values of each series at each node are, in order of time: when, and which."""
    table = history.metrics.values
    at, node, series = (table.column(name).to_numpy() for name in ("at_ns", "node", "series"))
    order = np.lexsort((at, node, series))
    at, node, series = at[order], node[order], series[order]
    edges = np.flatnonzero((np.diff(node) != 0) | (np.diff(series) != 0)) + 1
    begins = [0, *edges.tolist()][: len(order)]
    found = {
        (int(series[begin]), int(node[begin])): slice(begin, end)
        for begin, end in zip(begins, [*edges.tolist(), len(order)], strict=False)
    }
    return found, at, table.column("value").to_numpy()[order]


def of_node(
    history: History, phase: PhaseWindow, number: int, node: int
) -> tuple[Nanoseconds, Floats]:
    """The values of a series that a node told within a phase, in order: when, and which."""
    where, at_ns, values = _ordered(history)
    mine = where.get((number, node), slice(0))
    times = pages(history, phase)[node].at_ns
    inside = np.isin(at_ns[mine], times)
    return at_ns[mine][inside], values[mine][inside]


@once
def pages(history: History, phase: PhaseWindow) -> list[Times]:
    """When each node was asked for the pages of a phase that are believed: asked and answered in
    it.
    """
    table = history.metrics.scrapes
    at, took, node = (table.column(name).to_numpy() for name in ("at_ns", "took_ns", "node"))
    inside = phase.holds(at) & phase.holds(at + took) & table.column("error").is_null().to_numpy()
    found = []
    for index in range(len(history.nodes)):
        mine = np.flatnonzero(inside & (node == index))
        mine = mine[np.argsort(at[mine], kind="stable")]
        ends = np.array(ends_of(history).get(index, ()), np.int64)
        lives = np.searchsorted(ends, at[mine])
        after = lives[0] if len(mine) else 0
        count = int((ends[after:] < phase.end_ns).sum())
        found.append(Times(at[mine], lives, count))
    return found


def gained(history: History, phase: PhaseWindow, number: int, node: int) -> float:
    """What a counter gained at a node between the first page of a phase and the last: the sum over
    the lives of its process. Raises NoValueError where it is no counter.
    """
    times = pages(history, phase)[node]
    at_ns, told = of_node(history, phase, number, node)
    name = f"{history.metrics.series[number]} at {history.nodes[node]}"
    if not np.isfinite(told).all():
        raise doubted(f"{name} was {told[~np.isfinite(told)][0]}, which is no count")
    if (told < 0).any():
        raise doubted(f"{name} was {told[told < 0][0]:g}, and a count is not below 0")
    has = np.isin(times.at_ns, at_ns)
    values = np.zeros(len(times.at_ns))  # what is not counted yet is not told
    values[has] = told
    steps, is_anew = np.diff(values), np.diff(times.lives) > 0
    lost = ~is_anew & has[:-1] & ~has[1:]
    if lost.any():
        raise doubted(f"{name} was told no more {_when(history, times.at_ns[1:][lost][0])}")
    fallen = ~is_anew & (steps < 0)
    if fallen.any():
        at = int(np.argmax(fallen))
        raise doubted(
            f"{name} fell from {values[at]:,.12g} to {values[at + 1]:,.12g} "
            f"{_when(history, times.at_ns[at + 1])}, and the node was not started again: a counter "
            "never falls"
        )
    return float(np.where(is_anew, values[1:], steps).sum())


def doubted(sentence: str) -> NoValueError:
    """Say why what was told is not believed."""
    return NoValueError(Cause.NOT_BELIEVED, sentence)


def _when(history: History, at_ns: int) -> str:
    begin_ns = history.phases[0].begin_ns if history.phases else 0
    return f"{(at_ns - begin_ns) / 1e9:.1f} s into the run"


def are_enough(times: Times, phase: PhaseWindow) -> bool:
    """Whether a node's pages are known for half of a phase at least."""
    return times.seconds >= phase.seconds / 2
