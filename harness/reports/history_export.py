"""The history for other programs: JSON with all of it, CSV, and the JSON that
benchmark-action/github-action-benchmark reads as `customSmallerIsBetter` or `customBiggerIsBetter`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from harness.choices import one_of
from harness.errors import UsageError
from harness.history.database import VERSION
from harness.history.entry import Entry
from harness.history.series import Series, series
from harness.reports.csv import harmless
from harness.reports.html.trends import ground

GITHUB = "github-action-benchmark"
SMALLER, BIGGER = "customSmallerIsBetter", "customBiggerIsBetter"
TOOLS = {SMALLER: 1, BIGGER: -1}  # which of a series' `worse` each is for
COLUMNS = (
    *("run", "kind", "scenario", "started", "verdict", "phase", "name", "metric", "statistic"),
    *("answer", "cause", "value", "unit", "bound", "promised", "measured", "environment"),
)


def as_json(entries: Sequence[Entry]) -> str:
    """Write everything; `harness history merge` reads it."""
    runs = [one.as_json() for one in entries]
    return json.dumps({"version": VERSION, "runs": runs}, indent=1) + "\n"


def as_csv(entries: Sequence[Entry]) -> str:
    """Write one line a row of a run, with a header."""
    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for one in entries:
        ground = "; ".join(f"{key}={value}" for key, value in sorted(one.environment.items()))
        run = (one.run, one.kind, one.scenario, one.started, one.answer)
        for row in one.rows:
            cells = (
                *(*run, row.phase, row.name, row.metric, row.statistic, row.answer),
                *(row.cause or "", _number(row.value), row.unit, _number(row.bound)),
                *(row.promised, row.measured, ground),
            )
            writer.writerow(map(harmless, cells))
    return output.getvalue()


def _number(value: float | None) -> str:
    return "" if value is None else repr(value)


def as_benchmarks(entries: Sequence[Entry], tool: str) -> str:
    """Write the newest values of all rows that get worse one way, in the format of
    benchmark-action/github-action-benchmark: a list of name, unit, value, range and extra. A value
    that is not known, or endless, is left out. Raises UsageError for another tool.
    """
    if tool not in TOOLS:
        raise UsageError(f"--tool: {one_of(tool, TOOLS)}")
    newest: dict[tuple[str, str], str] = {}
    every = series(entries, false_alarms=0.0)
    for one in every:
        newest.setdefault((one.key.kind, one.key.scenario), one.newest.entry.id)
    found = [_benchmark(one) for one in every if one.worse == TOOLS[tool] and _is_told(one, newest)]
    return json.dumps(found, indent=1) + "\n"


def _is_told(one: Series, newest: Mapping[tuple[str, str], str]) -> bool:
    point = one.newest
    value = point.row.value
    is_newest = newest[one.key.kind, one.key.scenario] == point.entry.id
    return is_newest and point.is_known and value is not None and math.isfinite(value)


def _benchmark(one: Series) -> dict[str, Any]:
    """One benchmark. Its name tells hosts and loads apart: the action has one line a name."""
    said = json.dumps(sorted(one.environment.items()))
    apart = hashlib.blake2b(said.encode(), digest_size=4).hexdigest()
    names = [one.key.scenario, one.key.phase, one.key.name]
    runtime = one.environment.get("runtime", "")
    values = [point.row.value or 0.0 for point in one.known]
    finite = [value for value in values if math.isfinite(value)]
    row, entry = one.newest.row, one.newest.entry
    promised = f", promised {row.promised}" if row.bound is not None else ""
    found = {
        "name": f"{' / '.join(name for name in names if name)} @ {runtime}-{apart}",
        "unit": one.key.unit,
        "value": row.value,
        "extra": f"{row.answer}{promised}\nrun {entry.run}\n{ground(one)}",
    }
    if len(finite) >= 3:
        middle = float(np.median(finite))
        spread = float(np.median(np.abs(np.array(finite) - middle)))
        found["range"] = f"± {spread:.4g}"
    return found


FORMATS: Mapping[str, Callable[[Sequence[Entry], str], str]] = {
    "json": lambda entries, _: as_json(entries),
    "csv": lambda entries, _: as_csv(entries),
    GITHUB: as_benchmarks,
}
