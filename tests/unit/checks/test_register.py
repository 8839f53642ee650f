"""The DHT as a register: what was read, against what was put."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.histories import MS, SECOND, fault, gap, history, identifier, operation, stored

from harness.checks import judge, register
from harness.checks.register import FRESH, KEPT, WRITTEN
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import NodeChanged, NodeEnded, RunEnded
from harness.history.gaps import Part
from harness.operations import Operation, Outcome
from harness.scenario.schedule import EARLY_STREAM, IDENTIFIER

NO_ANSWER = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
FAILED = {"outcome": int(Outcome.FAILED)}


def put(number, lasts_ms=2, **more):
    """A put that is sent `number` ms into the run, 0.1 ms after it was due."""
    done_ns = SECOND + (number + lasts_ms) * MS
    return operation(number, Operation.DHT_PUT, target=-1, **{"done_ns": done_ns, **more})


def get(number, lasts_ms=2, **more):
    done_ns = SECOND + (number + lasts_ms) * MS
    return operation(number, Operation.DHT_GET, target=-1, **{"done_ns": done_ns, **more})


def judged(operations, values, events=(), **more):
    """The findings by name."""
    events = (*events, RunEnded())
    found = register.check(history(operations, values=values, events=events, **more))
    return {one.name: one for one in found}


def test_what_was_put_is_read():
    found = judged([put(1), get(10), get(20)], stored((1, 7, None), (10, 7, 1), (20, 7, 1)))
    assert found[WRITTEN].answer is Answer.PASS
    assert found[WRITTEN].measured == "2 of 2"
    assert (found[KEPT].answer, found[KEPT].measured) == (Answer.PASS, "1 of 1")
    assert FRESH not in found  # of one value none is older


@pytest.mark.parametrize(
    ("operations", "values", "says"),
    [
        ([put(1), get(10)], [(1, 7, None), (10, 7, 99)], "a value that nobody put"),
        (
            [put(1), put(2), get(10)],
            [(1, 7, None), (2, 8, None), (10, 7, 2)],
            "a value of another key",
        ),
        (
            [put(1, **FAILED), get(10)],
            [(1, 7, None), (10, 7, 1)],
            "the value of a put that was said to have failed",
        ),
        (
            [put(20), get(10)],
            [(20, 7, None), (10, 7, 20)],
            "a value that was put after it had ended",
        ),
        ([put(1), get(10)], [(1, 7, None), (10, 7, 10)], "a value that nobody put"),
        (
            [put(1, sent_ns=0, **FAILED), get(10)],
            [(1, 7, None), (10, 7, 1)],
            "a value that nobody put",
        ),
    ],
    ids=["of nobody", "of another key", "failed", "of later", "the get's own id", "never sent"],
)
def test_a_value_that_nobody_wrote(operations, values, says):
    finding = judged(operations, stored(*values))[WRITTEN]
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    assert finding.sentence.endswith(says)


def test_a_put_without_an_answer_may_have_happened():
    values = stored((1, 7, None), (10, 7, 1))
    assert judged([put(1, **NO_ANSWER), get(10)], values)[WRITTEN].answer is Answer.PASS


def test_keys_that_were_put_before_the_run_are_known_by_their_id():
    early = np.zeros(1, IDENTIFIER)
    early["stream"], early["sequence"] = EARLY_STREAM, 3
    id_, key = early.tobytes(), bytes(16)
    values = pa.Table.from_pylist(
        [
            {"id": id_, "key": key, "value": None},
            {"id": identifier(10), "key": key, "value": id_},
            {"id": identifier(20), "key": key, "value": None},
        ],
        h.VALUES,
    )
    found = judged([get(10)], values)
    assert found[WRITTEN].answer is found[KEPT].answer is Answer.PASS
    assert judged([get(20, **FAILED)], values)[KEPT].answer is Answer.FAIL


VALUES = stored((1, 7, None), (10, 7, None), (30, 7, 1), (40, 7, 10))


def test_an_older_value_after_a_newer_one():
    finding = judged([put(1), put(10), get(30), get(40)], VALUES)[FRESH]
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    assert "had replaced 0.018 s before it was sent" in finding.sentence


@pytest.mark.parametrize(
    "second",
    [put(10, 25), put(10, **NO_ANSWER), put(10, **FAILED), put(1, 12)],
    ids=["still under way", "never acknowledged", "failed", "side by side with the first"],
)
def test_an_older_value_may_be_read_where_no_newer_one_is_sure(second):
    number = 10 if second["id"] == identifier(10) else 1
    operations = [put(1), second, get(30)] if number == 10 else [put(0, 9), second, get(30)]
    values = (
        stored((1, 7, None), (10, 7, None), (30, 7, 1))
        if number == 10
        else stored((0, 7, None), (1, 7, None), (30, 7, 0))
    )
    found = judged(operations, values)
    assert found.get(FRESH) is None or found[FRESH].answer is Answer.PASS


def test_a_long_get_may_bring_what_it_met_first():
    """It was sent before the second put was acknowledged."""
    values = stored((1, 7, None), (10, 7, None), (11, 7, 1))
    finding = judged([put(1), put(10, 3), get(11, 20)], values)[FRESH]
    assert finding.answer is Answer.PASS


def test_an_acknowledged_key_that_is_gone_after_the_last_fault():
    changes = (fault("set", 2), fault("clear", 3))
    values = stored((1, 7, None), (500, 7, 1), (7500, 7, None))
    operations = [put(1), get(500), get(7500, **FAILED)]
    finding = judged(operations, values, changes, seconds=20)[KEPT]
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    # While the fault stands, and just after, nothing is promised of it.
    values = stored((1, 7, None), (2500, 7, None), (6000, 7, None), (7500, 7, 1))
    operations = [put(1), get(2500, **FAILED), get(6000, **FAILED), get(7500)]
    finding = judged(operations, values, changes, seconds=20)[KEPT]
    assert finding.answer is Answer.PASS
    assert finding.sentence.endswith("1 keys have an acknowledged put")


@pytest.mark.parametrize(
    ("events", "is_judged"),
    [
        ((fault("set", 2),), False),
        ((NodeChanged(at_ns=2 * SECOND, node="node-2", condition="killed"),), False),
        ((NodeChanged(at_ns=2 * SECOND, node="node-2", condition="paused"),), False),
        ((NodeEnded(at_ns=2 * SECOND, node="node-2"),), True),
    ],
    ids=["a fault that nobody took back", "killed", "paused", "ended by itself"],
)
def test_what_disturbs_to_the_end_is_never_settled(events, is_judged):
    """A cut was set by hand and stood: the keys behind it were held to be lost."""
    values = stored((1, 7, None), (9000, 7, None))
    found = judged([put(1), get(9000, **FAILED)], values, events, seconds=20)
    assert (KEPT in found) == is_judged


@pytest.mark.parametrize(
    "operations",
    [
        [put(1, **NO_ANSWER), get(10, **FAILED)],
        [put(20), get(10, **FAILED)],
        [put(1), get(10, sent_ns=0, **FAILED)],
    ],
    ids=["not acknowledged", "put later", "never sent"],
)
def test_a_key_that_need_not_be_there(operations):
    values = stored((1, 7, None), (20, 7, None), (10, 7, None))
    assert judged(operations, values) == {}


def test_a_get_without_an_answer_leaves_it_open():
    values = stored((1, 7, None), (10, 7, None))
    finding = judged([put(1), get(10, **NO_ANSWER)], values)[KEPT]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)


@pytest.mark.parametrize("values", [stored(), stored((1, 7, None), (10, 7, None))])
def test_values_that_are_not_told_are_unknown(values):
    """An older folder has none, and a system may not say what a get brought."""
    finding = judged([put(1), get(10)], values)[WRITTEN]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert finding.measured == "not told"


def test_puts_of_which_no_key_is_told_are_no_ghosts():
    """A load worker's file of values is gone: its put may be what was read, or a newer one."""
    operations = [put(1), put(3), put(5), get(10), get(20)]
    values = stored((1, 7, None), (3, 7, None), (10, 7, 5), (20, 7, 3))
    found = judged(operations, values)
    for name in (WRITTEN, FRESH):
        assert (found[name].answer, found[name].cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
        assert found[name].sentence == "the record does not tell under which keys 1 puts wrote"


def test_a_run_that_reads_nothing_has_nothing_to_check():
    assert judged([put(1)], stored((1, 7, None))) == {}


def test_a_look_at_a_run_under_way_does_not_accuse_what_it_does_not_know_yet():
    """The put has not ended, and so is in no record, or not settled."""
    values = stored((10, 7, 1))
    accused = history([get(10)], values=values)
    assert register.check(accused)[0].answer is Answer.FAIL
    known = replace(accused, under_way=np.frombuffer(identifier(1), "V16"))
    assert register.check(known)[0].answer is Answer.PASS
    unsettled = replace(accused, values=stored((1, 7, None), (10, 7, 1)))
    assert register.check(unsettled)[0].answer is Answer.PASS
    # What is told of its key already is that it is another one.
    elsewhere = replace(known, values=stored((1, 8, None), (10, 7, 1)))
    assert register.check(elsewhere)[0].answer is Answer.FAIL


def test_a_put_that_failed_may_have_happened_unless_a_run_asks_for_more():
    """An answer with an error, or a client that was cut off, does not say that it did not."""
    operations = [put(1, **FAILED), get(10)]
    values = stored((1, 7, None), (10, 7, 1))
    found = history(operations, values=values, events=(RunEnded(),))
    assert [one.answer for one in register.check_values(found)] == [Answer.PASS]
    assert judged(operations, values)[WRITTEN].answer is Answer.FAIL


@pytest.mark.parametrize(
    ("values", "answer"),
    [
        ([(1, 7, None), (10, 7, 1)], Answer.PASS),
        ([(1, 7, None), (10, 7, 99)], Answer.FAIL),
        ([(1, 7, None)], None),  # what no record tells nobody is held to, unless it is asked for
    ],
)
def test_every_run_is_held_to_values_that_somebody_wrote(values, answer):
    """A node that brought random bytes to each get: PASS, 100 % found, for nobody had asked."""
    found = history([put(1), get(10)], values=stored(*values), events=(RunEnded(),))
    answers = [one.answer for one in judge(found, ()).findings if one.name == WRITTEN]
    assert answers == ([] if answer is None else [answer])
    asked = judge(replace(found, checks=("register",)), ()).findings
    assert [one.name for one in asked].count(WRITTEN) == 1  # and is told of it once


@pytest.mark.parametrize(
    ("lacking", "answer"), [((), Answer.FAIL), ((Part.HOST, Part.SAMPLES), Answer.UNKNOWN)]
)
def test_a_key_that_cannot_be_read_is_lost_where_the_host_is_known(lacking, answer):
    """Without its record nobody can say that the nodes had their cores."""
    operations = [put(1), get(9000, **FAILED)]
    gaps = tuple(gap(part) for part in lacking)
    assert (
        judged(operations, stored((1, 7, None), (9000, 7, None)), gaps=gaps)[KEPT].answer is answer
    )
