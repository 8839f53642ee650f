"""Membership: who is dead is suspected by all, and who lives by nobody for long."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kit.histories import SECOND, beginning, fault, history, host, record

from harness import checks
from harness.checks import membership
from harness.checks.membership import DEAD, LIVING
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import (
    GatewayStalled,
    NodeChanged,
    NodeEnded,
    NodeStarted,
    RunEnded,
)
from harness.history.gaps import END_NS, Gap, Part
from harness.history.history import PhaseWindow
from harness.history.plan import PhaseKind
from harness.operations.records import RecordKind

ALL = {"kept": frozenset({RecordKind.MEMBER_FAILED, RecordKind.MEMBER_JOINED})}
LINKS = frozenset({(0, 1), (1, 2)})  # node-0 and node-2 are no neighbours
NEIGHBOURS = {"kept": frozenset({RecordKind.LINK_DOWN, RecordKind.LINK_UP}), "links": LINKS}
UP, DOWN = RecordKind.LINK_UP, RecordKind.LINK_DOWN
JOINED, FAILED = RecordKind.MEMBER_JOINED, RecordKind.MEMBER_FAILED


def tells(node, kind, of, at_s):
    return record(9, kind, node, int(at_s * SECOND), peer=beginning(of))


# Who is linked with whom as the journals begin.
BEGUN = [tells(*row, 0.5) for row in ((0, UP, 1), (1, UP, 0), (1, UP, 2), (2, UP, 1))]


def killed(at_s, name="node-2", **more):
    return NodeChanged(at_ns=int(at_s * SECOND), node=name, condition="killed", **more)


def started(at_s, name="node-2", **more):
    return NodeStarted(at_ns=int(at_s * SECOND), node=name, **more)


def judged(journal, events=(), within_s=5, **more):
    """The findings by name of a run from 1 s to 41 s, of which all is told within 5 s."""
    plain = {"seconds": 40, "events": (*events, RunEnded()), **NEIGHBOURS}
    made = history((), journal, **{**plain, **more})
    return {one.name: one for one in membership.check(made, round(within_s * SECOND))}


def answers(found):
    return {name: (one.answer, one.measured) for name, one in found.items()}


def test_neighbours_see_a_death_and_a_return():
    journal = [*BEGUN, tells(1, DOWN, 2, 10.2), tells(1, UP, 2, 20.5), tells(2, UP, 1, 20.4)]
    found = judged(journal, [killed(10), started(20)])
    assert answers(found) == {DEAD: (Answer.PASS, "1 of 1"), LIVING: (Answer.PASS, "6 of 6")}
    assert found[DEAD].promised == "1 of 1 within 5 s"


def test_members_are_everybodys():
    """Serf tells of all members, and of nobody as the journals begin."""
    journal = [tells(0, FAILED, 2, 12), tells(1, FAILED, 2, 14), tells(0, JOINED, 2, 20.5)]
    journal += [tells(1, JOINED, 2, 21)]
    found = judged(journal, [killed(10), started(20)], links=frozenset(), **ALL)
    assert answers(found) == {DEAD: (Answer.PASS, "2 of 2"), LIVING: (Answer.PASS, "4 of 4")}
    found = judged(journal[1:], [killed(10), started(20)], links=frozenset(), **ALL)
    assert (found[DEAD].answer, found[DEAD].measured) == (Answer.FAIL, "1 not")


@pytest.mark.parametrize("told", [True, False])
def test_the_cut_around_a_crash_is_no_excuse(told):
    """It is there for as long as the machine is dead, and no death would ever be judged."""
    crash = NodeChanged(
        at_ns=10_100_000_000, node="node-2", condition="crashed", since_ns=10 * SECOND
    )
    sides = {"node-0": 0, "node-1": 0, "node-2": 1}
    events = [
        fault("set", 10.05, "crash: cut", sides=sides, took_ms=50.0),
        crash,
        fault("set", 10.1, "crash", does="crashed", nodes=("node-2",), took_ms=100.0),
        fault("clear", 19.9, "crash: cut", sides=sides, took_ms=50.0),
        started(20),
        fault("clear", 20, "crash", does="crashed", nodes=("node-2",), took_ms=300.0),
    ]
    journal = [*BEGUN, tells(1, UP, 2, 20.5), tells(2, UP, 1, 20.4)]
    found = judged([*journal, *([tells(1, DOWN, 2, 12)] if told else [])], events)
    assert found[DEAD].answer is (Answer.PASS if told else Answer.FAIL)


@pytest.mark.parametrize("told", [(), (tells(1, DOWN, 2, 15.5),)], ids=["never", "too late"])
def test_a_death_that_nobody_tells_of(told):
    finding = judged([*BEGUN, *told], [killed(10)])[DEAD]
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    assert finding.sentence == "node-1 did not suspect node-2, which died 9 s into the run"


@pytest.mark.parametrize(
    ("taken_back_s", "again_s", "sentence"),
    [
        (15, None, "node-1 took back that it suspected node-2, which died 9 s into the run"),
        (13, 15.5, "node-1 took back that it suspected node-2, which died 9 s into the run"),
        (15.1, None, "node-1 took back for 25.9 s that it suspected node-2, which died 9 s into"),
        (30, 36, "node-1 took back for 6 s that it suspected node-2, which died 9 s into the run"),
        (13, 14, ""),  # it suspects it at 15 s, when that is due
        (30, 35, ""),  # no longer than the bound
    ],
)
def test_a_suspicion_of_the_dead_that_is_taken_back(taken_back_s, again_s, sentence):
    """It is dead for good. One that lasted until the moment when it was due, or longer, and was
    taken back, was PASS.
    """
    journal = [*BEGUN, tells(1, DOWN, 2, 12), tells(1, UP, 2, taken_back_s)]
    journal += [] if again_s is None else [tells(1, DOWN, 2, again_s)]
    finding = judged(journal, [killed(10)])[DEAD]
    assert finding.answer is (Answer.FAIL if sentence else Answer.PASS), finding
    assert finding.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("events", "more", "answer"),
    [
        ((), {"seconds": 32}, Answer.UNKNOWN),
        ((started(34),), {}, Answer.PASS),  # it was back before anybody was due to suspect it again
        ((killed(33, "node-1"),), {}, Answer.PASS),  # who took it back could not go on
    ],
    ids=["the record ends", "it is started", "who looks ends"],
)
def test_a_suspicion_that_was_taken_back_a_little_before_the_end(events, more, answer):
    journal = [*BEGUN, tells(1, DOWN, 2, 12), tells(1, UP, 2, 30), tells(0, DOWN, 1, 33.5)]
    assert judged(journal, [killed(10), *events], **more)[DEAD].answer is answer


def test_one_that_took_its_time_to_end_is_dead_only_then():
    """It let its links go when it was asked to, at 10 s, took one more, and ended at 17 s."""
    stop = NodeChanged(at_ns=17 * SECOND, since_ns=10 * SECOND, node="node-2", condition="stopped")
    journal = [*BEGUN, tells(1, DOWN, 2, 10.1), tells(1, UP, 2, 11), tells(1, DOWN, 2, 21)]
    assert judged(journal, [stop])[DEAD].answer is Answer.PASS


def test_a_node_that_stays_dead_to_another():
    """meshnode's planted bug: the link stands again, and one end holds the other to be dead."""
    journal = [*BEGUN, tells(1, DOWN, 2, 10.2), tells(2, UP, 1, 20.4)]
    finding = judged(journal, [killed(10), started(20)])[LIVING]
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 not")
    assert finding.sentence == "node-1 suspected node-2, which ran, for 21 s"


def test_a_node_that_never_held_a_neighbour_suspects_it():
    """Its journal says at its beginning whom it holds: node-2 is not among them."""
    without = [one for one in BEGUN if (one[-1], one[-2]) != (1, beginning(2))]
    assert judged(without)[LIVING].measured == "1 not"
    # That this one suspects it when it dies is no merit.
    found = judged(without, [killed(10)])
    assert DEAD not in found
    assert found[LIVING].sentence == "node-1 suspected node-2, which ran, for 9 s"


def test_a_suspicion_may_last_as_long_as_the_bound():
    journal = [*BEGUN, tells(1, DOWN, 0, 10), tells(1, UP, 0, 15)]
    assert answers(judged(journal)) == {LIVING: (Answer.PASS, "4 of 4")}
    assert judged(journal, within_s=4.999)[LIVING].answer is Answer.FAIL


KILLED = [
    fault(verb, at_s, "crash", does="killed", nodes=("node-2",))
    for verb, at_s in (("set", 10), ("clear", 13))
]


@pytest.mark.parametrize(
    "events",
    [
        (killed(10), started(14)),
        (killed(10), started(17), *KILLED),
        (killed(10), started(17, journals_ns=12 * SECOND)),
    ],
    ids=["back too soon", "began to be started", "ran long before it was ready"],
)
def test_a_death_that_nobody_had_to_see(events):
    found = judged([*BEGUN, tells(2, UP, 1, 13.5)], events)
    assert DEAD not in found
    assert found[LIVING].answer is Answer.PASS


def test_who_dies_itself_need_not_see_a_death():
    found = judged([*BEGUN, tells(0, DOWN, 1, 12.1)], [killed(10), killed(12, "node-1")])
    assert answers(found)[DEAD] == (Answer.PASS, "1 of 1")  # node-0 saw node-1


def test_a_death_that_was_not_seen_before_the_record_ends_is_unknown():
    found = judged(BEGUN, [killed(38)])
    assert (found[DEAD].answer, found[DEAD].cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "the record ends before 5 s were over" in found[DEAD].sentence
    assert found[LIVING].answer is Answer.PASS
    # One that was seen is no question any more.
    seen = judged([*BEGUN, tells(1, DOWN, 2, 39)], [killed(38)])
    assert seen[DEAD].answer is Answer.PASS


def test_a_suspicion_that_is_young_when_the_record_ends_is_unknown():
    finding = judged([*BEGUN, tells(0, DOWN, 1, 38)])[LIVING]
    assert (finding.answer, finding.measured) == (Answer.UNKNOWN, "1 not told")


def test_a_stop_takes_its_time():
    """It was asked to stop at 10 s and ended at 17 s: what it was then is not known."""
    stop = NodeChanged(at_ns=17 * SECOND, since_ns=10 * SECOND, node="node-2", condition="stopped")
    assert judged([*BEGUN, tells(1, DOWN, 2, 18)], [stop])[DEAD].answer is Answer.PASS
    assert judged([*BEGUN, tells(1, DOWN, 2, 11)], [stop])[DEAD].answer is Answer.PASS
    assert judged([*BEGUN, tells(1, DOWN, 2, 23)], [stop])[DEAD].answer is Answer.FAIL


def test_a_node_that_ended_by_itself_is_dead():
    """It is seen to end a little later than the others see it."""
    end = NodeEnded(at_ns=10 * SECOND, node="node-2")
    assert judged([*BEGUN, tells(1, DOWN, 2, 9.99)], [end])[DEAD].answer is Answer.PASS
    assert judged(BEGUN, [end])[DEAD].answer is Answer.FAIL


SIDES = {"node-0": 0, "node-1": 0, "node-2": 1}


@pytest.mark.parametrize(
    "more",
    [
        {"sides": SIDES},
        {"does": "loss 90 %", "paths": 6},
        {"does": "cpu 10 %", "nodes": ("node-2",)},
        {"does": "up 1 Mbit/s", "up": {"node-2": 1_000_000}},
    ],
    ids=["parted", "on paths that nobody knows", "limited", "narrow"],
)
def test_who_could_not_know_it_is_not_judged(more):
    """node-1 suspects node-2 behind a fault, and for 4 s after that."""
    changes = [fault("set", 10, **more), fault("clear", 20, **more)]
    journal = [*BEGUN, tells(1, DOWN, 2, 11)]
    back = [*journal, tells(1, UP, 2, 24)]
    assert judged(back, changes)[LIVING].answer is Answer.PASS
    assert judged(journal, changes)[LIVING].answer is Answer.FAIL
    slow = [fault("set", 10, **more), fault("clear", 22, took_ms=2000.0, **more)]
    late = [*journal, tells(1, UP, 2, 26)]
    assert judged(late, slow)[LIVING].answer is Answer.PASS  # it began to go at 20 s
    # Who died behind it need not be seen.
    assert DEAD not in judged(BEGUN, [*changes, killed(11), started(19)])


def test_a_fault_elsewhere_excuses_nobody():
    sides = {"node-0": 0, "node-2": 1}
    changes = [fault("set", 10, sides=sides), fault("clear", 30, sides=sides)]
    assert judged([*BEGUN, tells(1, DOWN, 2, 11)], changes)[LIVING].answer is Answer.FAIL


@pytest.mark.parametrize("does", ["killed", "crashed", "restarted", "stopped, state wiped"])
def test_a_fault_that_is_the_death_itself_excuses_nobody(does):
    of_it = {"name": "crash", "does": does, "nodes": ("node-2",)}
    changes = [fault("set", 10, **of_it), killed(10), fault("clear", 30, **of_it), started(30)]
    assert judged(BEGUN, changes)[DEAD].answer is Answer.FAIL


def test_a_paused_node_is_neither_dead_nor_alive():
    changes = [
        NodeChanged(at_ns=10 * SECOND, node="node-2", condition="paused"),
        NodeChanged(at_ns=20 * SECOND, node="node-2", condition="running"),
    ]
    fine = [*BEGUN, tells(1, DOWN, 2, 12), tells(1, UP, 2, 24)]
    found = judged(fine, changes)
    assert list(found) == [LIVING]
    assert found[LIVING].answer is Answer.PASS


def test_a_new_life_knows_nothing_of_what_the_one_before_told():
    """node-1 suspected node-0 and died; its next one held it from the beginning."""
    journal = [*BEGUN, tells(1, DOWN, 0, 9), tells(1, UP, 0, 19.8), tells(1, UP, 2, 19.9)]
    journal += [tells(0, DOWN, 1, 10.1), tells(2, DOWN, 1, 10.1), tells(0, UP, 1, 19.8)]
    journal += [tells(2, UP, 1, 19.9)]
    found = judged(journal, [killed(10, "node-1"), started(20, "node-1")])
    assert answers(found) == {DEAD: (Answer.PASS, "2 of 2"), LIVING: (Answer.PASS, "8 of 8")}
    lacks = [one for one in journal if one != tells(1, UP, 2, 19.9)]
    assert judged(lacks, [killed(10, "node-1"), started(20, "node-1")])[LIVING].measured == "1 not"


def test_what_is_told_of_strangers_is_nobodys():
    assert judged([*BEGUN, tells(1, DOWN, 7, 10)])[LIVING].measured == "4 of 4"


def test_a_warm_up_is_not_judged():
    phases = (
        PhaseWindow(name="warm", begin_ns=SECOND, end_ns=20 * SECOND, kind=PhaseKind.WARM_UP),
        PhaseWindow(name="load", begin_ns=20 * SECOND, end_ns=41 * SECOND),
    )
    journal = [*BEGUN, tells(1, DOWN, 2, 2), tells(1, UP, 2, 24)]
    assert judged(journal, phases=phases)[LIVING].answer is Answer.PASS
    assert judged(journal)[LIVING].answer is Answer.FAIL
    assert judged(journal, phases=phases[:1]) == {}


def used(busy):
    """A host of two cores, which others had in these seconds."""
    rows = [
        host(at + 0.5, sum(2.0 if one in busy else 0.1 for one in range(at))) for at in range(45)
    ]
    return {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2}


STALL = GatewayStalled(since_ns=12 * SECOND, until_ns=13 * SECOND)


@pytest.mark.parametrize(
    ("events", "busy", "cause"),
    [
        ((), range(45), Cause.HOST_LIMITED),
        ((), (12, 13), Cause.HOST_LIMITED),
        ((STALL,), (), Cause.GATEWAY_STALLED),
        ((), (18, 19), None),
    ],
    ids=["busy", "busy for a while", "the gateway", "busy afterwards"],
)
def test_what_others_held_up_accuses_nobody(events, busy, cause):
    """node-2 dies at 10 s, and nobody tells of it."""
    finding = judged(BEGUN, [killed(10), *events], **used(busy))[DEAD]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN if cause else Answer.FAIL, cause)


def test_a_host_of_which_nothing_is_known_leaves_a_miss_open():
    gap = Gap(what=frozenset({Part.HOST}), from_ns=0, to_ns=END_NS, why="host.arrow is missing")
    finding = judged(BEGUN, [killed(10)], gaps=(gap,))[DEAD]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.GAP)
    assert judged(BEGUN, gaps=(gap,))[LIVING].answer is Answer.PASS


def test_journals_that_tell_nothing_show_nothing():
    assert judged([]) == {}
    assert judged([], links=frozenset(), **ALL) == {}
    (finding,) = judged(BEGUN, kept=frozenset({RecordKind.DELIVERED})).values()
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    # Of a death, that a system keeps such records and nobody told of it is a miss.
    assert judged([], [killed(10)], links=frozenset(), **ALL)[DEAD].measured == "2 not"


def asked(name, **more):
    found = history((), BEGUN, checks=(name,), seconds=40, **{**NEIGHBOURS, **more})
    return {one.name: one for one in checks.judge(found, ()).findings}


def test_a_journal_that_is_gone_is_unknown():
    assert asked("membership")[LIVING].answer is Answer.PASS
    gap = Gap(
        what=frozenset({Part.JOURNAL}), of=("node-1",), from_ns=0, to_ns=END_NS, why="it is gone"
    )
    finding = asked("membership", gaps=(gap,))[LIVING]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.GAP)


def test_a_scenario_says_the_bound():
    assert asked("membership")[LIVING].promised == "4 of 4 within 10 s"
    assert asked("membership within 250ms")[LIVING].promised == "4 of 4 within 0.25 s"
    assert asked("membership within 50 s")["membership within 50 s: something to check"].cause
