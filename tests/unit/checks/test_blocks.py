"""What a row of one run might as well have been, by blocks of its phase."""

from __future__ import annotations

import numpy as np
import pytest
from kit.histories import MS, SECOND, history, operation, record, sample

from harness.checks import blocks
from harness.scenario.budget import Conditions, Row


def row(metric="private_message.end_to_end", statistic="p50", unit="ms", **conditions) -> Row:
    return Row(
        name="row",
        metric=metric,
        statistic=statistic,
        unit=unit,
        bound=None,
        conditions=Conditions(phase="load", **conditions),
    )


def played(took_ms, seconds=10):
    """A message each 100 ms, which takes what its second says."""
    operations, journal = [], []
    for number in range(0, seconds * 1000, 100):
        intended = SECOND + number * MS
        done = intended + round(took_ms[number // 1000] * MS)
        operations.append(operation(number, intended_ns=intended, sent_ns=intended, done_ns=done))
        journal.append(record(number, at_ns=done))
    samples = [sample(1 + at, node, rss_bytes=1000 + at) for at in range(10) for node in range(3)]
    return history(operations, journal, samples, seconds=seconds)


def test_blocks_of_a_steady_run_are_all_the_same():
    assert set(blocks.drawn(played([5] * 10), row(), 5.0)) == {5.0}


def test_blocks_that_differ_are_seen_to():
    found = blocks.drawn(played([1] * 5 + [9] * 5), row(statistic="mean"), 5.0)
    assert len(found) == blocks.DRAWN
    assert np.mean(found) == pytest.approx(5, abs=0.4)
    assert np.std(found) == pytest.approx(4 / np.sqrt(10), rel=0.2)  # ten blocks of 4 around 5


def test_samples_of_nodes_have_blocks_too():
    found = blocks.drawn(played([5] * 10), row("rss", "max", "B"), 1009.0)
    assert set(found) <= {float(1000 + at) for at in range(10)}
    assert len(set(found)) > 1


@pytest.mark.parametrize(
    ("asked", "value", "seconds"),
    [
        (row(), 5.0, 4),  # too short
        (row(), 6.0, 10),  # not what its blocks together are
        (row(), None, 10),
        (row(), float("inf"), 10),
        (row(under="wan"), 5.0, 10),
        (row("cluster.ready", unit="ms"), 5.0, 10),  # once a run
        (row("node.verify", unit="ms"), 5.0, 10),  # once a phase
        (row("private_message.return_to_baseline", unit="ms"), 5.0, 10),
    ],
)
def test_what_has_no_parts_is_not_drawn(asked, value, seconds):
    assert blocks.drawn(played([5] * 10, seconds), asked, value) == ()
