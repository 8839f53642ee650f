"""The "Delivery" tab of Locust's web UI: true percentiles, the pacer's lag, and what failed or
stayed unknown.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from flask import request

from harness.load.tally import Tally

KEY = "delivery"
COLUMNS = (
    ("name", "Operation", None),
    ("p50_us", "p50 (µs)", 1),
    ("p95_us", "p95 (µs)", 1),
    ("p99_us", "p99 (µs)", 1),
    ("p999_us", "p99.9 (µs)", 1),
    ("lag_p99_us", "Pacer lag p99 (µs)", 1),
    ("in_flight", "In flight", None),
    ("ok", "OK", None),
    ("failed", "Failed", None),
    ("unknown", "Unknown", None),
)


def rows(tallies: Mapping[str, Tally]) -> list[dict[str, Any]]:
    """The table's rows."""
    return [
        {"name": word}
        | {key: "–" if value is None else value for key, value in tallied.facts().items()}
        for word, tallied in sorted(tallies.items())
    ]


def add_tab(web_ui: Any, tallies: Callable[[], Mapping[str, Tally]]) -> None:
    """Add the tab to a Locust WebUI; `tallies` is asked whenever the browser polls.

    Locust's bundle renders extended tables from its own poll's answer, so the rows ride on
    ``/stats/requests``.
    """
    structure = [
        {"key": key, "title": title} | ({} if digits is None else {"round": digits})
        for key, title, digits in COLUMNS
    ]
    web_ui.template_args["extended_tabs"] = [{"title": "Delivery", "key": KEY}]
    web_ui.template_args["extended_tables"] = [{"key": KEY, "structure": structure}]

    def extend(response: Any) -> Any:
        if request.path.endswith("/stats/requests") and response.is_json:
            answer = response.get_json()
            answer["extended_stats"] = [{"key": KEY, "data": rows(tallies())}]
            response.set_data(json.dumps(answer))
        return response

    web_ui.app.after_request(extend)
