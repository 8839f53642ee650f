"""Rows about linearity: two bursts are compared, and whatever made one of them slow counts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.budget_rows import judged, row
from kit.histories import MS, SECOND, gap, history, host, operation

from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import history as h
from harness.history.gaps import Part
from harness.operations import Outcome

LINEAR = {
    "metric": "private_message.linearity",
    "statistic": "max",
    "bound": 20,
    "unit": "%",
    "phase": "pair-10",
}


def bursts(late_ms=0, hosts=()):
    """Two bursts, at 1 and at 21 s, of which the greater one is dearer a message; its generator was
    so late.
    """
    phases, operations = [], []
    for size, begin in ((10, SECOND), (100, 21 * SECOND)):
        window = {"begin_ns": begin, "end_ns": begin + 20 * SECOND}
        phases.append(h.PhaseWindow(name=f"pair-{size}", **window))
        sent_ns = begin + (late_ms * MS if size == 100 else 0)
        for index in range(size):
            times = {"sent_ns": sent_ns, "done_ns": sent_ns + (index + 1) * size * 1000}
            number = len(operations)
            operations.append(operation(number, intended_ns=begin, **times))
    return history(
        operations, phases=tuple(phases), cores=2, host=pa.Table.from_pylist(list(hosts), h.HOST)
    )


def test_linearity_says_nothing_where_any_of_the_bursts_was_sent_late():
    """The row names the first burst; the other is the one that the generator fell behind in."""
    assert judged(bursts(), **LINEAR).answer is Answer.FAIL
    assert judged(replace(bursts(), sealed=False), **LINEAR).cause is Cause.GAP
    late = judged(bursts(late_ms=300), **LINEAR)
    assert (late.answer, late.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)


@pytest.mark.parametrize(
    ("busy_s", "steal_s", "from_s", "answer"),
    [
        (1.9, 0.0, 20, Answer.UNKNOWN),  # others had it during the other burst
        (0.1, 0.4, 20, Answer.UNKNOWN),  # the hypervisor
        (1.9, 0.0, 30, Answer.FAIL),  # when neither burst was under way
        (0.1, 0.1, 20, Answer.FAIL),
    ],
)
def test_linearity_says_nothing_where_any_of_the_bursts_had_another_s_host(
    busy_s, steal_s, from_s, answer
):
    """A ratio of times is one of times: that the host was slow in one of them made it FAIL."""
    taken = [min(max(at - from_s, 0), 3) for at in range(1, 42)]
    hosts = [
        {
            **host(at + 0.5, 0.1 * at + busy_s * one),
            "cpu_steal_ns": int(steal_s * one * SECOND),
        }
        for at, one in enumerate(taken, 1)
    ]
    finding = judged(bursts(hosts=hosts), **LINEAR)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    # What was lost is lost on any host.
    lost = bursts(hosts=hosts)
    outcome = np.full(110, int(Outcome.OK), np.uint8)
    outcome[50] = Outcome.UNKNOWN
    column = h.OPERATIONS.get_field_index("outcome")
    lost_one = lost.operations.set_column(column, "outcome", pa.array(outcome))
    assert judged(replace(lost, operations=lost_one), **LINEAR).answer is Answer.FAIL
    # That nobody looked at the host then leaves it open, too.
    unseen = replace(bursts(), gaps=(gap(Part.HOST, from_ns=21 * SECOND),))
    assert judged(unseen, **LINEAR).cause is Cause.GAP


def test_what_compares_whole_phases_cannot_be_under_a_fault():
    """Only one of them was looked at for the fault, and their seconds without it counted too."""
    with pytest.raises(BadFileError, match="compares whole phases"):
        rows.validate([row(**LINEAR, under="slow")])
