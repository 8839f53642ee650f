"""A chart: lines, bands and areas over time; phases behind them, what was in force above them,
bounds and marks upon them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from harness.history.history import PhaseWindow
from harness.reports.series.bands import Band
from harness.reports.series.chart import Bound, Chart, Floats, Line, Mark
from harness.reports.svg.axes import Axes, log_scale, moments, scale, span

WIDTH, RIGHT = 520, 12
NAMES, LANE, PLOT, BOTTOM = 18, 17, 150, 24  # heights: of phases' names, a lane, the plot, the foot
LANES_MOST = 6
CHARACTER = 8.4  # the widest that a character gets: text is larger on a phone
BOUND_FAR = 4.0  # times the highest value: a bound further up would flatten the lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What all charts of a run share."""

    phases: Sequence[PhaseWindow]
    bands: Sequence[Band]
    begin_ns: int
    end_s: float


def draw(chart: Chart, scene: Scene) -> str:
    """Draw a chart for a view that scales; the page's script finds the plot by data attributes."""
    lanes, more = lanes_of(scene.bands)
    top = NAMES + LANE * (len(lanes) + bool(more)) + 4
    axes, ticks = axes_of(chart, scene.end_s, top)
    label = escape(chart.title, quote=True)
    parts = [
        (
            f'<svg class="chart" viewBox="0 0 {WIDTH} {top + PLOT + BOTTOM}" role="img" '
            f'aria-label="{label}" data-left="{axes.left:.1f}" data-width="{WIDTH}" '
            f'data-right="{RIGHT}">'
        ),
        *_phases(scene, axes),
        *_lanes(lanes, more, axes),
        *(_tick(tick, axes) for tick in ticks),
        *(_moment(at_s, text, axes) for at_s, text in moments(scene.end_s)),
        *(_mark(mark, axes) for mark in chart.marks),
        *(_areas(chart, axes) if chart.stacked else _lines(chart, axes)),
        *_bounds(chart.bounds, axes),
        f'<line class="cross" y1="{axes.top}" y2="{axes.floor}" hidden=""/></svg>',
    ]
    return "".join(parts)


def axes_of(chart: Chart, end_s: float, top: float) -> tuple[Axes, list[float]]:
    """Choose the axes of a chart, and the ticks of its values."""
    drawn = [line.values if line.upper is None else line.upper for line in chart.lines]
    if chart.stacked:
        drawn = [np.sum([np.nan_to_num(line.values) for line in chart.lines], axis=0)]
    least, most = span(drawn)
    near = [bound.value for bound in chart.bounds if 0 < bound.value <= BOUND_FAR * most]
    most = max([most, *near])
    if chart.log:
        least, most, ticks = log_scale(min([least, *near]), most)
    else:
        (most, ticks), least = scale(most), 0.0
    left = max(len(_value(tick)) for tick in ticks) * CHARACTER + 8
    axes = Axes(
        left=left,
        right=WIDTH - RIGHT,
        top=top,
        floor=top + PLOT,
        end_s=end_s,
        least=least,
        most=most,
        log=chart.log,
    )
    return axes, ticks


def lanes_of(bands: Sequence[Band]) -> tuple[list[list[Band]], int]:
    """Put bands into as few lanes as hold them side by side, and count those for which there was no
    lane.
    """
    lanes: list[list[Band]] = []
    more = 0
    for band in sorted(bands, key=lambda one: (one.from_s, -one.until_s)):
        free = next((lane for lane in lanes if lane[-1].until_s <= band.from_s), None)
        if free is not None:
            free.append(band)
        elif len(lanes) < LANES_MOST:
            lanes.append([band])
        else:
            more += 1
    return lanes, more


def _phases(scene: Scene, axes: Axes) -> Iterator[str]:
    """Draw each phase as a ground, in the colour of its kind or in two shades by turns, with its
    name and, where there is room, its kind.
    """
    for number, phase in enumerate(scene.phases):
        begin_s = (phase.begin_ns - scene.begin_ns) / 1e9
        x, width = _extent(begin_s, begin_s + phase.seconds, axes, 0.0)
        called, look = phase.name, f"p{number % 2}"
        if phase.kind is not None:
            called, look = f"{phase.name} ({phase.kind})", f"k-{phase.kind}"
        title = f"<title>{escape(called)}</title>"
        yield (
            f'<rect class="phase {look}" x="{x:.1f}" y="{axes.top}" width="{width:.1f}" '
            f'height="{axes.floor - axes.top}">{title}</rect>'
        )
        if phase.kind is not None:
            yield (
                f'<rect class="kind {look}" x="{x:.1f}" y="{NAMES - 4}" '
                f'width="{max(width - 1, 1):.1f}" height="3">{title}</rect>'
            )
        room = width - 4
        name = called if len(called) * CHARACTER <= room else fitting(phase.name, room)
        if name:
            yield f'<text class="phase" x="{x + 3:.1f}" y="{NAMES - 6}">{escape(name)}</text>'


def _extent(from_s: float, until_s: float, axes: Axes, least: float = 1.5) -> tuple[float, float]:
    """Where a stretch of time begins, and how wide it is."""
    x = axes.x(from_s)
    return x, max(axes.x(until_s) - x, least)


def fitting(text: str, width: float) -> str:
    """Cut a text to what fits into a width; of less than three characters nothing is left."""
    count = int(width / CHARACTER)
    if len(text) <= count:
        return text
    return f"{text[: count - 1]}…" if count >= 3 else ""


def _lanes(lanes: Sequence[Sequence[Band]], more: int, axes: Axes) -> Iterator[str]:
    """Draw each band twice: named in its lane, and as a tint over the plot."""
    for number, lane in enumerate(lanes):
        y = NAMES + number * LANE
        for band in lane:
            x, width = _extent(band.from_s, band.until_s, axes)
            kind = escape(band.kind, quote=True)
            title = f"<title>{escape(f'{band.name}: {band.does}')}</title>"
            yield (
                f'<rect class="tint k-{kind}" x="{x:.1f}" y="{axes.top}" width="{width:.1f}" '
                f'height="{axes.floor - axes.top}"/><rect class="band k-{kind}" x="{x:.1f}" '
                f'y="{y}" width="{width:.1f}" height="{LANE - 2}">{title}</rect>'
            )
            name = fitting(band.name, width - 6)
            if name:
                yield (
                    f'<text class="band" x="{x + 4:.1f}" y="{y + LANE - 6}">{escape(name)}'
                    f"{title}</text>"
                )
    if more:
        said, y = f"and {more:,} more band{'s' * (more > 1)}", NAMES + LANE * len(lanes)
        yield (
            f'<text class="phase" x="{axes.right}" y="{y + LANE - 6}" text-anchor="end">{said}'
            "</text>"
        )


def _value(value: float) -> str:
    return f"{value:,.10g}"


def _tick(value: float, axes: Axes) -> str:
    y = axes.y(value)
    return (
        f'<line class="grid" x1="{axes.left:.1f}" x2="{axes.right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        f'<text class="tick" x="{axes.left - 5:.1f}" y="{y + 4:.1f}" '
        f'text-anchor="end">{_value(value)}</text>'
    )


def _moment(at_s: float, text: str, axes: Axes) -> str:
    x = axes.x(at_s)
    is_last = x + len(text) * CHARACTER / 2 > WIDTH
    return (
        f'<text class="tick" x="{WIDTH - 2 if is_last else x:.1f}" y="{axes.floor + 18}" '
        f'text-anchor="{"end" if is_last else "middle"}">{text}</text>'
    )


def _mark(mark: Mark, axes: Axes) -> str:
    x, width = _extent(mark.from_s, mark.until_s, axes)
    return (
        f'<g class="mark"><rect x="{x:.1f}" y="{axes.top}" width="{width:.1f}" '
        f'height="{axes.floor - axes.top}"/><rect class="solid" x="{x:.1f}" y="{axes.top}" '
        f'width="{width:.1f}" height="5"/><title>{escape(mark.says)}</title></g>'
    )


def _lines(chart: Chart, axes: Axes) -> Iterator[str]:
    """Draw each line of the chart, as a band where it has an upper edge; bands take no colour."""
    at, colour = axes.xs(chart.at_s), 0
    for line in chart.lines:
        if line.upper is not None:
            yield from _bands(line, at, axes)
            continue
        look = line.look or f"c{colour % 7}"
        yield f'<path class="line {look}" d="{path(at, axes.ys(line.values))}"/>'
        colour += 1


def path(x: Floats, y: Floats) -> str:
    """Write a path with a gap where a value is missing; a lone value is a short dash."""
    parts, is_drawing = [], False
    for number, (at, value) in enumerate(zip(x, y, strict=True)):
        if not np.isfinite(value):
            is_drawing = False
            continue
        parts.append(f"{'L' if is_drawing else 'M'}{at:.1f} {value:.1f}")
        follows = number + 1 < len(y) and np.isfinite(y[number + 1])
        if not is_drawing and not follows:
            parts.append("h2")
        is_drawing = True
    return "".join(parts)


def _bands(line: Line, x: Floats, axes: Axes) -> Iterator[str]:
    """Draw a band with a gap where a value is missing; a lone value is a short dash."""
    assert line.upper is not None
    there = np.isfinite(line.values) & np.isfinite(line.upper)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(np.int8)))
    for begin, end in edges.reshape(-1, 2):
        at, lower, upper = x[begin:end], line.values[begin:end], line.upper[begin:end]
        if len(at) == 1:
            at, lower, upper = np.append(at, at + 2), np.repeat(lower, 2), np.repeat(upper, 2)
        points = _outline(at, axes.ys(lower), axes.ys(upper))
        yield f'<polygon class="band" points="{points}"/>'


def _outline(x: Floats, lower: Floats, upper: Floats) -> str:
    """Write the corners of an area: along its upper edge, and back along the lower one."""
    there = zip(x, upper, strict=True)
    back = zip(x[::-1], lower[::-1], strict=True)
    return " ".join(f"{at:.1f},{value:.1f}" for at, value in (*there, *back))


def _areas(chart: Chart, axes: Axes) -> Iterator[str]:
    """Draw each line as an area upon those before it."""
    at = axes.xs(chart.at_s)
    below = np.zeros(len(chart.at_s))
    for number, line in enumerate(chart.lines):
        above = below + np.nan_to_num(line.values)
        look = line.look or f"c{number % 7}"
        if line.values.any():
            points = _outline(at, axes.ys(below), axes.ys(above))
            yield f'<polygon class="area {look}" points="{points}"/>'
        below = above


def _bounds(bounds: Sequence[Bound], axes: Axes) -> Iterator[str]:
    """Draw the bounds of rows over their phases; one that lies beyond the axis is only named."""
    taken: list[tuple[float, float]] = []
    alike = {(one.value, one.from_s, one.says.rpartition(": ")[2]): one for one in bounds}
    for bound in alike.values():
        is_beyond = bound.value > axes.most or bound.value < axes.least
        y = axes.top + 2 if is_beyond else axes.y(bound.value)
        x, width = _extent(bound.from_s, bound.until_s, axes)
        title = f"<title>{escape(bound.says)}</title>"
        if not is_beyond:
            yield (
                f'<line class="bound" x1="{x:.1f}" x2="{x + width:.1f}" y1="{y:.1f}" '
                f'y2="{y:.1f}">{title}</line>'
            )
        said = bound.says.rpartition(": ")[2] + (" (off the chart)" if is_beyond else "")
        said = fitting(said, width - 6)
        text_y = y + 13 if is_beyond or y - axes.top < 16 else y - 4
        while any(abs(text_y - other) < 14 and abs(x - at) < 200 for at, other in taken):
            text_y += 14
        if said and text_y < axes.floor:
            taken.append((x, text_y))
            yield (
                f'<text class="bound" x="{x + 4:.1f}" y="{text_y:.1f}">{escape(said)}{title}</text>'
            )
