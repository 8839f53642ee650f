"""Whether the condition of a phase held, and when: PASS, FAIL and UNKNOWN."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import MS, SECOND, fault, gap, history, host, operation, record

from harness import checks
from harness.checks import convergence
from harness.checks.verdict import Answer, Cause
from harness.history import plan
from harness.history.events import (
    NodeChanged,
    NodeEnded,
    NodeReadiness,
    NodeStarted,
    PhaseEnded,
    PhasesOver,
    RunEnded,
)
from harness.history.gaps import Gap, Part
from harness.history.history import PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

READY = "all nodes ready"
COVERAGE = "coverage of the last second >= 100 %"
SUCCESS = "success of private_message in the last second >= 95 %"
P95 = "p95 of private_message in the last second < 50 ms"
EVERYWHERE = "broadcasts: in the journals of all 2 other nodes"


def run(until, operations, journal, seconds=10.0, most_s=10.0, happened=(), **changes):
    """A run of one phase "load", which a condition was to end."""
    said = {
        "t0_ns": SECOND,
        "load": {},
        "plan": [
            {
                "name": "load",
                "begin_s": 0.0,
                "end_s": most_s,
                "kind": "converge",
                "until": until,
                "at_most_s": 10.0,
            }
        ],
    }
    window = PhaseWindow(
        name="load",
        begin_ns=SECOND,
        end_ns=SECOND + round(seconds * SECOND),
        kind=PhaseKind.CONVERGE,
        until=until,
    )
    plain = {
        "plan": plan.read(said, {}, happened),
        "phases": (window,),
        "events": (*happened, PhasesOver(at_ns=window.end_ns), RunEnded()),
    }
    return history(operations, journal, **{**plain, **changes})


def broadcasts(late, until_s=10):
    """A broadcast each 200 ms to nodes 0 and 2; node 2 hears those of `late` so much later (ms),
    or never where that is None.
    """
    operations, journal = [], []
    for number in range(0, until_s * 1000, 200):
        due_ns, late_ms = SECOND + number * MS, late(number / 1000)
        operations.append(operation(number, Operation.BROADCAST, target=-1))
        journal.append(record(number, RecordKind.RECEIVED, 0, due_ns + MS))
        if late_ms is not None:
            journal.append(record(number, RecordKind.RECEIVED, 2, due_ns + late_ms * MS))
    return operations, journal


def messages(took_ms, every_ms=20, **changes):
    """A message each 20 ms, which took what `took_ms` says of its second; None: it failed."""
    operations, journal = [], []
    for number in range(0, 10_000, every_ms):
        took = took_ms(number / 1000)
        outcome = Outcome.FAILED if took is None else Outcome.OK
        done_ns = SECOND + number * MS + (took or 0) * MS
        operations.append(operation(number, outcome=int(outcome), done_ns=done_ns, **changes))
        if took is not None:
            journal.append(record(number, at_ns=done_ns))
    return operations, journal


def judged(found):
    [answer] = convergence.check(found)
    return answer


def test_a_run_without_conditions_has_no_finding():
    assert convergence.check(history()) == []


@pytest.mark.parametrize("late_ms", [None, 1001])
def test_coverage_holds_from_the_end_of_the_first_whole_second(late_ms):
    """What comes later than a second after it was due has not come."""
    found = judged(run(COVERAGE, *broadcasts(lambda second: late_ms if second < 3 else 5)))
    assert (found.answer, found.phase) == (Answer.PASS, "load")
    # The last that was not everywhere was due after 2.8 s: a second without it begins just then.
    assert found.measured == "held after 3.8 s"
    assert found.promised == "coverage of the last second >= 100 %, within 10 s"
    assert found.sentence == "the phase ended after 10.0 s"


def test_what_is_in_time_counts():
    assert judged(run(COVERAGE, *broadcasts(lambda _: 1000))).measured == "held after 1.0 s"


def test_a_mean_of_coverage_is_enough_for_less():
    """One of two nodes has it: half."""
    half = broadcasts(lambda _: None)
    assert judged(run("coverage of the last second >= 50 %", *half)).answer is Answer.PASS
    assert judged(run("coverage of the last second >= 51 %", *half)).answer is Answer.FAIL


def test_a_node_that_the_harness_stopped_is_not_waited_for():
    never = broadcasts(lambda _: None)
    assert judged(run(COVERAGE, *never)).answer is Answer.FAIL
    stopped = NodeChanged(at_ns=1, node="node-2", condition="stopped")
    events = (stopped, PhasesOver(at_ns=11 * SECOND), RunEnded())
    assert judged(run(COVERAGE, *never, events=events)).answer is Answer.PASS


@pytest.mark.parametrize("bad", [None, 1500])
def test_success_is_of_what_came_true_within_a_second(bad):
    found = judged(run(SUCCESS, *messages(lambda second: bad if second < 4 else 5)))
    # 5 % of the 50 of a second may fail: two.
    assert found.measured == "held after 4.9 s"
    assert judged(run(SUCCESS, *messages(lambda _: bad))).answer is Answer.FAIL


def test_p95_is_below_its_bound():
    found = judged(run(P95, *messages(lambda second: 50 if second < 4 else 49)))
    assert (found.answer, found.measured) == (Answer.PASS, "held after 4.9 s")
    never = judged(run(P95, *messages(lambda _: 50)))
    assert (never.answer, never.measured) == (Answer.FAIL, "not in 10.0 s")
    assert never.sentence == "it never held"


def test_too_few_show_nothing():
    found = judged(run(P95, *messages(lambda _: 99, every_ms=100)))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.TOO_FEW)
    assert found.sentence.startswith("at most 10 private_messages were due in a second")


def test_a_phase_that_a_condition_ended_was_as_long_as_it_was():
    ended = PhaseEnded(phase="load", end_ns=SECOND + 6 * SECOND)
    some = broadcasts(lambda second: None if second < 3 else 5, until_s=6)
    found = run(COVERAGE, *some, seconds=6.0, happened=(ended,))
    answer = judged(found)
    assert answer.measured == "held after 3.8 s"
    assert answer.promised.endswith("within 10 s")
    assert answer.sentence == "the phase ended after 6.0 s"
    verdict = checks.judge(found, [])
    assert {one.answer for one in verdict.findings} <= {Answer.PASS, Answer.MEASURED}


def test_a_condition_that_the_record_does_not_show_is_unknown():
    ended = PhaseEnded(phase="load", end_ns=SECOND + 6 * SECOND)
    never = broadcasts(lambda _: None, until_s=6)
    answer = judged(run(COVERAGE, *never, seconds=6.0, happened=(ended,)))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "the generator saw it hold" in answer.sentence


def test_a_run_that_ended_before_the_time_was_over_is_unknown():
    never = broadcasts(lambda _: None, until_s=6)
    answer = judged(run(COVERAGE, *never, seconds=6.0))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert judged(run(COVERAGE, *never, seconds=6.0, plan=None)).answer is Answer.UNKNOWN
    # A replay is as long as its original was, which the condition ended.
    again = judged(run(COVERAGE, *never, seconds=6.0, most_s=6.0))
    assert (again.answer, again.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    # A look at a run under way does not know yet when the phase ends.
    under_way = judged(run(COVERAGE, *never, seconds=6.0, most_s=None))
    assert (under_way.answer, under_way.cause) == (Answer.UNKNOWN, Cause.UNDER_WAY)


def test_a_gap_in_the_phase_makes_it_unknown():
    gap = Gap(what=frozenset({Part.JOURNAL}), from_ns=SECOND, to_ns=2 * SECOND, why="torn")
    for late in (5, None):
        found = run(COVERAGE, *broadcasts(lambda _, late=late: late), gaps=(gap,))
        [answer] = [one for one in checks.judge(found, []).findings if one.name == "converged"]
        assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.GAP)


def test_a_generator_that_was_late_did_not_keep_it_from_holding():
    """Each third message was sent 60 ms late: without them the p95 is 5 ms."""
    operations, journal = messages(lambda _: 5)
    late = [
        {**one, "sent_ns": one["intended_ns"] + 60 * MS, "done_ns": one["intended_ns"] + 65 * MS}
        if number % 3 == 0
        else one
        for number, one in enumerate(operations)
    ]
    answer = judged(run(P95, late, journal))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)


def test_a_load_that_was_not_sent_shows_nothing():
    operations, journal = messages(lambda _: None, sent_ns=0)
    answer = judged(run(SUCCESS, operations, journal))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.GENERATOR_BEHIND)


@pytest.mark.parametrize(
    ("until", "slow", "lost"),
    [
        (P95, messages(lambda _: 60), messages(lambda second: None if second % 0.1 < 0.02 else 60)),
        (SUCCESS, messages(lambda _: 1500), messages(lambda _: None)),
        (COVERAGE, broadcasts(lambda _: 1500), broadcasts(lambda _: None)),
    ],
    ids=["p95", "success", "coverage"],
)
def test_a_host_that_others_used_makes_late_and_loses_nothing(until, slow, lost):
    seconds = [host(at, 2.0 * at) for at in range(14)]
    table = history().host.from_pylist(seconds, history().host.schema)
    answer = judged(run(until, *slow, host=table, cores=2))
    assert (answer.answer, answer.cause) == (Answer.UNKNOWN, Cause.HOST_LIMITED)
    assert judged(run(until, *lost, host=table, cores=2)).answer is Answer.FAIL
    torn = {"host": table.slice(0, 0), "gaps": (gap(Part.HOST),), "cores": 2}
    assert judged(run(until, *slow, **torn)).cause is Cause.GAP  # nobody knows whose it was
    assert judged(run(until, *lost, **torn)).answer is Answer.FAIL


def test_until_it_holds_nobody_asks_for_what_does_not_come_true():
    """And from then on everybody does."""
    early = run(COVERAGE, *broadcasts(lambda second: None if second < 3 else 5))
    findings = {one.name: one for one in checks.judge(early, []).findings}
    assert (findings[EVERYWHERE].answer, findings[EVERYWHERE].measured) == (
        Answer.PASS,
        "35 of 50",
    )
    assert findings[EVERYWHERE].sentence.endswith("in phase load (until it held): not judged")
    later = broadcasts(lambda second: None if second < 3 or second > 8 else 5)
    findings = {one.name: one for one in checks.judge(run(COVERAGE, *later), []).findings}
    assert findings["converged"].answer is Answer.PASS
    assert findings[EVERYWHERE].answer is Answer.FAIL


def test_a_condition_of_a_later_version_is_not_judged():
    found = run(COVERAGE, *broadcasts(lambda _: 5))
    [window] = found.phases
    strange = replace(found, phases=(replace(window, until="the moon is full"),))
    [one] = [one for one in checks.judge(strange, []).findings if one.name == "convergence"]
    assert (one.answer, one.cause) == (Answer.UNKNOWN, Cause.CHECKER_BROKE)


# ---- what was to be gone -------------------------------------------------------------------------


def with_fault(gone_s, took_s=0.0, until_s=10, **more):
    """Broadcasts that reach all who run; node-1 was to be back when the phase begins, at 1 s."""
    changes = [plan.ChangePlan(at_ns=n, verb=verb, fault="crash") for n, verb in PLANNED]
    crash = {"name": "crash", "does": "crashed", "nodes": ("node-1",)}
    happened = [fault("set", 0.4, **crash)]
    if gone_s is not None:
        happened.append(fault("clear", gone_s, **crash, took_ms=took_s * 1000.0))
    found = run(COVERAGE, *broadcasts(lambda _: 5, until_s), happened=happened, **more)
    return judged(replace(found, plan=replace(found.plan, changes=tuple(changes))))


PLANNED = ((2 * SECOND // 5, "set"), (SECOND, "clear"))


def test_who_was_to_be_back_is_waited_for():
    """It held after 1.0 s: by all others, while the node was away."""
    assert with_fault(1.0).measured == "held after 1.0 s"
    found = with_fault(5.0, took_s=4.0)
    assert (found.answer, found.measured) == (Answer.PASS, "held after 5.0 s")
    assert found.sentence == "the phase ended after 10.0 s; fault 'crash' was gone 4.0 s into it"


@pytest.mark.parametrize(
    ("gone_s", "took_s", "cause", "says"),
    [
        (None, 0.0, Cause.FAULT_OVERRAN, "it did not hold; fault 'crash' was not gone at its end"),
        (10.9, 0.0, Cause.FAULT_OVERRAN, "it did not hold; fault 'crash' was gone 9.9 s into it"),
        # How long a node takes to be back is the system's.
        (10.9, 9.9, None, "it never held; fault 'crash' was gone 9.9 s into it"),
        (20.0, 19.0, None, "it never held; fault 'crash' was not gone at its end"),
    ],
    ids=["never", "late", "slow", "slower"],
)
def test_what_stood_too_long_lets_nothing_converge(gone_s, took_s, cause, says):
    found = with_fault(gone_s, took_s)
    assert (found.answer, found.cause, found.sentence) == (
        Answer.UNKNOWN if cause else Answer.FAIL,
        cause,
        says,
    )


# ---- the nodes -----------------------------------------------------------------------------------


def nodes(*happened, **more):
    """A run that waits for its nodes, of ten seconds, in which this happened (s)."""
    return judged(run(READY, [], [], happened=happened, **more))


def down(node, since_s, at_s=None, condition="killed"):
    at_ns = round((since_s if at_s is None else at_s) * SECOND)
    since_ns = round(since_s * SECOND)
    return NodeChanged(at_ns=at_ns, node=node, condition=condition, since_ns=since_ns)


def up(node, at_s):
    return NodeStarted(at_ns=round(at_s * SECOND), node=node)


def test_nodes_that_are_all_ready_end_it_at_once():
    assert nodes().measured == "held after 0.0 s"
    assert nodes(down("node-1", 0.5), up("node-1", 0.9)).measured == "held after 0.0 s"


def test_the_last_node_that_is_ready_ends_it():
    """node-2 is stopped while the other starts; that it is paused later is another matter."""
    found = nodes(
        down("node-1", 0.5),
        down("node-2", 2.0, 2.2, "stopped"),
        up("node-1", 3.0),
        up("node-2", 4.5),
        down("node-0", 6.0, condition="paused"),
    )
    assert (found.answer, found.measured) == (Answer.PASS, "held after 3.5 s")
    assert found.promised == "all nodes ready, within 10 s"


def readiness(node, at_s, *, ready, **more):
    return NodeReadiness(at_ns=round(at_s * SECOND), node=node, ready=ready, **more)


@pytest.mark.parametrize("awaited", [False, True])
def test_a_node_that_runs_and_is_not_ready_does_not_end_it(awaited):
    """It was told as started when it had said nothing new for long, or when somebody was due to
    change another node of its fault: PASS, "held after 0.0 s".
    """
    started = (
        down("node-1", 0.5),
        up("node-1", 0.9),
        readiness("node-1", 0.9, ready=False, awaited=awaited),
    )
    found = nodes(*started)
    assert (found.answer, found.sentence) == (Answer.FAIL, "not ready at its end: node-1")
    paused = (down("node-1", 2, condition="paused"), down("node-1", 3, condition="running"))
    late = nodes(*started, *paused, readiness("node-1", 4.5, ready=True))
    assert (late.answer, late.measured) == (Answer.PASS, "held after 3.5 s")
    again = (down("node-1", 2), up("node-1", 3.0))
    assert nodes(*started, *again).measured == "held after 2.0 s"


def test_a_node_that_ended_by_itself_is_not_ready():
    found = nodes(NodeEnded(at_ns=SECOND // 2, node="node-1"))
    assert (found.answer, found.cause) == (Answer.FAIL, None)
    assert found.sentence == "not ready at its end: node-1"


def test_a_node_that_is_still_starting_is_named():
    """Its fault began to go at 2 s, and it is ready at 20 s."""
    found = nodes(
        fault("set", 0.4, "gone", does="killed", nodes=("node-1",)),
        down("node-1", 0.5),
        fault("clear", 20.0, "gone", does="killed", nodes=("node-1",), took_ms=18_000.0),
        up("node-1", 20),
    )
    assert (found.answer, found.sentence) == (Answer.FAIL, "not ready at its end: node-1")


def test_a_node_that_a_fault_holds_is_nobodys_fault():
    gone = fault("set", 0.4, "gone", does="killed", nodes=("node-1",))
    found = nodes(gone, down("node-1", 0.5))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NODE_STOPPED)
    assert found.sentence == "a fault kept them from it: node-1"


def test_a_slow_host_may_have_kept_a_node():
    """It was ready, after all, when others let go of the host."""
    busy = [host(at_s, 2 * at_s, 0.0) for at_s in range(25)]
    taken = history().host.from_pylist(busy, history().host.schema)
    late = (down("node-1", 0.5), up("node-1", 20))
    found = nodes(*late, host=taken)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.HOST_LIMITED)
    assert nodes(late[0], host=taken).answer is Answer.FAIL
