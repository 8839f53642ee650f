"""The "Cluster" tab: every node, worst first, what it uses, and buttons that stop and start it.

Worst are those that do not run, then those that used most CPU in the last minute: by what they use
this second they would change places under somebody's hand.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

from harness.load.locust.tabs import blocks, faults, quantities
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk

COLUMNS = ("Node", "Region", "Condition", "CPU", "Memory", "Descriptors", "Network")
NUMBERS = ("CPU", "Memory", "Descriptors", "Network")
CPU_LEAST = 0.01  # of a core: the height of a chart of less
NOW_NS = 5_000_000_000  # what is older than that is not so now: of a run before, or a cluster
BUTTONS = {  # condition → what can be done with such a node
    "running": (
        ("stop", "stopped"),
        ("kill", "killed"),
        ("crash", "crashed"),
        ("pause", "paused"),
        ("restart", "restarted"),
    ),
    "paused": (("resume", "running"), ("stop", "stopped"), ("kill", "killed")),
    "stopped": (("restart", "running"),),
}


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: only nodes whose name, region or condition has this."""
    desk.samples.read()
    nodes, held = desk.status()["nodes"], faults.limited(desk.faults())
    chosen = [
        (node, _use(desk.samples.nodes.get(node["index"])))
        for node in nodes
        if wanted in f"{node['name']} {node['region']} {node['condition']}"
    ]
    chosen.sort(key=lambda pair: (pair[0]["condition"] == "running", -pair[1].get("mean", 0.0)))
    if chosen:
        rows = [_row(node, use, held.get(node["name"], "")) for node, use in chosen]
        shown = [blocks.table(COLUMNS, rows, numbers=NUMBERS)]
    else:
        shown = [blocks.text(f"no node has {wanted!r} in its name, region or condition", "warn")]
    return [*_summary(nodes, held), *shown]


def _summary(nodes: list[dict[str, Any]], held: dict[str, str]) -> list[Block]:
    conditions = Counter(node["condition"] for node in nodes)
    said = ", ".join(f"{count:,} {what}" for what, count in conditions.most_common())
    said += f"; {len(held):,} limited" if held else ""
    level = "good" if set(conditions) == {"running"} and not held else "warn"
    regions = Counter((node["region"], node["condition"]) for node in nodes)
    rows = [
        blocks.row(
            region, f"{regions[region, 'running']:,}", f"{total - regions[region, 'running']:,}"
        )
        for region, total in sorted(Counter(node["region"] for node in nodes).items())
    ]
    return [
        blocks.text(f"{len(nodes):,} nodes: {said}", level),
        blocks.table(
            ("Region", "Running", "Not running"), rows, numbers=("Running", "Not running")
        ),
    ]


def _use(samples: deque[dict[str, Any]] | None) -> dict[str, Any]:
    """What a node used over the last minute, the newest last: of what is counted from sample to
    sample one less than of the others.
    """
    if samples is None or len(samples) < 2 or monotonic_ns() - samples[-1]["at_ns"] > NOW_NS:
        return {}
    pairs = list(zip(samples, list(samples)[1:], strict=False))
    cpu = [
        max(0, after["cpu_ns"] - before["cpu_ns"]) / max(1, after["at_ns"] - before["at_ns"])
        for before, after in pairs
    ]
    return {
        "cpu": cpu,
        "mean": round(sum(cpu) / len(cpu), 2),  # rows change places seldom
        "rss": [sample["rss_bytes"] for sample in samples],
        "fds": [sample["fds"] for sample in samples],
        "network": [_traffic(before, after) for before, after in pairs],
    }


def _traffic(before: dict[str, Any], after: dict[str, Any]) -> float | None:
    """Bytes a second that a node received and sent; None where neither is told."""
    both = [
        after[way] - before[way]
        for way in ("bytes_in", "bytes_out")
        if after[way] is not None and before[way] is not None
    ]
    return sum(both) / max(1, after["at_ns"] - before["at_ns"]) * 1e9 if both else None


def _count(number: int | None) -> str:
    return quantities.NOTHING if number is None else f"{number:,}"


def _now(values: list[Any], said: Callable[[Any], str], least: float = 0.0) -> Any:
    """The cell of a quantity: what it is now, and how it was."""
    if not values:
        return quantities.NOTHING
    return blocks.charted(said(values[-1]), values, least)


def _row(node: dict[str, Any], use: dict[str, Any], held: str) -> dict[str, Any]:
    condition, lives = node["condition"], node["condition"] == "running"
    buttons = [
        blocks.action(label, "condition", node=node["name"], condition=to)
        for label, to in BUTTONS.get(condition, BUTTONS["stopped"])
    ]
    used = use if lives else {}
    return blocks.row(
        node["name"],
        node["region"],
        blocks.marked(f"{condition}, {held}", "warn" if lives else "bad")
        if held
        else blocks.marked(condition, "good" if lives else "bad"),
        _now(used.get("cpu", []), lambda share: f"{share * 100:.1f} %", CPU_LEAST),
        _now(used.get("rss", []), quantities.size),
        _now(used.get("fds", []), _count),
        _now(used.get("network", []), quantities.rate),
        actions=buttons,
    )
