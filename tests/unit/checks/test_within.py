"""A row may count only what came in time."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kit.histories import MS, SECOND, history, host, operation, record

from harness.checks import rows
from harness.checks.verdict import Answer
from harness.errors import BadFileError
from harness.history.history import HOST
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.scenario.budget import Conditions, Row
from harness.scenario.files import budget_from

ROW = {
    "name": "heard",
    "metric": "broadcast.coverage",
    "statistic": "min",
    "comparison": ">=",
    "bound": 100,
    "unit": "%",
    "phase": "load",
}


def judged(*heard_ms: int, within: str | None = None, late_ms: float = 0.1, more=()):
    """The finding of a broadcast that was due at 1 s, and heard by two nodes so much later."""
    sent = operation(
        0, Operation.BROADCAST, target=-1, sent_ns=SECOND + round(late_ms * MS), done_ns=0
    )
    journal = [
        record(0, RecordKind.RECEIVED, node, SECOND + at_ms * MS)
        for node, at_ms in zip((0, 2), heard_ms, strict=True)
    ]
    text = ROW | ({} if within is None else {"within": within})
    looks = [host(at / 2, 0.0) for at in range(1, 24)]
    run = history([sent], journal, host=pa.Table.from_pylist([*looks, *more], HOST))
    [finding] = rows.check(run, budget_from({"row": [text]}, "b.toml", "b").rows)
    return finding


def test_what_came_too_late_does_not_count():
    assert judged(10, 6_000).answer is Answer.PASS
    late = judged(10, 6_000, within="5s")
    assert (late.answer, late.measured, late.promised) == (
        Answer.FAIL,
        "50 % (n=1)",
        ">= 100 % within 5 s",
    )
    assert judged(10, 4_999, within="5s").answer is Answer.PASS
    assert judged(10, 5_000, within="5000ms").answer is Answer.PASS


def test_what_was_sent_late_is_not_the_systems():
    """Half a second late is more than a twentieth of five."""
    assert judged(10, 6_000, within="5s", late_ms=500).answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"within": "0s"}, "expected more than 0"),
        ({"within": "five"}, r"within: .*a time such as 80ms"),
        ({"within": 5}, "within: expected text"),
        (
            {"within": "5s", "metric": "private_message.delivered"},
            "within: private_message.delivered has none; broadcast.coverage has one",
        ),
    ],
)
def test_what_is_no_time_is_refused(changes, why):
    with pytest.raises(BadFileError, match=why):
        rows.validate(budget_from({"row": [ROW | changes]}, "b.toml", "b").rows)


def test_how_late_an_operation_may_be_sent_follows_from_it():
    conditions = Conditions(phase="load")
    made = {"name": "r", "metric": "broadcast.coverage", "statistic": "min", "unit": "%"}
    row = Row(**made, bound=100, conditions=conditions, within_ms=5_000)
    assert row.late_ns == 250 * MS
    assert Row(**made, bound=100, conditions=conditions).late_ns is None
