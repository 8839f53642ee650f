"""Corrects what Locust rounds away: values below a millisecond are true in its UI, CSV, HTML, JSON
and console.

Stock Locust 2.47 rounds response times to whole milliseconds in four places (buckets, CSV
percentiles, the minimum and maximum of the web UI, the console), so that a median of 47 µs reads 0.
Verdicts never come from these numbers, but what is shown must be true. The functions replaced are
private to Locust; `install` refuses a Locust that has others.
"""

from __future__ import annotations

import inspect
from typing import Any

import locust
import locust.html
import locust.runners
from locust import stats

from harness.errors import HarnessError

VERSION = "2.47."
SIGNATURES = {  # what we replace, as it is in that version
    "StatsCSV._percentile_fields": (
        stats.StatsCSV,
        "_percentile_fields",
        ["self", "stats_entry", "use_current"],
    ),
    "StatsEntry.to_dict": (stats.StatsEntry, "to_dict", ["self", "escape_string_values"]),
    "StatsEntry.to_string": (stats.StatsEntry, "to_string", ["self", "current"]),
    "StatsEntry.percentile": (stats.StatsEntry, "percentile", ["self"]),
    "bucket_response_time": (stats, "bucket_response_time", ["response_time"]),
}
_to_dict = stats.StatsEntry.to_dict


def install() -> None:
    """Replace Locust's rounding functions in this process. Raises HarnessError for a version of
    Locust that this was not written for.
    """
    if not locust.__version__.startswith(VERSION):
        raise HarnessError(
            f"locust: expected version {VERSION}x, whose rounding harness corrects; found "
            f"{locust.__version__}"
        )
    for name, (owner, attribute, expected) in SIGNATURES.items():
        found = list(inspect.signature(getattr(owner, attribute)).parameters)
        if found != expected:
            raise HarnessError(
                f"locust {locust.__version__}: {name}: expected parameters {expected}, found "
                f"{found}"
            )
    stats.bucket_response_time = bucket
    stats.StatsCSV._percentile_fields = _percentile_fields
    stats.StatsEntry.to_dict = _exact_to_dict
    stats.StatsEntry.to_string = _to_string
    stats.StatsEntry.percentile = _percentile
    stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99, 0.999]
    stats.PERCENTILES_TO_STATISTICS = [0.5, 0.95, 0.99, 0.999]
    locust.html.PERCENTILES_FOR_HTML_REPORT = [0.5, 0.9, 0.95, 0.99, 0.999, 0.9999, 1.0]
    locust.runners.WORKER_REPORT_INTERVAL = 1.0


def bucket(response_time: float) -> float:
    """Milliseconds to three significant figures: 0.0472 stays 0.0472."""
    return float(f"{response_time:.3g}")


def _percentile_fields(self: Any, stats_entry: Any, use_current: bool = False) -> list[Any]:
    if not stats_entry.num_requests:
        return list(self.percentiles_na)
    percentile = (
        stats_entry.get_current_response_time_percentile
        if use_current and stats_entry.use_response_times_cache
        else stats_entry.get_response_time_percentile
    )
    return [percentile(quantile) or 0 for quantile in self.percentiles_to_report]


def _exact_to_dict(self: Any, escape_string_values: bool = False) -> dict[str, Any]:
    exact: dict[str, Any] = _to_dict(self, escape_string_values)
    return exact | {
        "min_response_time": round(self.min_response_time or 0, 4),
        "max_response_time": round(self.max_response_time, 4),
    }


def _to_string(self: Any, current: bool = True) -> str:
    rate, failure_rate = (
        (self.current_rps, self.current_fail_per_sec)
        if current
        else (self.total_rps, self.total_fail_per_sec)
    )
    name_width = stats.STATS_NAME_WIDTH - stats.STATS_TYPE_WIDTH + 4
    failures = f"{self.num_failures}({self.fail_ratio * 100:.2f}%)"
    times = (
        self.avg_response_time,
        self.min_response_time or 0,
        self.max_response_time,
        self.median_response_time or 0,
    )
    return (
        f"{(self.method or '') + ' ':<{stats.STATS_TYPE_WIDTH}} {self.name:<{name_width}} "
        f"{self.num_requests:7d} {failures:>12} |"
        + " ".join(f"{_figures(time):>7}" for time in times)
        + f" | {rate or 0:7.2f} {failure_rate or 0:11.2f}"
    )


def _percentile(self: Any) -> str:
    if not self.num_requests:
        raise ValueError("a percentile needs at least one request")
    values = [
        _figures(self.get_response_time_percentile(quantile))
        for quantile in stats.PERCENTILES_TO_REPORT
    ]
    return (
        f"{self.method or '':<{stats.STATS_TYPE_WIDTH}} "
        f"{self.name:<{stats.STATS_NAME_WIDTH}} {values[0]:>8} "
        + " ".join(f"{value:>6}" for value in values[1:])
        + f" {self.num_requests:6d}"
    )


def _figures(milliseconds: float) -> str:
    """Three figures below a second, whole milliseconds above: never wider than the table's
    column.
    """
    return f"{milliseconds:.0f}" if milliseconds >= 100 else f"{milliseconds:.3g}"
