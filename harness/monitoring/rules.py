"""Files for a Prometheus of one's own, as text: alert rules of a budget, and where to scrape. Pure.

They are YAML whose strings are all quoted, for a row may be named anything.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from harness.errors import UsageError
from harness.scenario.budget import Budget, Row

_UNPRINTABLE = re.compile(r"[\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]")


def quoted(text: str) -> str:
    """Return a string as YAML, and PromQL, write it in double quotes."""
    said = json.dumps(text, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found.group()):04x}", said)


def literal(text: str) -> str:
    """Return a text as a label or annotation has it: Prometheus finds no template in it."""
    return text.replace("{{", '{{ "{{" }}')


def of_budget(budget: Budget, name: str) -> str:
    """Return a rules file: an alert for each promised row while it is FAIL, also so far, and one
    where it is UNKNOWN in the end. Raises UsageError where no row promises anything.
    """
    promised = [row for row in budget.rows if row.bound is not None]
    if not promised:
        raise UsageError(f"{name}: no row promises anything, so there is nothing to alert about")
    lines = ["groups:", f"  - name: {quoted(f'harness budget {name}')}", "    rules:"]
    for row in promised:
        lines += [*_failed(row), *_unknown(row)]
    return "\n".join(lines) + "\n"


def _answer(row: Row, answer: str) -> str:
    phase = row.conditions.phase
    labels = {"row": row.name, "phase": phase, "answer": answer}
    return ", ".join(f"{key}={quoted(value)}" for key, value in labels.items())


def _failed(row: Row) -> Iterator[str]:
    expression = f"harness_verdict_row_answer{{{_answer(row, 'FAIL')}}} == 1"
    summary = "{{ $labels.row }} is FAIL (so far, while the run goes on)"
    yield from _alert("HarnessBudgetRowFails", expression, "critical", summary, row)


def _unknown(row: Row) -> Iterator[str]:
    unknown = f"harness_verdict_row_answer{{{_answer(row, 'UNKNOWN')}}} == 1"
    expression = f"{unknown} and on (job, instance) harness_verdict_final == 1"
    summary = "{{ $labels.row }} is UNKNOWN in the final verdict"
    yield from _alert("HarnessBudgetRowUnknown", expression, "warning", summary, row)


def _alert(name: str, expression: str, severity: str, summary: str, row: Row) -> Iterator[str]:
    promised = f"{row.metric} {row.statistic} {row.comparison} {row.bound:g} {row.unit}"
    source = f" ({row.source})" if row.source else ""
    yield f"      - alert: {name}"
    yield f"        expr: {quoted(expression)}"
    yield "        labels:"
    yield f"          severity: {severity}"
    yield f"          row: {quoted(literal(row.name))}"
    yield f"          phase: {quoted(literal(row.conditions.phase))}"
    yield "        annotations:"
    yield f"          summary: {quoted(summary)}"
    yield f"          description: {quoted(literal(f'promised: {promised}{source}'))}"


def scrape_config(cluster: str, bind: str, port: int) -> str:
    """Return what a prometheus.yml says of the exporter at this address."""
    host = f"[{bind}]" if ":" in bind else bind
    return (
        "scrape_configs:\n"
        "  - job_name: harness\n"
        "    scrape_interval: 1s\n"
        "    static_configs:\n"
        f"      - targets: [{quoted(f'{host}:{port}')}]\n"
        "        labels:\n"
        f"          cluster: {quoted(cluster)}\n"
    )
