"""How long a stream took to be again as it was in the steady phase: PASS, FAIL and UNKNOWN."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.histories import MS, SECOND, history, operation, record

from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history.events import FaultChanged, RunEnded
from harness.history.gaps import Gap, Part
from harness.history.history import PhaseWindow
from harness.history.plan import ChangePlan, PhaseKind, Plan
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario.budget import Conditions, Row

# Seconds since the run began, at SECOND of the clock.
STEADY, CUT, CONVERGE, END = 0, 10, 20, 40
HEALED = 18
BEARS_S = 0.28  # 6 of the 125 messages of 5 s may be bad: it begins behind the seventh


def phases(*kinds):
    """Phases "a" (10 s), "b" (10 s) and "c" (20 s) of these kinds."""
    edges = (STEADY, CUT, CONVERGE, END)
    return tuple(
        PhaseWindow(
            name=name,
            begin_ns=SECOND + begin * SECOND,
            end_ns=SECOND + end * SECOND,
            kind=kind,
        )
        for name, begin, end, kind in zip("abc", edges, edges[1:], kinds, strict=False)
    )


USUAL = phases(PhaseKind.STEADY, PhaseKind.CHAOS, PhaseKind.CONVERGE)
CHANGES = tuple(
    FaultChanged(verb=verb, fault="cut", set_ns=SECOND + at * SECOND)
    for verb, at in (("set", 11), ("clear", HEALED))
)
CUT_ONCE = (*CHANGES, RunEnded())


def row(bound=10.0, **changes):
    plain = {
        "name": "returns",
        "metric": "private_message.return_to_baseline",
        "statistic": "max",
        "comparison": "<",
        "bound": bound,
        "unit": "s",
        "conditions": Conditions(phase="c"),
    }
    return Row(**{**plain, **changes})


def run(took_ms, every_ms=40, events=CUT_ONCE, phases=USUAL, **changes):
    """A message each 40 ms, which took what `took_ms` says of its second; None: it failed."""
    operations, journal = [], []
    for number in range(0, END * 1000, every_ms):
        took = took_ms(number / 1000)
        due_ns = SECOND + number * MS
        if took is None:
            operations.append(operation(number, outcome=int(Outcome.FAILED)))
            continue
        operations.append(operation(number, done_ns=due_ns + round(took * MS)))
        journal.append(record(number, at_ns=due_ns + round(took * MS)))
    return history(operations, journal, phases=phases, events=events, **changes)


def until(at_s, bad=None, usual=4.0):
    """Usual but from the cut until a moment."""
    return lambda second: bad if 11 <= second < at_s else usual


def judged(found, one=None):
    [answer] = rows.check(found, [one or row()])
    return answer


@pytest.mark.parametrize("bad", [None, 8.1, 500.0])
def test_the_time_is_from_the_heal_until_it_stays_as_it_was(bad):
    """Failed, or of a p95 of more than twice as long. The first 5 % of the 5 s may be bad still."""
    found = judged(run(until(25, bad)))
    assert found.answer is Answer.PASS
    assert found.value == pytest.approx(25 - HEALED - BEARS_S, abs=1e-6)
    assert judged(run(until(25, bad)), row(bound=6.5)).answer is Answer.FAIL


def test_what_is_within_the_factor_has_returned():
    slower = run(lambda second: 4.0 if second < 11 else 7.9)
    assert judged(slower).value == 0
    strict = judged(slower, row(factor=1.5))
    assert (strict.answer, strict.measured) == (Answer.FAIL, "∞ s (n=1)")
    assert strict.sentence.startswith("it did not return")
    assert judged(slower, row(factor=2.0)).answer is Answer.PASS


def test_a_share_of_success_has_a_factor_too():
    """In steady one of 25 fails, and later one of 20: the p95 bears both."""
    found = run(lambda second: None if round(second * 25) % (25 if second < 11 else 20) == 0 else 4)
    assert judged(found, row(factor=1.05)).answer is Answer.PASS
    assert judged(found, row(factor=1.0)).answer is Answer.FAIL


def test_good_seconds_among_bad_ones_are_no_return():
    flapping = run(lambda second: None if 11 <= second < 30 and int(second) % 4 == 0 else 4.0)
    assert judged(flapping, row(bound=15)).value == pytest.approx(29 - HEALED - BEARS_S, abs=1e-6)


def test_the_time_that_a_node_takes_to_start_is_a_part_of_its_return():
    """It was started at once at 18 s, and was ready after 4 s; all was well at 25 s."""
    back_ns = SECOND + (HEALED + 4) * SECOND
    gone, back = replace(CHANGES[0], nodes=("node-2",)), replace(CHANGES[1], nodes=("node-2",))
    slow = (gone, replace(back, set_ns=back_ns, took_ms=4000.0), RunEnded())
    assert judged(run(until(25), events=slow)).value == pytest.approx(25 - HEALED - BEARS_S)
    network = (CHANGES[0], replace(CHANGES[1], set_ns=back_ns, took_ms=4000.0), RunEnded())
    assert judged(run(until(25), events=network)).value == pytest.approx(3 - BEARS_S)


def test_under_a_fraction_of_the_load_nothing_has_returned():
    """A fifth of the messages is due from the heal on, and none is slow."""
    usual = run(until(25))
    number = np.arange(usual.operations.num_rows)
    kept = (usual.column("intended_ns") < (1 + CUT) * SECOND) | (number % 5 == 0)
    found = judged(replace(usual, operations=usual.operations.filter(pa.array(kept))))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.TOO_FEW)
    assert "half the load of the steady phase" in found.sentence


def test_a_fault_that_never_came_has_no_heal():
    """It was planned, and could not be done: at once all is as before."""
    never = ChangePlan(at_ns=12 * SECOND, verb="set", fault="cut")
    planned = Plan(t0_ns=SECOND, seed=1, phases=(), changes=(never,))
    found = judged(run(until(11), events=(RunEnded(),), plan=planned))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert found.sentence == "fault cut was planned, and could not be done: nothing healed"


def test_without_a_fault_the_time_begins_with_the_phase():
    found = judged(run(until(25), events=(RunEnded(),)))
    assert found.value == pytest.approx(25 - CONVERGE - BEARS_S, abs=1e-6)


def test_of_several_faults_the_last_one_to_go_is_the_heal():
    more = [
        FaultChanged(verb=verb, fault="wan", set_ns=SECOND + at * SECOND)
        for verb, at in (("set", 12), ("clear", 22))
    ]
    found = judged(run(until(25), events=(*CHANGES, *more, RunEnded())))
    assert found.value == pytest.approx(25 - 22 - BEARS_S, abs=1e-6)
    # One that stood in the steady phase, and stays, is what the baseline was measured under.
    always = FaultChanged(verb="set", fault="wan", set_ns=SECOND)
    assert judged(run(until(25), events=(always, *CHANGES, RunEnded()))).answer is Answer.PASS


def test_a_fault_that_stays_was_not_healed():
    stays = FaultChanged(verb="set", fault="wan", set_ns=SECOND + 12 * SECOND)
    found = judged(run(until(25), events=(*CHANGES, stays, RunEnded())))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.CONDITIONS)
    assert "fault wan stood until the end of phase c" in found.sentence


def test_what_never_returned_fails_where_there_was_time():
    never = run(until(99))
    found = judged(never, row(bound=17.0))
    assert (found.answer, found.value) == (Answer.FAIL, None)
    assert found.sentence.startswith("missed" if found.value else "it did not return")
    # 18 to 40 s, and 5 of them are looked at at once: of 17 s it is known, of more it is not.
    found = judged(never, row(bound=17.1))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "in the 17.0 s after the heal" in found.sentence


@pytest.mark.parametrize(
    ("found", "cause", "says"),
    [
        (run(until(25), phases=phases(None, None, None)), Cause.NOT_MEASURED, "kind steady"),
        (
            run(until(25), phases=phases(None, None, PhaseKind.STEADY)),
            Cause.NOT_MEASURED,
            "kind steady",
        ),
        (run(until(25), every_ms=300), Cause.TOO_FEW, "only 16 operations were due"),
        (run(until(25), every_ms=600), Cause.TOO_FEW, "there are 17 operations"),
        (
            run(lambda second: None if int(second * 25) % 10 == 0 else 4.0),
            Cause.CONDITIONS,
            "10% failed in the steady phase a",
        ),
    ],
    ids=["no kinds", "steady later", "rare", "rarer", "no baseline"],
)
def test_what_cannot_be_compared_is_unknown(found, cause, says):
    answer = judged(found)
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, cause)
    assert says in answer.sentence


def test_a_phase_that_ends_at_once_after_the_heal_is_unknown():
    late = FaultChanged(verb="clear", fault="cut", set_ns=SECOND + 36 * SECOND)
    answer = judged(run(until(25), events=(CHANGES[0], late, RunEnded())))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "ends 4.0 s after the heal" in answer.sentence


@pytest.mark.parametrize(
    ("from_s", "to_s", "what", "is_open"),
    [
        (1, 2, Part.OPERATIONS, True),  # the baseline
        (19, 20, Part.JOURNAL, True),  # after the heal, before the row's own phase
        (30, 31, Part.OPERATIONS, True),
        (12, 17, Part.OPERATIONS, False),  # while the fault stood
        (30, 31, Part.SAMPLES, False),
        (0, 1, Part.PLAN, True),  # which phase was steady
    ],
)
def test_a_gap_where_it_is_taken_from_makes_it_unknown(from_s, to_s, what, is_open):
    gap = Gap(
        what=frozenset({what}),
        from_ns=SECOND + from_s * SECOND,
        to_ns=SECOND + to_s * SECOND,
        why="a torn file",
    )
    found = judged(run(until(25), gaps=(gap,)))
    assert found.answer is (Answer.UNKNOWN if is_open else Answer.PASS)
    assert found.cause is (Cause.GAP if is_open else None)


@pytest.mark.parametrize(("second", "bound"), [(2, 6.5), (26, 7.5)], ids=["steady", "converge"])
def test_a_generator_that_was_late_decides_nothing(second, bound):
    """It sent a second of messages 100 ms late: by 5 % of the bound none would be late. They made
    the baseline a bad one, or a return late.
    """
    good = run(until(25, 100.0))
    late = [
        {**one, "sent_ns": one["intended_ns"] + 100 * MS, "done_ns": one["intended_ns"] + 104 * MS}
        if 0 <= one["intended_ns"] - SECOND - second * SECOND < SECOND
        else one
        for one in good.operations.to_pylist()
    ]
    found = judged(replace(good, operations=history(late).operations), row(bound=bound))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)
    assert found.sentence.startswith("the load generator sent 25 of 800 operations late")


def test_a_broadcast_returns_when_all_have_it_in_time():
    operations, journal = [], []
    for number in range(0, END * 1000, 100):
        due_ns = SECOND + number * MS
        operations.append(operation(number, Operation.BROADCAST, target=-1))
        for node in (0, 2):
            if node == 0 or not 11 <= number / 1000 < 24:
                heard = record(number, RecordKind.RECEIVED, node, due_ns + 3 * MS)
                journal += [heard]
    found = history(operations, journal, phases=USUAL, events=(*CHANGES, RunEnded()))
    answer = judged(found, row(metric="broadcast.return_to_baseline"))
    assert answer.answer is Answer.PASS
    assert answer.value == pytest.approx(24 - HEALED - 0.3, abs=1e-6)  # 2 of 50 may lack


def test_without_a_bound_it_is_measured():
    found = judged(run(until(25)), row(bound=None))
    assert found.answer is Answer.MEASURED
    assert found.value == pytest.approx(25 - HEALED - BEARS_S, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"comparison": ">="}, "expected < or <=, found '>='"),
        ({"conditions": Conditions(phase="c", under="cut")}, "under: private_message.return"),
        (
            {"metric": "private_message.end_to_end", "factor": 2.0},
            "factor: private_message.end_to_end has none",
        ),
        ({"unit": "%"}, "is a time"),
    ],
)
def test_a_row_that_cannot_be_is_refused(changes, says):
    with pytest.raises(BadFileError, match=says):
        rows.validate([row(**changes)])


def test_a_factor_below_one_is_refused():
    with pytest.raises(BadFileError, match="factor: expected 1 or more"):
        row(factor=0.5)
