"""What is judged of a phase by its kind: a warm-up by no row, chaos for what must never happen."""

from __future__ import annotations

import pytest
from kit.histories import MS, SECOND, history, operation, record

from harness import checks
from harness.checks.nodes import NAME as ALIVE
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeEnded, RunEnded
from harness.history.history import PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario.budget import Conditions, Row

CAME_TRUE = "operations that came true: private_message"
DELIVERED = "private messages: acknowledged and delivered"
EVERYWHERE = "broadcasts: in the journals of all 2 other nodes"
KINDS = [None, *PhaseKind]


def two(first, second):
    """Two phases of half a second, of these kinds: "a", then "b"."""
    return tuple(
        PhaseWindow(name=name, begin_ns=SECOND + at, end_ns=SECOND + at + 500 * MS, kind=kind)
        for name, at, kind in (("a", 0, first), ("b", 500 * MS, second))
    )


def messages(lost=()):
    """A message each 10 ms for a second; some of them failed, which nobody delivered."""
    some = [
        operation(n, outcome=int(Outcome.FAILED if n in lost else Outcome.OK))
        for n in range(0, 1000, 10)
    ]
    return some, [record(n) for n in range(0, 1000, 10) if n not in lost]


def of(name, found, phase=None):
    return next(one for one in found if one.name == name and phase in (None, one.phase))


def judged(kind, lost=(), rows=(), other=None, **changes):
    operations, journal = messages(lost)
    run = history(operations, journal, phases=two(kind, other), **changes)
    return checks.judge(run, rows)


def delivered(phase="a", bound=100.0):
    return Row(
        name="delivered",
        metric="private_message.delivered",
        statistic="mean",
        comparison=">=",
        bound=bound,
        unit="%",
        conditions=Conditions(phase=phase),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_what_failed_is_asked_for_but_in_a_warm_up_and_in_chaos(kind):
    found = judged(kind, lost={100})
    if kind in (PhaseKind.WARM_UP, PhaseKind.CHAOS):
        assert found.answer is Answer.PASS
        [one] = [one for one in found.findings if one.name == CAME_TRUE]
        assert (one.answer, one.measured) == (Answer.MEASURED, "99 of 100")
        assert one.sentence == f"not judged in phase a ({kind})"
    else:
        assert found.answer is Answer.UNKNOWN
        assert of(CAME_TRUE, found.findings).cause is Cause.NOT_JUDGED


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_beside_it_is_asked_for(kind):
    """The failure in "b" is not excused by the kind of "a"."""
    found = of(CAME_TRUE, judged(kind, lost={100, 600}).findings)
    assert found.answer is Answer.UNKNOWN
    excused = kind in (PhaseKind.WARM_UP, PhaseKind.CHAOS)
    assert found.sentence.startswith("1 of phase b" if excused else "2 of phase a, b")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_wrong_may_happen_in_any_phase(kind):
    operations, journal = messages()
    phases = two(kind, None)
    twice = history(operations, [*journal, record(100)], phases=phases)
    assert of(DELIVERED, checks.judge(twice, []).findings).answer is Answer.FAIL
    lost = history(operations, [one for one in journal if one != record(100)], phases=phases)
    found = of(DELIVERED, checks.judge(lost, []).findings)
    assert (found.answer, found.measured) == (Answer.FAIL, "1 acknowledged but in no journal")
    early = [operation(100, done_ns=SECOND), *operations[:10], *operations[11:]]
    backwards = checks.judge(history(early, journal, phases=phases), [])
    assert of("private_message: done after it was sent", backwards.findings).answer is Answer.FAIL
    ended = NodeEnded(at_ns=SECOND + 100 * MS, node="node-2", signal=9)
    dead = checks.judge(history(operations, journal, phases=phases, events=(ended, RunEnded())), [])
    assert of(ALIVE, dead.findings).answer is Answer.FAIL


def test_where_nothing_came_true_nothing_is_known():
    """Chaos in which all fails would else be a pass: nothing wrong happened to nothing."""
    found = judged(PhaseKind.CHAOS, lost=set(range(0, 1000, 10)), other=PhaseKind.CHAOS)
    assert found.answer is Answer.UNKNOWN
    assert "says nothing" in of(CAME_TRUE, found.findings).sentence


@pytest.mark.parametrize("bound", [100.0, None])
def test_no_row_judges_a_warm_up(bound):
    found = judged(PhaseKind.WARM_UP, lost={100}, rows=[delivered(bound=bound), delivered("b")])
    warm, other = found.findings[:2]
    assert (warm.answer, warm.measured) == (Answer.MEASURED, "98 % (n=50)")
    assert (warm.sentence, warm.cause) == ("not judged: warm-up", None)
    assert other.answer is Answer.PASS
    assert found.answer is Answer.PASS
    assert found.rows()["judged"] == 1


def test_what_could_not_be_measured_of_a_warm_up_is_no_unknown():
    unsampled = Row(
        name="memory",
        metric="rss",
        statistic="max",
        bound=1.0,
        unit="MB",
        conditions=Conditions(phase="a"),
    )
    found = judged(PhaseKind.WARM_UP, rows=[unsampled, delivered("b")])
    assert found.findings[0].answer is Answer.MEASURED
    assert found.findings[0].sentence.startswith("not judged: warm-up (3 of 3 nodes were not")
    assert found.answer is Answer.PASS


def test_a_budget_about_the_warm_up_alone_judges_nothing():
    found = judged(PhaseKind.WARM_UP, rows=[delivered("a")])
    assert found.answer is Answer.UNKNOWN
    assert of("budget", found.findings).measured == "0 of 1"


@pytest.mark.parametrize("kind", [PhaseKind.STEADY, PhaseKind.CHAOS, PhaseKind.CONVERGE])
def test_a_row_that_names_its_phase_judges_it(kind):
    """In chaos too: who promises something there says so."""
    assert judged(kind, lost={100}, rows=[delivered()]).findings[0].answer is Answer.FAIL
    kept = judged(kind, lost={100}, rows=[delivered(bound=90.0)])
    assert kept.answer is Answer.PASS
    assert of(CAME_TRUE, kept.findings).sentence == "the row 'delivered' is about it"


def broadcasts(missing=()):
    """Ten broadcasts of node 1, which nodes 0 and 2 are to have; node 2 lacks some."""
    numbers = range(0, 1000, 100)
    some = [operation(n, Operation.BROADCAST, target=-1) for n in numbers]
    journal = [
        record(n, RecordKind.RECEIVED, node)
        for n in numbers
        for node in (0, 2)
        if node == 0 or n not in missing
    ]
    return some, journal


@pytest.mark.parametrize("kind", KINDS)
def test_a_broadcast_need_not_be_everywhere_in_chaos(kind):
    some, journal = broadcasts({200, 300})
    run = history(some, journal, phases=two(kind, None))
    found = of(EVERYWHERE, checks.judge(run, []).findings)
    if kind in (PhaseKind.WARM_UP, PhaseKind.CHAOS):
        assert (found.answer, found.measured) == (Answer.PASS, "8 of 10")
        assert found.sentence.endswith(f"2 not everywhere in phase a ({kind}): not judged")
    else:
        assert (found.answer, found.measured) == (Answer.FAIL, "2 not everywhere")
    twice = history(some, [*journal, record(200, RecordKind.RECEIVED, 0)], phases=two(kind, None))
    assert of(EVERYWHERE, checks.judge(twice, []).findings).answer is Answer.FAIL


def test_broadcasts_that_are_nowhere_everywhere_are_no_pass():
    some, journal = broadcasts(set(range(1000)))
    run = history(some, journal, phases=two(PhaseKind.CHAOS, PhaseKind.CHAOS))
    found = of(EVERYWHERE, checks.judge(run, []).findings)
    assert (found.answer, found.measured) == (Answer.MEASURED, "0 of 10")


PLANNED = {"planned_per_s": {("a", Operation.PRIVATE_MESSAGE): 100.0}}


@pytest.mark.parametrize("kind", KINDS)
def test_the_load_of_a_warm_up_may_be_late(kind):
    operations, journal = messages()
    late = [{**one, "sent_ns": one["intended_ns"] + 300 * MS} for one in operations]
    late = [{**one, "done_ns": one["sent_ns"] + MS} for one in late]
    run = history(late, journal, phases=two(kind, None), **PLANNED)
    found = of("load: private_message", checks.judge(run, []).findings, "a")
    if kind is PhaseKind.WARM_UP:
        assert (found.answer, found.cause) == (Answer.MEASURED, None)
        assert found.sentence == "not judged: warm-up; 50 operations sent"
    else:
        assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_that_was_not_made_is_another_one_in_any_phase(kind):
    operations, journal = messages()
    run = history(operations[40:], journal[40:], phases=two(kind, None), **PLANNED)
    found = of("load: private_message", checks.judge(run, []).findings, "a")
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.LOAD_NOT_DELIVERED)


@pytest.mark.parametrize("kind", KINDS)
def test_that_nodes_are_stopped_is_the_plan_in_chaos_alone(kind):
    operations, journal = messages()
    never = {"sent_ns": 0, "done_ns": 0, "outcome": int(Outcome.FAILED)}
    some = [{**one, **(never if 10 <= n < 20 else {})} for n, one in enumerate(operations)]
    events = (
        NodeChanged(at_ns=SECOND + 95 * MS, node="node-1", condition="stopped"),
        NodeChanged(at_ns=SECOND + 200 * MS, node="node-1", condition="running"),
        RunEnded(),
    )
    run = history(some, journal, phases=two(kind, None), events=events, **PLANNED)
    found = of("load: private_message", checks.judge(run, []).findings, "a")
    if kind in (PhaseKind.WARM_UP, PhaseKind.CHAOS):
        assert found.answer is not Answer.UNKNOWN
        assert "10 never" in found.sentence
    else:
        assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NODE_STOPPED)
