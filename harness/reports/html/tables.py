"""Tables of a run: its operations, its errors, and what was run on what."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.reports import headline
from harness.reports.html import phases
from harness.reports.html.elements import Column, escape, note, table
from harness.reports.series.errors import Error
from harness.reports.series.operations import SUMMARY, Summary
from harness.topology.quantities import number

ERRORS_MOST = 100
NAMED_MOST = 20  # regions, streams

OPERATIONS = (
    Column("operation"),
    Column("phase"),
    Column("due", is_number=True),
    Column("a second", is_number=True),
    Column("failed", is_number=True),
    Column("unknown", is_number=True),
    *(Column(f"{name} ms", is_number=True) for name in SUMMARY),
    Column("max ms", is_number=True),
)
ERRORS = (
    Column("what"),
    Column("operation"),
    Column("how often", is_number=True),
    Column("first – last", is_number=True),
    Column("which nodes"),
)


def operations(summaries: Sequence[Summary]) -> str:
    """List what each kind of operation did."""
    if not summaries:
        return ""
    rows = (
        (
            f"<b>{escape(one.operation)}</b>",
            phases.named(one.phase, one.kind) if one.phase else "whole run",
            f"{one.due:,}",
            _rate(one),
            _bad(one.failed),
            _bad(one.unknown),
            *(_time(value) for value in one.percentiles),
            _time(one.max_ms),
        )
        for one in summaries
    )
    return note(
        "Times are what the verdict judges: from the intended time, of a broadcast until the last "
        "node had it, and what never came true took for ever (∞); – where there are too few for "
        "the percentile. The maximum is of what came true. All that was due is counted here: n of "
        "the verdict may be smaller, for what the generator or the host held up is left out there."
    ) + table(OPERATIONS, rows, "operations")


def _rate(one: Summary) -> str:
    asked = one.asked_per_s
    if asked is None:
        return number(one.rate_per_s, digits=4)
    return f"{number(one.rate_per_s, asked, digits=4)} (asked {number(asked, digits=4)})"


def _bad(count: int) -> str:
    return f'<span class="FAIL">{count:,}</span>' if count else "0"


def _time(value: float | None) -> str:
    return "–" if value is None else number(value)


def errors(found: Sequence[Error]) -> str:
    """List what went wrong."""
    if not found:
        return ""
    rows = (
        (
            escape(one.what),
            escape(one.operation or "–"),
            f"{one.count:,}",
            f"{one.first_s:.1f} – {one.last_s:.1f} s",
            escape(one.nodes or "–"),
        )
        for one in found[:ERRORS_MOST]
    )
    more = len(found) - ERRORS_MOST
    rest = note(f"and {more:,} more kinds, which the data have") if more > 0 else ""
    return table(ERRORS, rows, "errors") + rest


def facts(said: Mapping[str, Any], run: str) -> str:
    """List what was run on what; of a suite only what all of its parts share."""
    host, load = said["host"], said.get("load", {})
    shown = {
        "parts": said.get("parts", ""),
        "nodes": _nodes(said),
        "topology": said["topology"] if said["nodes"] else "",
        "regions": _regions(said["nodes"]),
        "runtime": _pairs(said["runtime"]),
        "network": _pairs(said.get("network", {})),
        "load": f"{load.get('generator', '–')}, {_workers(load.get('workers', 0))}" if load else "",
        "streams": _streams(load.get("streams", ())),
        "seed": said["seed"] if said["nodes"] else "",
        "host": f"{host['cores']} cores {host['cpu']}, "
        f"{host.get('memory_bytes', 0) / 2**30:.0f} GiB",
        "kernel": f"{host['kernel']} ({host.get('machine', '?')})",
        "Python": host.get("python", "?"),
        "versions": _pairs(host.get("versions", {})),
        "run folder": run,
        "again": headline.again(said, run),
    }
    rows = ((escape(key), escape(value)) for key, value in shown.items() if str(value))
    return table((Column("what"), Column("which")), rows, "facts")


def _nodes(said: Mapping[str, Any]) -> str:
    count = len(said["nodes"])
    ready = said.get("ready_s")
    after = f", ready after {ready:.1f} s" if isinstance(ready, float) else ""
    return f"{count:,} {said['adapter']}{after}" if count else str(said["adapter"])


def _pairs(of: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in of.items())


def regions(nodes: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each node's region; an older folder does not say it."""
    return [str(node.get("region") or "nodes") for node in nodes]


def _regions(nodes: Sequence[Mapping[str, Any]]) -> str:
    names = regions(nodes)
    counts = {name: names.count(name) for name in dict.fromkeys(names)}
    return _few(f"{name} ({count:,})" for name, count in counts.items()) if len(counts) > 1 else ""


def _streams(streams: Sequence[Mapping[str, Any]]) -> str:
    return _few(
        f"{one['operation']} {number(one['rate_per_s'], digits=6)}/s in {one['phase']}"
        for one in streams
    )


def _few(said: Iterable[str]) -> str:
    every = list(said)
    more = f" and {len(every) - NAMED_MOST} more" if len(every) > NAMED_MOST else ""
    return "; ".join(every[:NAMED_MOST]) + more


def _workers(said: object) -> str:
    """Say how many load workers there were; a run that ended lists what each did."""
    count = len(said) if isinstance(said, list) else said
    return f"{count} workers" if count != 1 else "1 worker"
