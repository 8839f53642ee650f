"""A row over runs, as a small picture: its values, its bound, what changed, what is not known."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

from harness.history.series import Point, Series
from harness.history.trend import Change, Kind

WIDTH, HEIGHT, RIGHT, TOP, FLOOR = 400, 150, 10, 12, 122
LEFT = 58
CELL, STRIP_HEIGHT, CELLS_MOST = 7, 12, 60
BOUND_FAR = 1.6  # times the highest value: a bound further away would flatten the line
MARKS = {"FAIL": "bad", "UNKNOWN": "doubt"}


class Plane:
    """Where runs and values lie in the picture."""

    def __init__(self, series: Series) -> None:
        points = series.points
        values = [float(p.row.value) for p in points if p.row.value is not None]
        finite = [one for one in values if math.isfinite(one)] or [0.0, 1.0]
        self.count = len(points)
        low, high = min(finite), max(finite)
        bounds = [p.row.bound for p in points if p.row.bound is not None]
        near = [one for one in bounds if _is_near(one, low, high)]
        low, high = min([low, *near]), max([high, *near])
        room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
        self.low = max(low - room, 0.0) if low >= 0 else low - room
        self.high = high + room

    def x(self, index: float) -> float:
        """Where a run stands."""
        share = 0.5 if self.count < 2 else index / (self.count - 1)
        return LEFT + 6 + share * (WIDTH - RIGHT - LEFT - 12)

    def y(self, value: float) -> float:
        """Where a value lies; what is beyond the picture lies at its edge."""
        if math.isinf(value):
            return float(TOP - 4 if value > 0 else FLOOR)
        share = (value - self.low) / (self.high - self.low)
        return FLOOR - min(max(share, 0.0), 1.0) * (FLOOR - TOP)


def _is_near(bound: float, low: float, high: float) -> bool:
    if bound <= 0:
        return low - (high - low) <= bound
    return low / BOUND_FAR <= bound <= high * BOUND_FAR


def draw(series: Series, worse: Sequence[Change]) -> str:
    """Draw a series for a view that scales; `worse` are its changes that are called out."""
    plane = Plane(series)
    name = escape(f"{series.key.name}: {len(series.points)} runs", quote=True)
    at = {id(point): number for number, point in enumerate(series.points)}
    known = [at[id(point)] for point in series.known]
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">',
        *_ticks(plane),
        *_dates(series, plane),
        *_news(series.points, plane),
        *_bound(series.points, plane),
        *(_change(one, known, plane, one in worse) for one in series.changes),
        _line(series.points, plane),
        *(_dot(point, number, plane) for number, point in enumerate(series.points)),
        "</svg>",
    ]
    return "".join(parts)


def _ticks(plane: Plane) -> Iterator[str]:
    room = (plane.high - plane.low) * 0.08
    for value in (plane.low + room, (plane.low + plane.high) / 2, plane.high - room):
        y = plane.y(value)
        yield (
            f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text class="tick" x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end">{value:,.4g}'
            "</text>"
        )


def _dates(series: Series, plane: Plane) -> Iterator[str]:
    first, last = series.points[0].entry.started, series.newest.entry.started
    shown = slice(11, 16) if first[:10] == last[:10] else slice(10)  # of one day, its hours
    first, last = first[shown], last[shown]
    y = FLOOR + 18
    yield f'<text class="tick" x="{LEFT}" y="{y}">{escape(first)}</text>'
    if plane.count > 1:
        x = WIDTH - RIGHT
        yield f'<text class="tick" x="{x}" y="{y}" text-anchor="end">{escape(last)}</text>'


def _news(points: Sequence[Point], plane: Plane) -> Iterator[str]:
    """Mark the runs before which a version changed."""
    for number, point in enumerate(points):
        if point.news:
            x = (plane.x(number) + plane.x(number - 1)) / 2
            said = escape(f"since {point.entry.run}: {'; '.join(point.news)}")
            yield (
                f'<line class="news" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{FLOOR}">'
                f"<title>{said}</title></line>"
            )


def _bound(points: Sequence[Point], plane: Plane) -> Iterator[str]:
    """Draw what was promised, a line as long as it stayed the same."""
    begin = 0
    for number in range(1, len(points) + 1):
        bound = points[begin].row.bound
        if number < len(points) and points[number].row.bound == bound:
            continue
        if bound is not None:
            left, right = plane.x(begin - 0.5), plane.x(number - 0.5)
            is_there = plane.low <= bound <= plane.high
            y = plane.y(bound)
            said = escape(f"promised {points[begin].row.promised}")
            if is_there:
                yield (
                    f'<line class="bound" x1="{max(left, LEFT):.1f}" '
                    f'x2="{min(right, WIDTH - RIGHT):.1f}" y1="{y:.1f}" y2="{y:.1f}">'
                    f"<title>{said}</title></line>"
                )
            elif number == len(points):
                y = TOP - 2 if bound > plane.high else FLOOR - 3
                yield (
                    f'<text class="bound" x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{said} '
                    "(off the chart)</text>"
                )
        begin = number


def _change(change: Change, known: Sequence[int], plane: Plane, is_worse: bool) -> str:
    """Draw a change: two levels and the step between them, or the slope of a drift."""
    look = "worse" if is_worse else "moved"
    begin, end = plane.x(known[change.begin]), plane.x(known[change.end - 1])
    before, after = plane.y(change.before), plane.y(change.after)
    if change.kind is Kind.DRIFT:
        path = f"M{begin:.1f} {before:.1f}L{end:.1f} {after:.1f}"
    else:
        x = (begin + plane.x(known[change.begin - 1])) / 2
        path = f"M{x - 24:.1f} {before:.1f}H{x:.1f}V{after:.1f}H{end:.1f}"
    return f'<path class="change {look}" d="{path}"/>'


def _line(points: Sequence[Point], plane: Plane) -> str:
    """Connect the values that are known; a run that is not leaves a gap."""
    path, is_drawing = [], False
    for number, point in enumerate(points):
        if not point.is_known or point.row.value is None:
            is_drawing = False
            continue
        letter = "L" if is_drawing else "M"
        path.append(f"{letter}{plane.x(number):.1f} {plane.y(point.row.value):.1f}")
        is_drawing = True
    return f'<path class="line c0" d="{"".join(path)}"/>'


def _dot(point: Point, number: int, plane: Plane) -> str:
    row, x = point.row, plane.x(number)
    title = f"<title>{escape(said(point))}</title>"
    look = MARKS.get(row.answer, "")
    if row.value is None:
        return _letter("?", look, x, FLOOR - 3, title)
    y = plane.y(row.value)
    if math.isinf(row.value):
        return _letter("∞", "bad", x, y + 4, title)
    return f'<circle class="dot {look}" cx="{x:.1f}" cy="{y:.1f}" r="2.8">{title}</circle>'


def _letter(letter: str, look: str, x: float, y: float, title: str) -> str:
    return (
        f'<text class="dot {look}" x="{x:.1f}" y="{y:.1f}" text-anchor="middle">'
        f"{letter}{title}</text>"
    )


def said(point: Point) -> str:
    """Say a point in a sentence."""
    row = point.row
    why = f": {row.cause}" if row.cause else ""
    return f"{point.entry.run} · {row.measured or '–'} · {row.answer}{why}"


def strip(series: Series) -> str:
    """Draw the answers of a row that has no numbers: a cell a run, the newest on the right."""
    points = series.points[-CELLS_MOST:]
    name = escape(f"{series.key.name}: {len(points)} runs", quote=True)
    cells = "".join(
        f'<rect class="cell {point.row.answer.replace(" ", "-")}" x="{number * CELL}" y="0" '
        f'width="{CELL - 1}" height="{STRIP_HEIGHT}"><title>{escape(said(point))}</title></rect>'
        for number, point in enumerate(points)
    )
    width = len(points) * CELL
    return (
        f'<svg class="strip" viewBox="0 0 {width} {STRIP_HEIGHT}" width="{width}" '
        f'height="{STRIP_HEIGHT}" role="img" aria-label="{name}">{cells}</svg>'
    )
