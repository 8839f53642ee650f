"""Nodes one by one: the worst of each resource as a table, and the series of any node, which the
page's script draws on demand.

Series travel as numbers of 16 bits (base64): 0 is the lowest value of the resource, 65,534 the
highest, 65,535 means that nothing was sampled.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.history.history import History
from harness.reports.html.elements import Column, escape, note, safe_json, table
from harness.reports.series import clock
from harness.reports.series.graph import WORST, Graph
from harness.reports.series.resources import NodeSeries
from harness.reports.svg import topology
from harness.topology.quantities import number

NOTHING, STEPS = 65_535, 65_534


def worst(series: Sequence[NodeSeries], names: Sequence[str]) -> str:
    """List the worst ten nodes of each resource."""
    if not series:
        return ""
    rows = ((escape(one.title), f"{one.ranked_by}", _ranked(one, names)) for one in series)
    return table((Column("of"), Column("by"), Column("the worst ten, worst first")), rows, "worst")


def _ranked(one: NodeSeries, names: Sequence[str]) -> str:
    """Name nodes with the values that they are ranked by; nodes that are as good as the best are
    left out of a ranking by sums.
    """
    listed = [
        f"<b>{escape(names[node])}</b> {number(float(one.ranked[node]), digits=4)}{_unit(one)}"
        for node in one.worst
        if one.ranked_by != "sum" or one.ranked[node] > 0
    ]
    return ", ".join(listed)


def _unit(one: NodeSeries) -> str:
    return f" {escape(one.unit)}" if one.unit and one.ranked_by != "sum" else ""


def panel(history: History, series: Sequence[NodeSeries]) -> str:
    """Lay out what shows the series of single nodes; without scripts it stays hidden."""
    if not series:
        return ""
    size = series[0].seconds
    drawn = (
        f"Drawn: of each {size:g} s the lowest and the highest sample."
        if size > 1
        else "Each second is drawn."
    )
    options = "".join(
        f'<option value="{number}">{escape(one.title)}</option>'
        for number, one in enumerate(series)
    )
    names = "".join(f'<option value="{escape(name)}"></option>' for name in history.nodes)
    data = {
        "end": clock.end_s(history),
        "seconds": size,
        "names": list(history.nodes),
        "series": [_packed(one) for one in series],
    }
    return (
        '<div id="single" hidden><p class=controls><label>Show <select id="single-what">'
        f'{options}</select></label> <button type=button id="single-worst">the worst ten</button> '
        '<label>and <input id="single-name" list="single-names" placeholder="a node by name" '
        f'autocomplete=off></label><datalist id="single-names">{names}</datalist></p>'
        '<p class=keys id="single-keys"></p><figure><div id="single-plot"></div></figure>'
        f"{note(drawn)}"
        f"<script type='application/json' id='single-data'>{safe_json(data)}</script></div>"
    )


def _packed(one: NodeSeries) -> dict[str, Any]:
    known = np.isfinite(one.low)
    least = float(one.low[known].min()) if known.any() else 0.0
    most = float(one.high[known].max()) if known.any() else 1.0
    step = (most - least) / STEPS or 1.0
    return {
        "title": one.title,
        "unit": one.unit,
        "least": least,
        "step": step,
        "worst": list(one.worst),
        "low": _encoded(one.low, least, step),
        "high": "" if one.seconds <= 1 else _encoded(one.high, least, step),
    }


def _encoded(values: npt.NDArray[np.float64], least: float, step: float) -> str:
    known = np.isfinite(values)
    numbers = np.full(values.shape, NOTHING, "<u2")
    numbers[known] = np.rint((values[known] - least) / step)
    return base64.b64encode(numbers.tobytes()).decode()


def pictures(graphs: Sequence[Graph]) -> str:
    """Draw the topology, once for each cut."""
    return "".join(
        f"<figure><figcaption><h3>{escape(one.title)}</h3>{_keys(one)}"
        f"<span class=note>{escape(one.note)}</span></figcaption>{topology.draw(one)}</figure>"
        for one in graphs
    )


def _keys(graph: Graph) -> str:
    kinds = {
        "": "ran throughout",
        "bad": "some of its operations did not come true",
        **{kind: f"was {kind}" for kind in WORST},
        "ended": "ended by itself",
    }
    there = {dot.kind for dot in graph.dots}
    keys = [
        f'<span class="key dot k-{kind or "ran"}">{said}</span>'
        for kind, said in kinds.items()
        if kind in there
    ]
    if graph.cut:
        keys.append('<span class="key cut">link that was cut</span>')
    return "".join(keys)
