"""Prometheus' text format of a node's health and histograms (exposition format 0.0.4). Pure."""

from collections.abc import Mapping
from typing import Any

CONTENT_TYPE = "text/plain; version=0.0.4"
GAUGES = {
    "ready": "Whether the node is ready.",
    "uptime_s": "Seconds since it started.",
    "links": "Authenticated links that stand.",
    "links_wanted": "Links of the topology.",
    "contacts": "Contacts in the k-buckets.",
    "dht_values": "Values stored here.",
    "routes": "Entries of the routing table.",
}
BOUNDS_NS = tuple(10**power * step for power in range(3, 10) for step in (1, 2, 5))  # 1 µs to 5 s


def exposition(health: Mapping[str, Any], histograms: Mapping[str, Mapping[str, Any]]) -> str:
    """The page that `GET /metrics` answers."""
    lines: list[str] = []
    for name, sentence in GAUGES.items():
        metric = "uptime_seconds" if name == "uptime_s" else name
        lines += [
            f"# HELP meshnode_{metric} {sentence}",
            f"# TYPE meshnode_{metric} gauge",
            f"meshnode_{metric} {float(health[name]):g}",
        ]
    counters: Mapping[str, int] = health["counters"]
    lines += [
        "# HELP meshnode_dropped_total Frames and datagrams that were not acted on.",
        "# TYPE meshnode_dropped_total counter",
    ]
    lines += [
        f'meshnode_dropped_total{{reason="{name[8:]}"}} {count}'
        for name, count in counters.items()
        if name.startswith("dropped_")
    ]
    for name, count in counters.items():
        if not name.startswith("dropped_"):
            sentence = name.replace("_", " ").capitalize()
            lines += [
                f"# HELP meshnode_{name}_total {sentence}.",
                f"# TYPE meshnode_{name}_total counter",
                f"meshnode_{name}_total {count}",
            ]
    lines += [
        "# HELP meshnode_operation_seconds How long operations took.",
        "# TYPE meshnode_operation_seconds histogram",
    ]
    for operation, found in histograms.items():
        lines += _histogram(operation, found)
    return "\n".join(lines) + "\n"


def _histogram(operation: str, found: Mapping[str, Any]) -> list[str]:
    """Cumulative counts; a bucket of ours that a bound cuts counts as above it."""
    ends = sorted((_bucket_end_ns(index), count) for index, count in found["buckets"].items())
    lines, at, total = [], 0, 0
    for bound_ns in BOUNDS_NS:
        while at < len(ends) and ends[at][0] <= bound_ns:
            total += ends[at][1]
            at += 1
        lines.append(
            f'meshnode_operation_seconds_bucket{{operation="{operation}",le="{bound_ns / 1e9:g}"}} '
            f"{total}"
        )
    lines.append(
        f'meshnode_operation_seconds_bucket{{operation="{operation}",le="+Inf"}} {found["count"]}'
    )
    lines.append(
        f'meshnode_operation_seconds_sum{{operation="{operation}"}} {found["sum"] / 1e9:.9g}'
    )
    lines.append(f'meshnode_operation_seconds_count{{operation="{operation}"}} {found["count"]}')
    return lines


def _bucket_end_ns(index: int) -> int:
    """The largest value of a bucket (histogram.py)."""
    if index < 256:
        return index
    shift = (index >> 7) - 1
    return (((index - (shift << 7)) + 1) << shift) - 1
