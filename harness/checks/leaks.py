"""What grows and does not stop: memory, descriptors, threads, connections and disk of each node, of
the harness's own processes, and of all nodes together. Pure.

Many series are looked at, and one of them looks like a leak by chance. So the probabilities are
corrected by Holm's method, which bounds the chance of even one false accusation in all of them,
however they hang together. A method that bounds the share of false ones (Benjamini and Hochberg)
would find a little more, and be wrong about some node in some of many nights: each finding stands
for itself here, and is a FAIL.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from harness.checks import slope
from harness.checks.slope import Life, Slope

HOUR_S = 3600.0
LONG_IN_S = 90.0  # what is shorter is told in seconds
FALSE_ALARMS = 0.01  # how often anything is said to leak where nothing does, over all series
WANDERS = (
    0.5  # correlation of a trough with the next: what wanders is no trend yet, however far it went
)
YOUNG_S = slope.WARM_UP_S_MOST  # for so long memory that rises may be what a process fills,
YOUNG_TAKES = 0.15  # where it is less than so much of what it had
TOGETHER = "mean of all nodes"
TOGETHER_CELLS = 240  # of time, in each of which nodes are added up
TOGETHER_COVERED = 0.8  # of the whole time must be one life of a node that is added


class Resource(NamedTuple):
    """Something that may leak: in which step it comes, and from how much an hour on it is told of.

    What grows more slowly takes months to matter, and what processes do in their first hours looks
    like it.
    """

    is_bytes: bool
    quantum: float
    least_per_h: float


# What no file holds, in memory or swapped out; and what is in memory, of files too. Where the first
# is told the second tells of no leak: a kernel that is short of memory takes it back.
MEMORY, RESIDENT = "memory", "rss"
RESOURCES: Mapping[str, Resource] = {
    MEMORY: Resource(is_bytes=True, quantum=4096, least_per_h=0.5e6),
    RESIDENT: Resource(is_bytes=True, quantum=4096, least_per_h=0.5e6),
    "fds": Resource(is_bytes=False, quantum=1, least_per_h=2),
    "threads": Resource(is_bytes=False, quantum=1, least_per_h=2),
    "connections": Resource(is_bytes=False, quantum=1, least_per_h=2),
    "disk": Resource(is_bytes=True, quantum=4096, least_per_h=10e6),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One resource (of RESOURCES) of one node or process, over its lives, in order of time.

    `limit` is what it may reach, in bytes or numbers, and `limit_is` what that is; None: nobody
    knows of one.
    """

    of: str
    resource: str
    lives: tuple[Life, ...]
    limit: float | None = None
    limit_is: str = "its limit of {}"
    is_node: bool = True
    share: float = 1.0  # of a step of the resource, in which its values come


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """What became of one series. `slope` None: nobody can tell (`untold`). `p` is corrected for how
    many series there are. `rises`: that it does is no chance; what rises and is no leak may fill.
    """

    watched: Watched
    slope: Slope | None
    p: float
    rises: bool
    is_leak: bool

    @property
    def is_told(self) -> bool:
        """Whether a leak would have shown: its interval is that of a trend."""
        return self.untold is None

    @property
    def untold(self) -> Untold | None:
        """Why nobody can tell whether it leaks; None where somebody can."""
        if self.slope is not None and self.rises and fills(self.watched, self.slope):
            return Untold(TOO_EARLY, filling(self.watched, self.slope))
        return untold(self.watched, self.slope)

    @property
    def is_open(self) -> bool:
        """Whether it leaves open that something leaks. A mean has no place of its own: it does so
        only where it rises.
        """
        why = self.untold
        return why is not None and (self.watched.of != TOGETHER or why.why == TOO_EARLY)

    @property
    def sentence(self) -> str:
        """``node-3: fds +1.0/min [0.9, 1.1], reaches its limit of 20,000 in 11 h``."""
        return sentence(self.watched, self.slope, self.untold)


def found(watched: Sequence[Watched], false_alarms: float = FALSE_ALARMS) -> list[Trend]:
    """Return the trend of each series, and of all nodes together where there are several; those
    that leak are found with less than `false_alarms` for one that does not, over all of them.

    Intervals hold for all series at once (Bonferroni).
    """
    chosen = _without_resident(watched)
    looked_at = [*chosen, *together(chosen)]
    if not looked_at:
        return []
    confidence = 1 - false_alarms / len(looked_at)
    slopes = [of(one, confidence) for one in looked_at]
    corrected = _holm([1.0 if one is None else one.p for one in slopes])
    return [
        _trend(one, found, p, rises=p < false_alarms)
        for one, found, p in zip(looked_at, slopes, corrected, strict=True)
    ]


def _trend(watched: Watched, found: Slope | None, p: float, *, rises: bool) -> Trend:
    is_leak = (
        found is not None and rises and not fills(watched, found) and not _wanders(watched, found)
    )
    return Trend(watched=watched, slope=found, p=p, rises=rises, is_leak=is_leak)


def fills(watched: Watched, found: Slope) -> bool:
    """Whether a rise of it may be one that stops: it has slowed down; or it is young, and of what a
    process takes until it has enough (memory, disk).
    """
    return found.slows or (RESOURCES[watched.resource].is_bytes and _is_young(watched, found))


def filling(watched: Watched, found: Slope) -> str:
    """Say why what rises may stop."""
    if found.slows:
        first, since = (at_rate(watched.resource, per_s) for per_s in found.halves)
        return f"it rises ever more slowly, by {first} at first and {since} since"
    more = f"{100 * _taken(watched, found):.0f} % more in {_long(_age_s(watched))}"
    return f"it may still fill, and took {more}"


def _is_young(watched: Watched, found: Slope) -> bool:
    """Whether it is as old as a process that fills caches of what was in the last minutes, which
    rise like a leak until they are full, and took no more than these do.
    """
    return _age_s(watched) < YOUNG_S and _taken(watched, found) < YOUNG_TAKES


def _age_s(watched: Watched) -> float:
    return max(float(life.at_s[-1] - life.at_s[0]) for life in watched.lives if len(life.at_s))


def _taken(watched: Watched, found: Slope) -> float:
    """Return what it took as it rises, as a share of what it had."""
    taken = found.per_s * _age_s(watched)
    return taken / max(found.last - taken, 1.0)


def _wanders(watched: Watched, found: Slope) -> bool:
    """Whether a rise of it is no news, however clearly it shows."""
    return RESOURCES[watched.resource].is_bytes and found.repeats >= WANDERS


def _without_resident(watched: Sequence[Watched]) -> list[Watched]:
    """Leave out the resident memory of what its memory is told of."""
    told = {one.of for one in watched if one.resource == MEMORY}
    return [one for one in watched if one.resource != RESIDENT or one.of not in told]


def of(watched: Watched, confidence: float) -> Slope | None:
    """Return the slope of one series; None where nobody can tell of one."""
    about = RESOURCES[watched.resource]
    return slope.of(
        watched.lives,
        confidence=confidence,
        least_per_s=about.least_per_h / HOUR_S,
        quantum=about.quantum * watched.share,
        is_counted=not about.is_bytes,
    )


def joined(parts: Iterable[Sequence[Watched]]) -> list[Watched]:
    """Return the series of several stretches of one clock, in order of time, as one: a process that
    goes on in the next stretch lives one life. The newest limit holds.
    """
    lives: dict[tuple[str, str], list[Life]] = defaultdict(list)
    newest: dict[tuple[str, str], Watched] = {}
    for part in parts:
        for one in part:
            key = (one.of, one.resource)
            newest[key] = one if one.limit is not None or key not in newest else newest[key]
            for life in one.lives:
                before = lives[key][-1] if lives[key] else None
                if before is not None and life.process and before.process == life.process:
                    lives[key][-1] = _continued(before, life)
                else:
                    lives[key].append(life)
    return [replace(one, lives=tuple(lives[key])) for key, one in newest.items()]


def thinned(watched: Sequence[Watched], every_s: float) -> list[Watched]:
    """Return the series as the troughs of stretches of so long: what is to be kept of them."""
    return [
        replace(one, lives=tuple(slope.thinned(life, every_s) for life in one.lives))
        for one in watched
    ]


def together(watched: Sequence[Watched]) -> list[Watched]:
    """Return the mean of each resource over the nodes that lived nearly all the time, where these
    are most of several: what leaks a little in each may show in none.
    """
    by_resource: dict[str, list[Watched]] = defaultdict(list)
    for one in watched:
        if one.is_node and any(len(life.at_s) for life in one.lives):
            by_resource[one.resource].append(one)
    means = (_mean(resource, nodes) for resource, nodes in by_resource.items() if len(nodes) > 1)
    return [one for one in means if one is not None]


def _mean(resource: str, nodes: Sequence[Watched]) -> Watched | None:
    lives = [life for one in nodes for life in one.lives if len(life.at_s)]
    begin_s = min(float(life.at_s[0]) for life in lives)
    end_s = max(float(life.at_s[-1]) for life in lives)
    long = [
        life
        for life in lives
        if life.at_s[-1] - life.at_s[0] >= TOGETHER_COVERED * (end_s - begin_s) > 0
    ]
    if 2 * len(long) <= len(nodes):
        return None
    cell_s = (end_s - begin_s) / TOGETHER_CELLS
    total, seen = np.zeros(TOGETHER_CELLS), np.zeros(TOGETHER_CELLS, np.int64)
    for life in long:
        cell = np.minimum(((life.at_s - begin_s) / cell_s).astype(np.int64), TOGETHER_CELLS - 1)
        order = np.lexsort((life.values, cell))
        cells, first = np.unique(cell[order], return_index=True)
        total[cells] += life.values[order][first]
        seen[cells] += 1
    whole = np.flatnonzero(seen == len(long))
    made = Life(at_s=(whole + 0.5) * cell_s + np.float64(begin_s), values=total[whole] / len(long))
    return Watched(of=TOGETHER, resource=resource, lives=(made,), share=1 / len(long))


def _continued(before: Life, after: Life) -> Life:
    return replace(
        before,
        at_s=np.concatenate([before.at_s, after.at_s]),
        values=np.concatenate([before.values, after.values]),
    )


def _holm(probabilities: Sequence[float]) -> list[float]:
    """Correct probabilities by Holm's step-down method (1979)."""
    count, least, made = len(probabilities), 0.0, [1.0] * len(probabilities)
    for place, index in enumerate(np.argsort(np.array(probabilities), kind="stable").tolist()):
        least = max(least, (count - place) * probabilities[index])
        made[index] = min(least, 1.0)
    return made


def sentence(watched: Watched, found: Slope | None, why: Untold | None = None) -> str:
    """Say what a series does. `why`: nobody can tell whether it leaks; else that is looked for."""
    said, why = f"{watched.of}: {watched.resource}", why or untold(watched, found)
    if found is None or not found.is_bounded:
        return f"{said}: {why}"
    told = f"{said} {rate(watched.resource, found)}"
    return f"{told}, {why}" if why is not None else f"{told}{_reaches(watched, found)}"


class Untold(NamedTuple):
    """Why nobody can tell whether a series leaks, in a word, and what was seen of it."""

    why: str
    seen: str

    def __str__(self) -> str:
        return f"{self.why} to tell: {self.seen}"


UNEVEN, TOO_EARLY = "too uneven", "too early"
NOT_SAMPLED = Untold("too short", "nothing of it was sampled")


def untold(watched: Watched, found: Slope | None) -> Untold | None:
    """Say why nobody can tell whether a series leaks; None where somebody can."""
    if found is not None and (found.is_uneven or _rises_and_wanders(watched, found)):
        digits = 1 if max(value for _, value in found.turns) < 100e6 else 0
        turns = [
            f"{_amount(watched.resource, value, digits)}{f' after {_long(at_s)}' if at_s else ''}"
            for at_s, value in found.turns
        ]
        return Untold(UNEVEN, ", ".join(turns))
    if found is not None and found.is_bounded:
        return None
    lives = [life for life in watched.lives if len(life.at_s)]
    if not lives:
        return NOT_SAMPLED
    longest_s = max(float(life.at_s[-1] - life.at_s[0]) for life in lives)
    longest = _long(longest_s)
    if len(lives) > 1 and lives[-1].at_s[-1] - lives[0].at_s[0] >= slope.LEAST_S:
        return Untold("restarted too often", f"{len(lives)} lives, the longest of {longest}")
    is_short = longest_s < slope.LEAST_S or (found is not None and found.seconds < slope.AMPLE_S)
    if is_short or sum(len(life.at_s) for life in lives) >= slope.AMPLE_SAMPLES:
        return Untold("too short", f"{longest} of it")
    return Untold("too few samples", f"{sum(len(life.at_s) for life in lives)} in {longest}")


def _rises_and_wanders(watched: Watched, found: Slope) -> bool:
    """Whether it rose for sure, by what is told of, and nobody says that it leaks."""
    least_per_s = RESOURCES[watched.resource].least_per_h / HOUR_S
    return found.low_per_s > least_per_s and not found.slows and _wanders(watched, found)


def rate(resource: str, found: Slope) -> str:
    """Show a slope with its interval: ``+2.0 MB/h [1.8, 2.2]``."""
    factor, unit = _unit(resource, found.per_s)
    low, high = (_short(one * factor) for one in (found.low_per_s, found.high_per_s))
    return f"+{_short(found.per_s * factor)}{unit} [{low}, {high}]".replace("+-", "-")


def at_rate(resource: str, per_s: float) -> str:
    """Show a slope: ``2.0 MB/h``."""
    factor, unit = _unit(resource, per_s)
    return f"{_short(per_s * factor)}{unit}"


def _unit(resource: str, per_s: float) -> tuple[float, str]:
    """In what a slope is shown: the factor from that of seconds, and the unit."""
    if RESOURCES[resource].is_bytes:
        return HOUR_S / 1e6, " MB/h"
    return (60.0, "/min") if abs(per_s) * 60 >= 0.5 else (HOUR_S, "/h")


def _reaches(watched: Watched, found: Slope) -> str:
    """Say when it reaches its limit at this rate, as the end of a sentence; empty where it does not
    rise, or nobody knows of a limit.
    """
    if watched.limit is None or found.low_per_s <= 0 or found.last >= watched.limit:
        return ""
    most = _amount(watched.resource, watched.limit)
    after = _long((watched.limit - found.last) / found.per_s)
    return f", reaches {watched.limit_is.format(most)} in {after}"


def _amount(resource: str, value: float, digits: int = 0) -> str:
    if RESOURCES[resource].is_bytes:
        return f"{value / 1e6:,.{digits}f} MB"
    return f"{value:,.0f}"


def _long(seconds: float) -> str:
    if seconds < LONG_IN_S:
        return f"{seconds:.0f} s"
    for unit, length, most in (("min", 60.0, 90), ("h", HOUR_S, 72)):
        if seconds < most * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86400:,.0f} days"


def _short(value: float) -> str:
    return f"{value:.{_digits(value)}f}"


def _digits(value: float) -> int:
    return 1 if abs(value) >= 0.95 else 2
