"""A page is what a node tells of itself at once, in the text format of Prometheus: series, and a
value of each.

A page is believed as a whole or not at all. Its first look at a line is prometheus_client's; of a
line that begins as one before, only the value is read anew.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from prometheus_client.parser import text_fd_to_metric_families

TEXT_BYTES_MAX = 2 << 20
SERIES_MAX = 5_000  # of a node at once
KNOWN_MAX = 50_000  # of all nodes in a run: labels that are new each second would fill the disk
NAME_CHARACTERS_MAX = 1_000
AGE_S_MAX = 5.0  # of a value with a time of its own
PARTS = ("_bucket", "_sum", "_count")  # what a histogram or a summary is told in
QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
SHOWN = 60  # characters of a line that cannot be read


NAME = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
# How a line begins: a name and labels, in whose values anything may stand.
HEAD = re.compile(r'[^\s{]+(?:\s*\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?')


class PageError(Exception):
    """A page is not believed; says why."""


class Page(NamedTuple):
    """What a page tells: series by number, and the value of each."""

    series: list[int]
    values: list[float]


class Reader:
    """Reads the pages of all nodes in a run, and numbers the series that are told."""

    def __init__(self, only: Collection[str] = ()) -> None:
        """`only`: patterns of names (``raft_*``) that are kept; empty: all are."""
        self.series: list[tuple[str, str]] = []  # number → the series, its type
        self._numbers: dict[tuple[str, str], int] = {}
        self._heads: dict[str, tuple[str, str]] = {}  # how a line begins → series, name
        self._only, self._kept = tuple(only), dict[str, bool]()

    def read(self, text: str, now_s: float) -> Page:
        """Read a page that was told at `now_s` (Unix time). Raises PageError."""
        if not text.endswith("\n"):
            raise PageError("it is empty" if not text else "it is cut: its last line has no end")
        found: dict[int, float] = {}
        types: dict[str, str] = {}
        is_empty = True
        for line in map(str.strip, text.split("\n")):
            if line.startswith("#"):
                _, *words = line.split()
                if words[:1] == ["TYPE"] and len(words) == 3:
                    types[words[1]] = words[2]
            elif line:
                is_empty = False
                series, name, value = self._sample(line, now_s)
                if not self._keeps(name):
                    continue
                number = self._number(series, _type_of(name, types))
                if number in found:
                    raise PageError(f"it tells {series} twice")
                found[number] = value
                if len(found) > SERIES_MAX:
                    raise PageError(
                        f"it tells more than {SERIES_MAX:,} series: name those to keep "
                        "(metrics.only)"
                    )
        if is_empty:
            raise PageError("it tells no metric")
        return Page(list(found), list(found.values()))

    def _sample(self, line: str, now_s: float) -> tuple[str, str, float]:
        """Return the series of a line, its name, and its value."""
        begin = HEAD.match(line)
        head = begin[0] if begin else ""
        plain, _, _ = line[len(head) :].partition("#")  # behind it is an exemplar of OpenMetrics
        known = self._heads.get(head)
        if known is None:
            known = _parsed(head + plain)
            if len(self._heads) >= KNOWN_MAX:
                self._heads.clear()
            self._heads[head] = known
        said = plain.split()
        try:
            if not 1 <= len(said) <= 2 or any("_" in each for each in said):
                raise ValueError
            value, *at_ms = map(float, said)
        except ValueError:
            raise PageError(_unreadable(line)) from None
        off_s = abs(now_s - at_ms[0] / 1e3) if at_ms else 0.0
        if not off_s <= AGE_S_MAX:
            raise PageError(f"its {known[0]} is of another time: {off_s:,.0f} s off")
        return *known, value

    def _keeps(self, name: str) -> bool:
        if not self._only:
            return True
        if name not in self._kept:
            if len(self._kept) >= KNOWN_MAX:
                self._kept.clear()
            self._kept[name] = any(fnmatchcase(name, pattern) for pattern in self._only)
        return self._kept[name]

    def _number(self, series: str, type_: str) -> int:
        number = self._numbers.get((series, type_))
        if number is None:
            if len(self.series) >= KNOWN_MAX:
                raise PageError(
                    f"nodes told more than {KNOWN_MAX:,} different series in this run: it tells "
                    f"{series[:SHOWN]} for the first time"
                )
            number = self._numbers[series, type_] = len(self.series)
            self.series.append((series, type_))
        return number


def _parsed(line: str) -> tuple[str, str]:
    """Return the series of a line, its labels in order, and its name. Raises PageError."""
    try:
        [family] = text_fd_to_metric_families([line])  # type: ignore[arg-type]  # any lines do
        [sample] = family.samples
    except (ValueError, IndexError):
        raise PageError(_unreadable(line)) from None
    for named in (sample.name, *sample.labels):
        if not NAME.fullmatch(named):
            raise PageError(f"expected names of letters, digits, _ and :, found {named[:SHOWN]!r}")
    series = written(sample.name, sample.labels)
    if len(series) > NAME_CHARACTERS_MAX:
        raise PageError(f"a series has {len(series):,} characters: {series[:SHOWN]}…")
    return series, sample.name


def written(name: str, labels: Mapping[str, str]) -> str:
    """Write a series: ``name{a="b",c="d"}``, its labels in order."""
    if not labels:
        return name
    inside = ",".join(f'{key}="{labels[key].translate(QUOTED)}"' for key in sorted(labels))
    return f"{name}{{{inside}}}"


def _type_of(name: str, types: Mapping[str, str]) -> str:
    """Return the type that a page gives a name; empty: none."""
    if name in types:
        return types[name]
    for part in PARTS:
        if name.endswith(part):
            type_ = types.get(name.removesuffix(part), "")
            return type_ if type_ in ("histogram", "summary") else ""
    return ""


def _unreadable(line: str) -> str:
    return f"expected a metric and its value, found {line[:SHOWN]!r}"
