"""A chart of latencies draws what the verdict judges: of a broadcast how it spread; and a bound
stands only in a chart of its own quantity.
"""

from __future__ import annotations

import numpy as np
from kit.histories import MS, SECOND, history, operation, record

from harness.checks.metrics import METRICS
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.reports.series import operations


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
