"""The DHT as a register on each side of a partition: five nodes, parted from 2 s to 8 s."""

from __future__ import annotations

import pytest
from kit.histories import MS, SECOND, fault, history, operation, stored

from harness.checks import register, register_by_side
from harness.checks.register import WRITTEN
from harness.checks.register_by_side import FRESH
from harness.checks.verdict import Answer, Cause
from harness.history.events import RunEnded
from harness.operations import Operation

SIDES = {"node-0": 0, "node-1": 0, "node-2": 0, "node-3": 1, "node-4": 1}
CUT = (fault("set", 2, sides=SIDES), fault("clear", 8, sides=SIDES))


def at(seconds):
    """The number of an operation that is due so late: those of a phase begin at 1 s."""
    return int(seconds * 1000) - 1000


def done(kind, seconds, node):
    done_ns = int(seconds * SECOND) + 2 * MS
    return operation(at(seconds), kind, source=node, target=-1, done_ns=done_ns)


def judged(puts, got_s, reader, value_s, events=CUT, check=register_by_side.check):
    """Puts are (second, node); one get, of a reader, that brought the value of a second."""
    operations = [done(Operation.DHT_PUT, *put) for put in puts]
    operations.append(done(Operation.DHT_GET, got_s, reader))
    values = [(at(second), 7, None) for second, _ in puts] + [(at(got_s), 7, at(value_s))]
    found = history(operations, nodes=5, values=stored(*values), events=(*events, RunEnded()))
    return {one.name: one for one in check(found)}


@pytest.mark.parametrize(
    ("puts", "got_s", "reader", "value_s", "answer"),
    [
        ([(3, 0), (4, 3)], 5, 1, 3, Answer.PASS),  # the newer one is of the other side
        ([(3, 0), (4, 2)], 5, 1, 3, Answer.FAIL),  # of the own side
        ([(3, 3), (4, 0)], 9, 1, 3, None),  # after the heal, of two that were apart
        ([(1, 3), (4, 4)], 9, 1, 1, None),  # this side never had the newer one
        ([(1, 3), (4, 0), (5, 1)], 6, 2, 4, Answer.FAIL),
        ([(3, 3), (9, 0)], 10, 4, 3, Answer.PASS),  # put while the sides still find each other
        ([(3, 3), (14, 0)], 16, 4, 3, Answer.FAIL),  # put when all can hear of it
    ],
)
def test_a_put_is_newer_for_those_who_could_hear_of_it(puts, got_s, reader, value_s, answer):
    """None: nothing that was read can be held against anything."""
    found = judged(puts, got_s, reader, value_s)
    assert (found[FRESH].answer if FRESH in found else None) is answer
    assert found[WRITTEN].answer is Answer.PASS


def test_without_a_cut_it_asks_what_a_register_does():
    puts = [(3, 0), (4, 3)]
    assert judged(puts, 5, 1, 3, ())[FRESH].answer is Answer.FAIL
    assert judged(puts, 5, 1, 4, ())[FRESH].answer is Answer.PASS
    plain = judged(puts, 5, 1, 3, CUT, register.check)
    assert plain[register.FRESH].answer is Answer.FAIL


def test_a_cut_of_which_nothing_says_whom_it_parts_is_unknown():
    finding = judged([(3, 0), (4, 3)], 5, 1, 3, (fault("set", 2), fault("clear", 8)))[FRESH]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "does not say whom cut parted" in finding.sentence
