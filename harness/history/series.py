"""Series: the values of one row over all runs that may be compared, and what became of them. Pure.

Runs on another host, kernel, runtime or network, of another system or load, are another series.
Other versions are the same one, for whose sake it is looked at; where they changed is marked.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from harness.history.entry import Entry, Row
from harness.history.trend import FALSE_ALARMS, Change, Kind, look

LEAST_SHARE = 0.05  # a change of less is marked, and not called out
RUNS_MOST = 100  # newest runs of a series that are looked at
JUDGED = frozenset({"PASS", "FAIL", "MEASURED"})  # answers whose values are known to be so
# Of what is measured and not promised: what is better when there is more of it.
MORE_IS_BETTER = (
    "delivered",
    "coverage",
    "stored",
    "found",
    "completed",
    "established",
    "notified",
    "goodput",
    "received",
)
LESS_IS_BETTER = frozenset({"ns", "us", "µs", "ms", "s", "B", "KB", "MB", "GB", "MiB"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What makes a row the same row in another run."""

    kind: str
    scenario: str
    phase: str
    name: str
    metric: str
    statistic: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A row in one run. `news` names the versions that are not those of the run before."""

    entry: Entry
    row: Row
    news: tuple[str, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether the value may be believed: an UNKNOWN row says that it may not."""
        return self.row.value is not None and self.row.answer in JUDGED


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A row over comparable runs, the oldest first. `worse` is 1 where more is worse, −1 where less
    is, 0 where nobody says. `changes` count the points that are `known`.
    """

    key: Key
    environment: Mapping[str, str]
    points: tuple[Point, ...]
    worse: int
    changes: tuple[Change, ...] = ()

    @property
    def known(self) -> tuple[Point, ...]:
        """The points whose values may be believed."""
        return tuple(point for point in self.points if point.is_known)

    @property
    def newest(self) -> Point:
        """The newest point."""
        return self.points[-1]

    def degraded(self, least: float = LEAST_SHARE) -> tuple[Change, ...]:
        """The changes to the worse that last until now and are as much as that share: what is
        called out.
        """
        if not self.changes or not self.worse:
            return ()
        now = self.changes[-1].after
        return tuple(
            one
            for one in self.changes
            if worsening(replace(one, after=now), self.worse, self.key.unit) >= least
            and worsening(one, self.worse, self.key.unit) > 0
            and (one.kind is Kind.STEP or one.end == len(self.known))
        )


def worsening(change: Change, worse: int, unit: str) -> float:
    """By what share a row became worse; below 0: better. Of a share that should be whole it is that
    of what is missing: 99.9 to 99.5 % is five times as bad.
    """
    if unit == "%" and worse < 0 and change.before <= 100:
        missing = replace(change, before=100 - change.before, after=100 - change.after)
        return missing.share
    return change.share * worse


def series(
    entries: Iterable[Entry], *, last: int = RUNS_MOST, false_alarms: float = FALSE_ALARMS
) -> list[Series]:
    """Put the rows of all entries into series, each with what changed in it; those of the newest
    runs first. `last`: how many of a series' newest runs are looked at.
    """
    found: dict[tuple[Key, tuple[tuple[str, str], ...]], list[Point]] = {}
    for entry in sorted(entries, key=_begun):
        seen = Counter[Key]()
        for row in entry.rows:
            key = _key(entry, row)
            seen[key] += 1
            if seen[key] > 1:  # two findings of one name are two rows
                key = replace(key, name=f"{key.name} ({seen[key]})")
            place = (key, tuple(sorted(entry.environment.items())))
            found.setdefault(place, []).append(Point(entry=entry, row=row))
    made = [
        Series(
            key=key,
            environment=dict(environment),
            points=_with_news(points[-last:]),
            worse=worse(points[-1].row),
        )
        for (key, environment), points in found.items()
    ]
    changes = look([[float(one.row.value or 0.0) for one in of.known] for of in made], false_alarms)
    made = [replace(one, changes=tuple(of)) for one, of in zip(made, changes, strict=True)]
    return sorted(made, key=lambda one: _begun(one.newest.entry), reverse=True)


def _key(entry: Entry, row: Row) -> Key:
    return Key(
        kind=entry.kind,
        scenario=entry.scenario,
        phase=row.phase,
        name=row.name,
        metric=row.metric,
        statistic=row.statistic,
        unit=row.unit,
    )


def _begun(entry: Entry) -> tuple[datetime, str]:
    begun = datetime.fromisoformat(entry.started)
    return (begun if begun.tzinfo else begun.replace(tzinfo=UTC)), entry.id


def _with_news(points: Sequence[Point]) -> tuple[Point, ...]:
    found, before = [], points[0].entry.versions
    for point in points:
        now = point.entry.versions
        news = tuple(
            f"{name} {before.get(name, '–')} → {now.get(name, '–')}"
            for name in sorted({*before, *now})
            if before.get(name) != now.get(name)
        )
        found.append(replace(point, news=news))
        before = now
    return tuple(found)


def worse(row: Row) -> int:
    """Say in which direction a row gets worse: 1 up, −1 down, 0 nobody knows. Its promise tells
    it, and of what is not promised its metric and unit.
    """
    comparison = row.promised.partition(" ")[0] if row.bound is not None else ""
    if comparison in ("<", "<="):
        return 1
    if comparison in (">", ">="):
        return -1
    if row.metric.rpartition(".")[2] in MORE_IS_BETTER:
        return -1
    return 1 if row.unit in LESS_IS_BETTER and comparison != "==" else 0


def told(of: Series, change: Change) -> str:
    """Say a change in a sentence."""
    known = of.known
    unit = "" if of.key.unit in ("", "1") else f" {of.key.unit}"
    levels = f"{_short(change.before)} → {_short(change.after)}{unit}"
    by = f" ({change.share:+.1%})" if math.isfinite(change.share) else ""
    sure = "" if change.is_certain else "it seems: "
    p = f"p = {change.p:.1g}"
    if change.kind is Kind.DRIFT:
        runs = change.end - change.begin
        each = ""
        if change.per_run is not None and change.before:
            each = f"{change.per_run / abs(change.before):+.1%} a run "
        return f"{sure}drifts {each}over {runs} runs: {levels}{by}; {p}"
    since = len(known) - change.begin
    at = known[change.begin].entry
    return f"{sure}another level since {at.run}, {since} runs ago: {levels}{by}; {p}"


def _short(value: float) -> str:
    return "∞" if math.isinf(value) else f"{value:,.4g}"


def as_json(of: Series, least: float = LEAST_SHARE) -> dict[str, Any]:
    """Return a series as JSON has it; what is endless is ``"inf"``."""
    called = of.degraded(least)
    known = of.known
    return {
        **{name: getattr(of.key, name) for name in Key.__dataclass_fields__},
        "environment": dict(of.environment),
        "worse": {1: "more", -1: "less", 0: None}[of.worse],
        "points": [
            {
                "run": one.entry.run,
                "started": one.entry.started,
                "answer": one.row.answer,
                "value": _number(one.row.value),
                "bound": one.row.bound,
                "cause": one.row.cause,
                "news": list(one.news),
            }
            for one in of.points
        ],
        "changes": [
            {
                "kind": str(one.kind),
                "since": known[one.begin].entry.run,
                "runs": one.end - one.begin,
                "before": _number(one.before),
                "after": _number(one.after),
                "share": _number(one.share),
                "per_run": _number(one.per_run),
                "p": one.p,
                "is_certain": one.is_certain,
                "is_degradation": one in called,
                "sentence": told(of, one),
            }
            for one in of.changes
        ],
    }


def _number(value: float | None) -> float | str | None:
    if value is None or math.isnan(value):
        return None
    return str(value) if math.isinf(value) else value
