"""A verdict of one row of every answer, the facts and the history of its run: what tests of
reports show.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa

from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history import history as h
from harness.operations import Operation, Outcome
from kit.histories import history, host, operation, sample

DOUBTS = ("load generator, second by second", "MEASURED")  # there on a busy host alone


def answers(findings: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The answers of a verdict's findings, as JSON has them, by name; without the one that only
    says that the host was busy.
    """
    named = [(one["name"], one["answer"]) for one in findings]
    return dict(each for each in named if each != DOUBTS)


FACTS = {
    "name": "demo",
    "nodes": [{}, {}, {}],
    "adapter": "meshnode",
    "topology": "cluster-3",
    "seed": 7,
    "started": "2026-11-21T02:27:15.1+00:00",
    "host": {
        "cores": 2,
        "cpu": "a CPU",
        "memory_bytes": 2**34,
        "kernel": "6.18",
        "machine": "x86_64",
        "python": "3.11",
        "versions": {"locust": "2.47"},
    },
    "runtime": {"name": "netns"},
    "network": {"tcp_congestion_control": "bbr"},
    "load": {"generator": "locust 2.47", "workers": [{}]},
}


def finding(name="a row", answer=Answer.PASS, **changes):
    plain = {
        "promised": "< 10 ms",
        "measured": "3 ms (n=5)",
        "sentence": "kept",
        "phase": "load",
        "value": 3.0,
        "source": "the table",
    }
    return Finding(name=name, answer=answer, **{**plain, **changes})


VERDICT = Verdict(
    findings=(
        finding("kept"),
        finding("missed", Answer.FAIL, sentence="missed: 12 is not < 10 ms"),
        finding(
            "unknown",
            Answer.UNKNOWN,
            measured="–",
            sentence="nothing was measured",
            cause=Cause.NOT_MEASURED,
            value=None,
        ),
        finding("open", Answer.MEASURED, promised="–", sentence="measured, not promised"),
        finding(
            "left out",
            Answer.NOT_ASKED,
            measured="–",
            sentence="broadcast was none of the streams of this run",
            value=None,
            metric="broadcast.coverage",
            bound=100.0,
        ),
    )
)


def full():
    operations = [operation(number, source=1) for number in range(100)] + [
        operation(number, Operation.BROADCAST, outcome=int(Outcome.FAILED))
        for number in range(200, 210)
    ]
    samples = [
        sample(
            1 + at,
            node,
            rss_bytes=(node + 1) * 10_000_000,
            cpu_ns=at * (node + 1) * 10_000_000,
            fds=20,
        )
        for at in range(10)
        for node in range(3)
    ]
    return history(
        operations,
        samples=samples,
        host=pa.Table.from_pylist([host(1 + at, at) for at in range(10)], h.HOST),
    )
