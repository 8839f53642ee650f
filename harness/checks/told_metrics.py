"""Metrics of what a system tells itself, by the names that it gives them: ``gauge.NAME``,
``rate.NAME`` of counters, ``histogram.NAME``; labels in braces. Pure.

A name's end says its unit, as Prometheus wants it: ``_seconds``, ``_bytes``, ``_ratio``; all else
is a plain number. A rate is of what a counter gained between the first and the last page of a
phase, of series that have the labels the sum. Of what was counted between a node's last page and
its end nobody knows: there a rate is only known to be so much at least.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import numpy as np

from harness import stats
from harness.checks import claims, record, told
from harness.checks.metric import Bounded, Floats, Measured, Metric, PerNode, Within
from harness.checks.statistic import NoValueError
from harness.checks.verdict import Cause
from harness.checks.within import Between, Buckets
from harness.errors import BadFileError
from harness.history.gaps import SAMPLED_SHARE_LEAST, Part
from harness.history.history import History, PhaseWindow
from harness.history.metrics import Series
from harness.scenario.budget import UNITS

T = TypeVar("T")
NEEDS = frozenset({Part.METRICS})
# The end of a name → the kind of what it measures, and how many of the kind's base one of it is;
# and the kind of a rate of it.
NATIVE: dict[str, tuple[str, float, str]] = {
    "_seconds": ("time", UNITS["s"][1], "share"),
    "_bytes": ("size", 1.0, "byte rate"),
    "_ratio": ("share", 1.0, "rate"),
}
PLAIN = ("number", 1.0, "rate")
LACK = "did not tell {} for half of it"
INFINITE = "+Inf"


def find(name: str) -> Metric | None:
    """Return the metric of this name; None where it is none of what systems tell. Raises
    BadFileError.
    """
    word, dot, rest = name.partition(".")
    if not dot or word not in WORDS:
        return None
    try:
        asked = Series.read(rest)
    except ValueError as error:
        raise BadFileError(
            f'expected {word}.NAME, or {word}.NAME{{label="value", …}}; {error}; found {name!r}'
        ) from None
    if not asked.name or any(each in asked.name for each in ' "='):
        raise BadFileError(f"expected a name behind {word}., as nodes tell it; found {name!r}")
    kind, _, of_rate = native(asked.name)
    take, sentence = WORDS[word]
    return Metric(
        kind=of_rate if word == "rate" else kind,
        take=partial(take, asked),
        sentence=sentence,
        needs=NEEDS,
        by_node=True,
    )


def is_told(name: str) -> bool:
    """Whether a metric is one of what systems tell."""
    return name.partition(".")[0] in WORDS and "." in name


def is_snapshot(history: History, name: str) -> bool:
    """Whether a metric is of what nodes tell once a phase, and not each second."""
    if not is_told(name):
        return False
    word, _, rest = name.partition(".")
    asked = Series.read(rest)
    return not told.matching(history, _part(asked, "_bucket") if word == "histogram" else asked)


def native(name: str) -> tuple[str, float, str]:
    """Say what a name measures: its kind, one in the kind's base, and the kind of its rate."""
    plain = name.removesuffix("_total")
    return next((of for end, of in NATIVE.items() if plain.endswith(end)), PLAIN)


def _part(asked: Series, end: str) -> Series:
    return Series(asked.name + end, asked.labels)


def _gauge(asked: Series, history: History, phase: PhaseWindow) -> PerNode:
    """What each node told within the phase; else its health's, at the phase's end."""
    numbers = told.matching(history, asked)
    if not numbers:
        return _of_health(asked, history, phase)
    factor = native(asked.name)[1]

    def take(node: int) -> Floats | None:
        some = [(one, told.of_node(history, phase, one, node)[1]) for one in numbers]
        some = [(one, values) for one, values in some if len(values)]
        _require(history, [one for one, _ in some], "gauge", is_counter=False)
        if len(some) > 1:
            those = "; ".join(str(history.metrics.series[one]) for one, _ in some[:3])
            raise NoValueError(
                Cause.CONDITIONS,
                f"{history.nodes[node]} tells {len(some)} series of {asked}: name one by its "
                f"labels: {those}",
            )
        count = len(told.pages(history, phase)[node].at_ns)
        for number, values in some:
            if len(values) < int(count * SAMPLED_SHARE_LEAST):
                raise NoValueError(
                    Cause.NOT_MEASURED,
                    f"{history.nodes[node]} told {asked} on {len(values)} of {count} pages of "
                    f"phase {phase.name}",
                )
            if not np.isfinite(values).all():
                odd = values[~np.isfinite(values)][0]
                raise told.doubted(
                    f"{history.metrics.series[number]} was {odd} at {history.nodes[node]}"
                )
            _require_so(history, phase, node, asked, float(values[-1]))
            return values * factor
        return None

    found, refused = _by_node(history, take)
    return PerNode(series=found, lack=f"did not tell {asked}", refused=refused)


def _require_so(
    history: History, phase: PhaseWindow, node: int, asked: Series, last: float
) -> None:
    """Raise NoValueError where what a node tells last was measured of it too, and is another: a
    program may read it of another process, by a number that is one in its own namespace.
    """
    if wrong := next(claims.differing(history, phase, node, {asked.name: last}), None):
        claim = claims.CLAIMS.get(asked.name)
        measured = "" if claim is None else f": {claim.column.partition('_')[0]} is measured"
        raise told.doubted(wrong + measured)


def _by_node(
    history: History, take: Callable[[int], T | None]
) -> tuple[dict[int, T], dict[int, Exception]]:
    """Take something of each node; and why nothing is said of those that told what cannot be."""
    found, refused = {}, dict[int, Exception]()
    for node in range(len(history.nodes)):
        try:
            one = take(node)
        except NoValueError as why:
            refused[node] = why
            continue
        if one is not None:
            found[node] = one
    return found, refused


def _of_health(asked: Series, history: History, phase: PhaseWindow) -> PerNode:
    gauges = frozenset(name for *_, name in history.gauges)
    if asked.name not in gauges or asked.labels:
        raise told.untold(history, asked, gauges)
    _require_snapshots(history, Part.GAUGES, phase)
    factor = native(asked.name)[1]
    return PerNode(
        series={
            node: np.array([value * factor])
            for (of, node, name), value in history.gauges.items()
            if of == phase.name and name == asked.name
        },
        lack=f"did not tell {asked}",
    )


def _require_snapshots(history: History, part: Part, phase: PhaseWindow) -> None:
    if lacking := record.lacking(history, frozenset({part}), phase):
        raise NoValueError(Cause.GAP, lacking)


def _require(history: History, numbers: list[int], word: str, *, is_counter: bool) -> None:
    """Raise NoValueError where a series is not of the sort that a word is about."""
    for number in numbers:
        series = history.metrics.series[number]
        if told.is_counter(series) is (not is_counter):
            other = "gauge" if is_counter else "rate"
            raise NoValueError(
                Cause.CONDITIONS,
                f"{series} is told as {'no counter' if is_counter else 'a count'} "
                f"({series.type}): {other}.{series.name} is about it, {word}.{series.name} is not",
            )


def _rate(asked: Series, history: History, phase: PhaseWindow) -> Bounded:
    """What the counters of a node gained, a second."""
    numbers = told.matching(history, asked)
    if not numbers:
        raise told.untold(history, asked)
    factor = 1.0 if native(asked.name)[2] == "share" else native(asked.name)[1]

    def take(node: int) -> Within | None:
        times = told.pages(history, phase)[node]
        some = _told_by(history, phase, node, numbers)
        _require(history, some, "rate", is_counter=True)
        if not some or not told.are_enough(times, phase):
            return None
        for one in some:
            last = float(told.of_node(history, phase, one, node)[1][-1])
            _require_so(history, phase, node, asked, last)
        gained = sum(told.gained(history, phase, one, node) for one in some)
        per_s = gained * factor / times.seconds
        return Between(per_s, math.inf if times.ends else per_s)

    within, refused = _by_node(history, take)
    return Bounded(within=within, lack=LACK.format(asked), refused=refused)


def _told_by(history: History, phase: PhaseWindow, node: int, numbers: list[int]) -> list[int]:
    """Those of these series that a node told within a phase."""
    return [one for one in numbers if len(told.of_node(history, phase, one, node)[1])]


def _histogram(asked: Series, history: History, phase: PhaseWindow) -> Bounded:
    """How often each node counted a value in each bucket during the phase."""
    buckets = told.matching(history, _part(asked, "_bucket"))
    if not buckets:
        return _of_snapshots(asked, history, phase)

    def take(node: int) -> Buckets | None:
        times = told.pages(history, phase)[node]
        some = _told_by(history, phase, node, buckets)
        if not some or not told.are_enough(times, phase):
            return None
        if times.ends:
            raise NoValueError(
                Cause.GAP,
                f"{history.nodes[node]} ended in phase {phase.name}: what it measured after the "
                "page before that is not known",
            )
        return _counted(asked, history, phase, node, some)

    found, refused = _by_node(history, take)
    quiet = frozenset(node for node, one in found.items() if not one.counts.any())
    within: dict[int, Within] = {node: one for node, one in found.items() if node not in quiet}
    return Bounded(within=within, quiet=quiet, lack=LACK.format(asked), refused=refused)


def _counted(
    asked: Series, history: History, phase: PhaseWindow, node: int, numbers: list[int]
) -> Buckets:
    """What the buckets of a node gained, over all series that have the labels."""
    kind, factor, _ = native(asked.name)
    by_edge: dict[float, float] = {}
    edges_of: dict[frozenset[tuple[str, str]], set[float]] = {}
    for number in numbers:
        series = history.metrics.series[number]
        edge = _edge(series, history.nodes[node])
        rest = frozenset(one for one in series.labels if one[0] != "le")
        edges_of.setdefault(rest, set()).add(edge)
        by_edge[edge] = by_edge.get(edge, 0.0) + told.gained(history, phase, number, node)
    name = f"{asked} at {history.nodes[node]}"
    if any(each != set(by_edge) for each in edges_of.values()) or math.inf not in by_edge:
        raise told.doubted(f"{name} has not the same buckets for all, up to {INFINITE}")
    edges = np.array(sorted(by_edge))
    behind = np.array([by_edge[one] for one in edges.tolist()])
    counts = np.diff(behind, prepend=0.0)
    count = _sum_of(_part(asked, "_count"), history, phase, node)
    if (counts < 0).any() or not (math.isnan(count) or count == behind[-1]):
        raise told.doubted(f"{name} counts more in a bucket than in those that hold it")
    try:
        total = _sum_of(_part(asked, "_sum"), history, phase, node)
    except NoValueError:  # it may fall, where values are below 0
        total = math.nan
    # A time, a size or a share is not below 0; of a plain number nobody says that.
    floor = 0.0 if kind != "number" and edges[0] > 0 else -math.inf
    lows = np.array([floor, *edges[:-1] * factor])
    return Buckets(lows, edges * factor, counts, total * factor)


def _edge(series: Series, node: str) -> float:
    said = dict(series.labels).get("le", "")
    try:
        edge = float(said)
    except ValueError:
        edge = math.nan
    if math.isnan(edge):
        raise told.doubted(f"{series} at {node}: expected le to be a number, found {said!r}")
    return edge


def _sum_of(asked: Series, history: History, phase: PhaseWindow, node: int) -> float:
    """What counters of a node gained together; nan where it tells none."""
    numbers = told.matching(history, asked)
    some = _told_by(history, phase, node, numbers)
    if not some:
        return math.nan
    return sum(told.gained(history, phase, one, node) for one in some)


def _of_snapshots(asked: Series, history: History, phase: PhaseWindow) -> Bounded:
    """Histograms that a driver tells of its node, once a phase, in the base of their kind."""
    names = frozenset(name for *_, name in history.histograms)
    if asked.name not in names or asked.labels:
        raise told.untold(history, asked, names)
    _require_snapshots(history, Part.HISTOGRAMS, phase)
    within: dict[int, Within] = {}
    for (of, node, name), buckets in history.histograms.items():
        if of == phase.name and name == asked.name:
            places = sorted(buckets)
            ends = np.array([stats.ends_of(one) for one in places], np.float64)
            counts = np.array([buckets[one] for one in places], np.float64)
            within[node] = Buckets(ends[:, 0], ends[:, 1], counts)
    return Bounded(within=within, quiet=frozenset(range(len(history.nodes))) - within.keys())


WORDS: dict[str, tuple[Callable[[Series, History, PhaseWindow], Measured], str]] = {
    "gauge": (_gauge, "what nodes tell by that name"),
    "rate": (_rate, "what a counter of that name gained, a second"),
    "histogram": (_histogram, "values that nodes count in buckets by that name"),
}
