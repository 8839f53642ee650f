"""Order of each sender's messages to each receiver."""

from __future__ import annotations

import numpy as np
import pytest
from kit.histories import MS, SECOND, history, identifier, operation, record

from harness.checks import ordered
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.operations.records import RecordKind
from harness.scenario.schedule import IDENTIFIER


def judged(numbers, arrive_ms, events=(), more=(), **changes):
    """Messages that are due at `numbers` ms, each delivered at its time."""
    journal = [
        record(number, at_ns=SECOND + at_ms * MS)
        for number, at_ms in zip(numbers, arrive_ms, strict=True)
    ]
    sent = [operation(number, **changes) for number in numbers]
    found = history(sent, [*journal, *more], events=(*events, RunEnded()))
    return ordered.check(found)


def test_what_arrives_as_it_was_sent_is_in_order():
    (finding,) = judged([1, 2, 3], [10, 11, 12])
    assert (finding.answer, finding.measured) == (Answer.PASS, "3 of 3")


def test_what_arrives_after_a_later_one_is_overtaken():
    (finding,) = judged([1, 2, 3], [12, 10, 11])
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 overtaken")
    assert "what node-1 sent 0.001 s into the run was at node-0 after" in finding.sentence
    (finding,) = judged([1, 2, 3, 4], [12, 13, 10, 11])
    assert finding.measured == "2 overtaken"


def test_what_a_node_was_asked_for_beside_another_has_no_first():
    """By HTTP each message is a request of its own, and two may be under way at once: it was FAIL
    where the node took the later one first.
    """
    sent = [operation(number) for number in (1, 2)]
    late, fine = (
        [record(1, at_ns=SECOND + at * MS), record(2, at_ns=SECOND + 10 * MS)] for at in (12, 9)
    )
    beside = {"side_by_side": frozenset({"private_message"})}
    (finding,) = ordered.check(history(sent, late, **beside))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert finding.sentence.endswith(ordered.BESIDE)
    (finding,) = ordered.check(history(sent, fine, **beside))
    assert (finding.answer, finding.cause) == (Answer.PASS, None)
    (finding,) = ordered.check(history(sent, late, side_by_side=frozenset({"broadcast"})))
    assert finding.answer is Answer.FAIL


def test_of_one_moment_the_journal_says_which_was_first():
    (finding,) = judged([1, 2], [10, 10])
    assert finding.answer is Answer.PASS
    (finding,) = judged([2, 1], [10, 10])
    assert finding.answer is Answer.FAIL


def test_pairs_have_nothing_to_do_with_each_other():
    """Two senders, two receivers: only what both ends share has an order."""
    sent = [
        operation(number, source=source, target=target)
        for number, (source, target) in enumerate([(1, 0), (2, 0), (1, 2), (1, 0), (1, 2)], 1)
    ]
    arrive = {1: (0, 20), 2: (0, 3), 3: (2, 9), 4: (0, 21), 5: (2, 10)}
    journal = [record(n, node=node, at_ns=SECOND + at * MS) for n, (node, at) in arrive.items()]
    (finding,) = ordered.check(history(sent, journal))
    assert (finding.answer, finding.measured) == (Answer.PASS, "4 of 4")
    journal[3] = record(4, node=0, at_ns=SECOND + 19 * MS)
    (finding,) = ordered.check(history(sent, journal))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 overtaken")


def test_what_went_in_one_frame_has_no_order():
    """Both are handed over at once; a third of later must come after both."""
    assert judged([1, 2], [12, 10], sent_ns=SECOND) == []
    sent = [operation(1, sent_ns=SECOND), operation(2, sent_ns=SECOND), operation(3)]

    def arriving(*at_ms):
        journal = [record(n, at_ns=SECOND + at * MS) for n, at in enumerate(at_ms, 1)]
        (finding,) = ordered.check(history(sent, journal))
        return finding.measured

    assert arriving(12, 10, 13) == "3 of 3"
    assert arriving(12, 10, 11) == "1 overtaken"


def test_two_workers_have_no_order():
    ids = np.zeros(2, IDENTIFIER)
    ids["worker"] = [0, 1]
    first, second = (one.tobytes() for one in ids)
    sent = [operation(1, id=first), operation(2, id=second)]
    row = record(1)
    journal = [
        (*row[:4], np.void(id_), SECOND + at * MS, *row[6:])
        for id_, at in ((first, 12), (second, 10))
    ]
    assert ordered.check(history(sent, journal)) == []


def test_a_stop_of_the_sender_ends_the_order():
    """A process that was killed cannot know what the next one sends."""
    stopped = NodeChanged(node="node-1", condition="stopped", at_ns=SECOND + 50 * MS)
    started = NodeStarted(node="node-1", at_ns=SECOND + 80 * MS)
    (finding,) = judged([1, 90], [120, 110])
    assert finding.answer is Answer.FAIL
    assert judged([1, 90], [120, 110], (stopped, started)) == []


def test_a_second_delivery_is_the_ledgers_business():
    again = record(1, at_ns=SECOND + 20 * MS)
    (finding,) = judged([1, 2], [10, 11], more=[again])
    assert finding.answer is Answer.PASS


def test_what_was_never_delivered_or_is_elsewhere_has_no_order():
    elsewhere = record(3, node=2, at_ns=SECOND + 1 * MS)
    sent = [operation(1), operation(2), operation(3)]
    (finding,) = ordered.check(history(sent, [record(1), record(2), elsewhere]))
    assert finding.measured == "2 of 2"
    assert ordered.check(history([operation(1), operation(2)], [record(1)])) == []
    assert ordered.check(history()) == []


def test_journals_without_deliveries_cannot_tell():
    kept = frozenset({RecordKind.RECEIVED})
    (finding,) = ordered.check(history([operation(1), operation(2)], kept=kept))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)


@pytest.mark.parametrize("seed", range(20))
def test_against_every_pair(seed):
    """A plain look at all pairs counts the same."""
    chance = np.random.default_rng(seed)
    numbers = np.sort(chance.choice(60, 25, replace=False))
    arrive = chance.permutation(40)[:25] + 100
    ends = chance.integers(1, 3, 25).tolist()
    sent = [operation(int(n), source=end) for n, end in zip(numbers, ends, strict=True)]
    journal = [
        record(int(n), at_ns=SECOND + int(at) * MS) for n, at in zip(numbers, arrive, strict=True)
    ]
    late = sum(
        any(ends[i] == ends[j] and arrive[i] > arrive[j] for j in range(i + 1, 25))
        for i in range(25)
    )
    (finding,) = ordered.check(history(sent, journal))
    expected = f"{late} overtaken" if late else "25 of 25"
    assert finding.measured == expected, identifier(0)
