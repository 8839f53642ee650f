"""Which chart and which data file a finding rests on, and the bound that it draws there. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.checks import own_metrics, told_metrics
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import LATENCIES
from harness.checks.verdict import Finding
from harness.history.gaps import Part
from harness.history.history import History
from harness.operations import Operation, own
from harness.reports.series import clock, told
from harness.reports.series.chart import Bound, Chart
from harness.reports.series.resources import key_of
from harness.scenario.budget import UNITS

# What a run folder keeps of each part; the page stands beside them.
FILES: Mapping[Part, str] = {
    Part.METADATA: "metadata.json",
    Part.EVENTS: "events.jsonl",
    Part.PLAN: "timeline.json",
    Part.BUDGET: "budget.toml",
    Part.TOPOLOGY: "topology.json",
    Part.OPERATIONS: "load/",
    Part.JOURNAL: "journal/",
    Part.SAMPLES: "samples.arrow",
    Part.HOST: "host.arrow",
    Part.HISTOGRAMS: "histograms.jsonl",
    Part.GAUGES: "histograms.jsonl",
    Part.METRICS: "metrics/",
    Part.FAULTS: "faults.jsonl",
    Part.PROOFS: "proofs.jsonl",
    Part.MEASUREMENTS: "measurements.json",
}
CHARTS = {
    "pacer.lag": "lag",
    "rss": key_of("rss_bytes"),
    "memory": key_of("memory_bytes"),
    "cpu": key_of("cpu_ns"),
    "fds": key_of("fds"),
    "threads": key_of("threads"),
    "connections": key_of("connections"),
    "disk": key_of("disk_bytes"),
    "network": key_of("bytes_in"),
    "network.in": key_of("bytes_in"),
    "network.out": key_of("bytes_out"),
    "membership.failure_seen": "bands",
    "membership.suspected": "bands",
}
TABLES = frozenset({"bands", "phases"})  # what is no chart of what findings lead to
# What a finding is called before its colon → where the page shows what it is about, its files.
CHECKS = {
    "converged": ("phases", ("events.jsonl", "timeline.json", "load/", "journal/")),
    "faults": ("bands", ("proofs.jsonl", "events.jsonl")),
    "nodes": ("bands", ("events.jsonl",)),
    "record": ("bands", ("manifest.json",)),
    "isolation": ("bands", ("events.jsonl", "load/", "journal/")),
    "non-vacuity": ("bands", ("events.jsonl", "load/", "journal/")),
    "coverage": ("outcomes-broadcast", ("events.jsonl", "load/", "journal/")),
    "coverage-by-side": ("outcomes-broadcast", ("events.jsonl", "load/", "journal/")),
    "linearizability": ("outcomes-dht_get", ("load/",)),
    "load generator": ("lag", ("load/",)),
    "load generator, second by second": ("lag", ("load/",)),
    "ordered": ("outcomes-private_message", ("load/", "journal/")),
    "register": ("outcomes-dht_get", ("load/",)),
}
FACTORS = {
    "time": 1e-6,
    "size": 1e-6,
    "byte rate": 1e-6,
    "share": 100.0,
    "number": 1.0,
    "rate": 1.0,
}
SUMS = frozenset({"network"})  # of two charts: a bound on either would say something else


def chart_of(finding: Finding) -> str:
    """Find the anchor of the chart that a finding is about; empty: there is none."""
    if finding.metric in CHARTS:
        return CHARTS[finding.metric]
    if told_metrics.is_told(finding.metric):
        return told.key_of(finding.metric)
    if finding.metric:
        word = finding.metric.partition(".")[0]
        metric = METRICS.find(finding.metric)
        known = {one.word for one in Operation}
        is_of_one = word in known or own_metrics.is_own(finding.metric)
        if metric is None or not is_of_one:
            return ""
        return f"latency-{word}" if metric.kind == "time" else f"outcomes-{word}"
    about = _operation(finding.name)
    if about is not None:
        return f"outcomes-{about}"
    return CHECKS.get(finding.name.partition(":")[0], ("", ()))[0]


def is_drawn(finding: Finding) -> bool:
    """Whether its chart draws what the finding is about: not where it only lies near, as the time
    of a whole burst does by the latency of each message.
    """
    metric = METRICS.find(finding.metric)
    if metric is None or finding.metric in LATENCIES:
        return True
    if told_metrics.is_told(finding.metric):  # a histogram's chart is of means
        return not finding.metric.startswith("histogram.") or finding.statistic == "mean"
    is_near = metric.kind == "time" and finding.metric not in CHARTS
    return not is_near and finding.metric not in SUMS


def files_of(finding: Finding) -> tuple[str, ...]:
    """Find the files of the run folder that a finding was judged by."""
    metric = METRICS.find(finding.metric)
    if metric is not None:
        return tuple(dict.fromkeys(FILES[part] for part in sorted(metric.needs) if part in FILES))
    if _operation(finding.name) is not None:
        return ("load/", "journal/")
    return CHECKS.get(finding.name.partition(":")[0], ("", ()))[1]


def _operation(name: str) -> str | None:
    """The operation that a check's finding is about, by word."""
    for operation in Operation:
        ledger = operation.spec.ledger
        named = "" if ledger is None else ledger.finding.partition("{")[0]
        words = (f"{operation.word}: ", f"load: {operation.word}")
        if name.startswith(words) or name.endswith(f": {operation.word}"):
            return operation.word
        if named and name.startswith(named):
            return operation.word
    return own.word_in(name)


def with_bounds(history: History, charts: Sequence[Chart], found: Sequence[Finding]) -> list[Chart]:
    """Draw into each chart what rows of the budget promise there."""
    by_key: dict[str, list[Bound]] = {}
    for finding in found:
        bound = _bound(history, finding)
        if bound is not None:
            by_key.setdefault(chart_of(finding), []).append(bound)
    return [replace(chart, bounds=tuple(by_key.get(chart.key, ()))) for chart in charts]


def _bound(history: History, finding: Finding) -> Bound | None:
    """The line of a finding; None where its value is none of the chart's."""
    key, kind = chart_of(finding), UNITS.get(finding.unit, ("", 0.0))[0]
    is_value = finding.bound is not None and finding.statistic != "count" and kind in FACTORS
    if not is_value or not key or not is_drawn(finding) or key.startswith("outcomes-"):
        return None
    phase = history.phase(finding.phase)
    if phase is None or finding.bound is None:
        return None
    return Bound(
        value=finding.bound * UNITS[finding.unit][1] * FACTORS[kind],
        from_s=clock.of_s(history, phase.begin_ns),
        until_s=clock.of_s(history, phase.end_ns),
        says=f"{finding.name}: {finding.statistic} {finding.promised}",
    )
