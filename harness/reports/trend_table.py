"""The history in a terminal: a line a row, what got worse first."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from harness.checks.verdict import Answer
from harness.history.series import LEAST_SHARE, Series, told
from harness.reports.html.trends import grouped
from harness.reports.terminal import Plain, plain
from harness.reports.text import COLOURS

BARS = "▁▂▃▄▅▆▇█"
LETTERS = {"PASS": "✓", "FAIL": "✕", "UNKNOWN": "?", "MEASURED": "•", "NOT ASKED": "–"}
RUNS_SHOWN = 20


def render(series: Sequence[Series], least: float = LEAST_SHARE) -> Group:
    """Lay the series out, those of one scenario on one ground together."""
    parts: list[RenderableType] = []
    for title, of in grouped(series).items():
        parts += [Text.assemble(plain(title), style="bold"), _table(of, least), Text()]
    worse = sum(bool(one.degraded(least)) for one in series)
    said = f"{worse} of {len(series)} rows got worse and stayed so"
    return Group(*parts, Text(said, style="bold red" if worse else "green"))


def _table(of: Sequence[Series], least: float) -> Plain:
    table = Plain(header_style="bold")
    for name in ("row", "phase"):
        table.add_column(name, overflow="fold")
    table.add_column("runs", justify="right")
    table.add_column(f"newest {RUNS_SHOWN}", no_wrap=True)
    for name in ("promised", "newest"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    table.add_column("what changed", overflow="fold")
    for one in sorted(of, key=lambda each: not each.degraded(least)):
        row, worse = one.newest.row, one.degraded(least)
        changes = worse or one.changes
        table.add_row(
            row.name,
            row.phase or "–",
            str(len(one.points)),
            bars(one),
            row.promised or "–",
            row.measured.partition(" (")[0] or "–",
            Text(row.answer, style=COLOURS[Answer(row.answer)]),
            Text("; ".join(told(one, each) for each in changes), style="red" if worse else ""),
        )
    return table


def bars(series: Series) -> str:
    """Draw the newest values as bars; ``?`` is a run of which it is not known, ``∞`` one in which
    it never came.
    """
    points = series.points[-RUNS_SHOWN:]
    values = [point.row.value if point.is_known else None for point in points]
    finite = [one for one in values if one is not None and math.isfinite(one)]
    if not finite:  # a row of answers alone
        return "".join("∞" if point.is_known else LETTERS[point.row.answer] for point in points)
    low, apart = min(finite), max(finite) - min(finite)

    def bar(value: float | None) -> str:
        if value is None:
            return "?"
        if math.isinf(value):
            return "∞"
        return BARS[int((value - low) / apart * (len(BARS) - 1) + 0.5)] if apart else BARS[3]

    return "".join(map(bar, values))
