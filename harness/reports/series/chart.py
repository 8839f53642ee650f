"""Charts as values, and how they are made smaller without losing an extreme."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
POINTS = 240  # a line: more cannot be told apart on a page
LOG_SPAN = 100  # highest ÷ lowest drawn value from which on a logarithmic axis tells more


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a chart: nan where nothing was measured. `upper` makes it a band from `values` to
    `upper`. `look` names its class in the style sheet; empty: the next colour.
    """

    name: str
    values: Floats
    upper: Floats | None = None
    look: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a row of the budget promises, in the chart's unit, over its phase."""

    value: float
    from_s: float
    until_s: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A second, or several, in which operations did not come true."""

    from_s: float
    until_s: float
    says: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """Lines over the same times. `key` is its anchor; `data` are the files that it is drawn from.

    `stacked`: each line is an area upon the one before. `seconds`: how many a point stands for.
    """

    key: str
    title: str
    unit: str
    at_s: Floats
    lines: tuple[Line, ...]
    note: str = ""
    data: tuple[str, ...] = ()
    stacked: bool = False
    log: bool = False
    seconds: float = 1.0
    bounds: tuple[Bound, ...] = ()
    marks: tuple[Mark, ...] = ()

    @property
    def is_empty(self) -> bool:
        """Whether it has nothing to show: nothing was measured, and nothing is marked."""
        return not self.marks and not any(np.isfinite(line.values).any() for line in self.lines)


def thin(chart: Chart, points: int = POINTS) -> Chart:
    """Make a chart of at most `points` values a line: of as many seconds each, the lowest and the
    highest; of a band its outer edges; of stacked areas the mean, so that they still add up.
    """
    count = len(chart.at_s)
    if count <= points:
        return chart
    size = -(-count // (points if chart.stacked else points // 2))
    groups = np.append(np.arange(0, count, size), count)
    starts = groups[:-1]
    middle = (chart.at_s[starts] + chart.at_s[groups[1:] - 1]) / 2
    if chart.stacked:
        lines = tuple(
            replace(line, values=np.add.reduceat(line.values, starts) / np.diff(groups))
            for line in chart.lines
        )
        return replace(chart, at_s=middle, lines=lines, seconds=chart.seconds * size)
    width = chart.at_s[1] - chart.at_s[0]
    at_s = np.stack([middle - size * width / 4, middle + size * width / 4], axis=1).ravel()
    lines = tuple(_extremes(line, groups) for line in chart.lines)
    return replace(chart, at_s=at_s, lines=lines, seconds=chart.seconds * size)


def _extremes(line: Line, groups: npt.NDArray[np.intp]) -> Line:
    """Of each group the lowest and the highest value, in the order in which they came; of a band
    its lowest and highest edge, twice.
    """
    found = np.full((len(groups) - 1, 2), np.nan)
    upper = None if line.upper is None else np.full((len(groups) - 1, 2), np.nan)
    for number, (begin, end) in enumerate(itertools.pairwise(groups)):
        part = line.values[begin:end]
        if not np.isfinite(part).any():
            continue
        if line.upper is not None and upper is not None:
            found[number] = np.nanmin(part)
            upper[number] = np.nanmax(line.upper[begin:end])
            continue
        ends = sorted((int(np.nanargmin(part)), int(np.nanargmax(part))))
        found[number] = part[ends]
    return replace(line, values=found.ravel(), upper=None if upper is None else upper.ravel())


def wants_log(lines: tuple[Line, ...]) -> bool:
    """Whether the lines span so much that the small values of a linear axis could not be seen."""
    values = np.concatenate([line.values for line in lines]) if lines else np.empty(0)
    values = values[np.isfinite(values)]
    return bool(len(values) and values.min() > 0 and values.max() / values.min() >= LOG_SPAN)
