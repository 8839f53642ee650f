"""Blocks are what a tab is drawn from: plain values that static/tabs.js turns into elements.

A cell is text, a dict with `text` and `level` (good, bad, warn, soft), or a dict with `text` and
`spark`, the heights of a small chart. Text is never taken for HTML.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Block = dict[str, Any]
ROWS = 50  # that a table shows; the filter box finds the others


def text(said: str, level: str = "") -> Block:
    """A paragraph."""
    return {"kind": "text", "text": said, "level": level}


def table(
    columns: Sequence[str], rows: Sequence[Mapping[str, Any]], *, numbers: Iterable[str] = ()
) -> Block:
    """A table; a row has `cells` and maybe `actions` (see `action`). Only the first ROWS rows."""
    right = set(numbers)
    hidden = len(rows) - ROWS
    return {
        "kind": "table",
        "columns": [{"title": title, "number": title in right} for title in columns],
        "rows": list(rows[:ROWS]),
        "note": f"the first {ROWS} of {len(rows):,}; the box above finds others"
        if hidden > 0
        else "",
    }


def row(*cells: Any, actions: Sequence[Block] = ()) -> dict[str, Any]:
    """A row of a table."""
    return {"cells": list(cells), "actions": list(actions)}


def action(label: str, route: str, **body: Any) -> Block:
    """A button that posts a body to a route of ours."""
    return {"label": label, "route": route, "body": body}


def svg(drawing: str) -> Block:
    """A drawing that the server made; what it says of names is escaped there."""
    return {"kind": "svg", "svg": drawing}


def link(href: str, said: str) -> Block:
    """A link to another page of ours."""
    return {"kind": "link", "href": href, "text": said}


def marked(said: str, level: str) -> Block:
    """A cell that is good, bad, warn or soft."""
    return {"text": said, "level": level}


def charted(said: str, values: Sequence[float | None], least: float = 0.0) -> Block:
    """A cell with a small chart from 0 to the highest value, or to `least`, of which it has the
    percentages as one text: a list of numbers is long in JSON. None is passed over.
    """
    known = [value for value in values if value is not None]
    highest = max([*known, least])
    heights = [round(100 * value / highest) if highest else 0 for value in known]
    return {"text": said, "spark": " ".join(map(str, heights))}
