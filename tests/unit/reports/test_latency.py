"""A chart of latencies draws what the verdict judges: of a broadcast how it spread; and a bound
stands only in a chart of its own quantity.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from kit.histories import MS, SECOND, history, operation, record
from kit.verdicts import FACTS, finding, full

from harness import reports
from harness.checks.metrics import METRICS
from harness.checks.verdict import Verdict
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.reports.html import charts, tables
from harness.reports.series import links, operations


def heard(number, node, after_ms):
    """A record of a broadcast at a node."""
    return record(number, RecordKind.RECEIVED, node, SECOND + (number + after_ms) * MS)


def broadcasts(journal, **changes):
    """Three broadcasts by node 1, each of which its source had passed on after 2 ms."""
    return history(
        [operation(number, Operation.BROADCAST) for number in (0, 3100, 3200)], journal, **changes
    )


SPREAD = [heard(0, 0, 5), heard(0, 2, 9), heard(3100, 0, 5), heard(3200, 2, 5)]


def test_a_broadcast_that_one_node_never_had_is_marked_and_took_for_ever():
    found = broadcasts(SPREAD)
    [sent] = operations.sent(found)
    drawn = operations.latency(found, sent)
    assert [(one.from_s, one.until_s, one.says) for one in drawn.marks] == [
        (3.0, 4.0, "2 of 2 are not in the journal of each node that was to have it")
    ]
    p50 = drawn.lines[0].values
    assert p50[0] == 9.0  # the last of the two, and not when its source was done with it
    assert np.isnan(p50[1:]).all()
    assert "until the last of the nodes" in drawn.note
    assert "2 of 3 are not in the journal" in drawn.note
    [summary] = operations.summaries(found, [sent])
    assert (summary.percentiles[0], summary.max_ms) == (np.inf, 9.0)
    assert (summary.due, summary.failed, summary.unknown) == (3, 0, 0)


def test_a_broadcast_takes_as_long_as_the_verdict_says():
    found = broadcasts(SPREAD)
    judged = METRICS["broadcast.propagation"].take(found, found.phases[0])
    assert operations.sent(found)[0].took_ms.tolist() == (judged.values / MS).tolist()


def test_a_broadcast_for_nobody_takes_no_time():
    found = history([operation(0, Operation.BROADCAST, source=0)], nodes=1)
    [sent] = operations.sent(found)
    drawn = operations.latency(found, sent)
    assert not drawn.marks
    [summary] = operations.summaries(found, [sent])
    assert (summary.due, summary.percentiles[0]) == (1, None)


def test_of_journals_that_keep_no_broadcasts_the_chart_says_what_it_draws():
    found = broadcasts([], kept=frozenset({RecordKind.DELIVERED}))
    [sent] = operations.sent(found)
    drawn = operations.latency(found, sent)
    assert drawn.lines[0].values[0] == 2.0
    assert not drawn.marks
    assert "the journals do not tell how it spread" in drawn.note


@pytest.mark.parametrize(
    ("metric", "is_drawn"),
    [
        ("private_message.end_to_end", True),
        ("broadcast.propagation", True),
        ("broadcast.delivery", False),  # of each receiver
        ("private_message.burst", False),
        ("private_message.burst_each", False),
        ("private_message.first_contact", False),
        ("pacer.lag", True),
    ],
)
def test_a_bound_stands_only_in_a_chart_of_its_own_quantity(metric, is_drawn):
    """The 1 s of a burst of 1,000 messages was a line over the latency of each."""
    row = finding(metric, metric=metric, statistic="p99", unit="s", bound=1.0, promised="< 1 s")
    sent = operations.sent(full())
    charts = links.with_bounds(full(), operations.charts(full(), sent), [row])
    assert [one.key for one in charts if one.bounds] == [links.chart_of(row)] * is_drawn
    page = reports.render("html", Verdict(findings=(row,)), FACTS, "/runs/x", full())
    assert f'href="#{links.chart_of(row)}"' in page
    assert ("(not of this chart)" in page) is not is_drawn
    assert ("(of another quantity)" in page) is not is_drawn


def test_numbers_of_a_chart_have_all_digits_before_their_point():
    """Under the pointer 12,345 was 12,340."""
    values = np.array([12345.4, 12.3456, 0.00012345, np.nan])
    assert charts.numbers(values) == [12345, 12.35, 0.0001234, None]


def test_tables_have_no_powers_of_ten():
    summary = operations.Summary(
        operation="private_message",
        phase="",
        due=500_000,
        rate_per_s=49_999.9,
        asked_per_s=50_000.0,
        failed=0,
        unknown=0,
        percentiles=(999.7, 1234.0, 12345.0, None, np.inf),
        max_ms=12345.6,
    )
    cells = re.findall(r"<span>(.*?)</span>", tables.operations([summary]))
    assert cells[3:] == (
        ["49,999.9 (asked 50,000)", "0", "0", "1,000", "1,234", "12,345", "–", "∞", "12,346"]
    )
