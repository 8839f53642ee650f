"""Histories of nodes that tell metrics of themselves, once a second."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from harness.checks import rows
from harness.checks.verdict import Finding
from harness.history.history import History
from harness.history.metrics import SCRAPES, VALUES, Metrics, Series
from harness.scenario.budget import Conditions, Row
from kit.histories import SECOND, history

# A series, its type, and what each page says of it, a page a second; None: it is not in it.
Told = Mapping[tuple[str, str], Sequence[float | None]]


def telling(*nodes: Told, seconds: int = 10, lost: Sequence[int] = (), **more: Any) -> History:
    """A run of one phase in which each node told this; pages of the seconds `lost` are missing."""
    series = list(dict.fromkeys(key for node in nodes for key in node))
    values, scrapes = [], []
    for node, told in enumerate(nodes):
        for second in range(seconds):
            taken = {
                "at_ns": int((1.2 + second) * SECOND),
                "took_ns": SECOND // 100,
                "node": node,
            }
            if second in lost:
                continue
            scrapes.append({**taken, "bytes": 1_000, "series": len(told), "error": None})
            values += [
                {**taken, "series": series.index(key), "value": float(one[second])}
                for key, one in told.items()
                if one[second] is not None
            ]
    metrics = Metrics(
        values=pa.Table.from_pylist(values, VALUES),
        scrapes=pa.Table.from_pylist(scrapes, SCRAPES),
        series=tuple(Series.read(*one) for one in series),
        is_asked=True,
    )
    return history(nodes=len(nodes), seconds=seconds, **{"metrics": metrics, **more})


def judged(run: History, metric: str, bound: float, **row: Any) -> Finding:
    """The finding of a row about this metric: its worst value is less than a bound."""
    node = row.pop("node", None)
    made = {"statistic": "max", "unit": "1", **row}
    conditions = Conditions(phase="load", node=node)
    [found] = rows.check(
        run, [Row(name="told", metric=metric, bound=bound, conditions=conditions, **made)]
    )
    return found
