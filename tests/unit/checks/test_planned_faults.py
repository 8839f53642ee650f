"""Faults that were planned are counted: one that could not be set is UNKNOWN, and not "0 of 0"."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.budget_rows import judged as row
from kit.histories import MS, SECOND, history, operation, record, sample

from harness.checks import fault_times, faults
from harness.checks.verdict import Answer, Cause
from harness.history import plan
from harness.history.events import FaultChanged, RunEnded
from harness.history.proof import READ_BACK, Proof, ProofAnswer

TIMELINE = {
    "faults": [{"name": "slow"}, {"name": "late"}],
    "changes": [
        {"at_s": 2.0, "verb": "set", "fault": 0},
        {"at_s": 4.0, "verb": "clear", "fault": 0},
        {"at_s": 60.0, "verb": "set", "fault": 1},
    ],
}
FACTS = {
    "t0_ns": SECOND,
    "seed": 1,
    "load": {},
    "plan": [{"name": "load", "begin_s": 0.0, "end_s": 100.0}],
}


def judged(*changes, proofs=()):
    """The finding of a run of ten seconds; the second fault was due after its end."""
    planned = plan.read(FACTS, TIMELINE)
    return faults.check(history(events=(*changes, RunEnded()), proofs=proofs, plan=planned))


def change(verb, at_s, fault="slow", took_s=0.0):
    return FaultChanged(
        at_ns=1, verb=verb, fault=fault, set_ns=int(at_s * SECOND), took_ms=took_s * 1e3
    )


def read_back(at_s):
    return Proof(
        at_ns=int(at_s * SECOND),
        fault="slow",
        what=READ_BACK,
        backend="nftables",
        answer=ProofAnswer.IN_FORCE,
    )


def test_a_fault_that_could_not_be_set_is_unknown():
    """It was "proven 0 of 0", PASS."""
    (finding,) = judged()
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert finding.promised == "1 of 1"
    assert finding.sentence == "slow (set): it was planned, and could not be done"


@pytest.mark.parametrize("verbs", [("set", "clear"), ("set",)])
def test_each_planned_change_is_counted(verbs):
    changes = [change(verb, 3.0 + 2 * at) for at, verb in enumerate(verbs)]
    (finding,) = judged(*changes, proofs=(read_back(3.5), read_back(5.5)))
    assert finding.promised == "1 of 1"
    if verbs == ("set", "clear"):
        assert finding.answer is Answer.PASS
    else:
        assert finding.sentence == "slow (clear): it was planned, and could not be done"


def test_what_nobody_takes_back_goes_when_the_last_answers_have_come():
    """ "stood for 11.9 s, planned were 9.9 s", of each replay of one that was set for good."""
    for_good = {**TIMELINE, "changes": TIMELINE["changes"][:1]}
    found = history(
        events=(change("set", 3), change("clear", 15), RunEnded()),
        proofs=tuple(map(read_back, range(4, 17, 2))),
        plan=plan.read(FACTS, for_good),
    )
    (finding,) = faults.check(found)
    assert finding.answer is Answer.PASS, finding.sentence


def test_a_fault_of_the_same_name_stands_for_one_planned_change_only():
    """One that flaps is set twice."""
    twice = {**TIMELINE, "changes": [*TIMELINE["changes"][:2], {**TIMELINE["changes"][0]}]}
    found = history(
        events=(change("set", 3), change("clear", 5), RunEnded()),
        proofs=(read_back(3.5), read_back(5.5)),
        plan=plan.read(FACTS, twice),
    )
    (finding,) = faults.check(found)
    assert (finding.answer, finding.promised) == (Answer.UNKNOWN, "2 of 2")


@pytest.mark.parametrize(("cleared_s", "stood"), [(3.5, "0.5"), (9, "6.0")])
def test_a_fault_that_stood_for_another_time_than_planned_is_unknown(cleared_s, stood):
    """Somebody cleared it by hand, or the player was stopped: all that was said was PASS."""
    proofs = [read_back(at_s) for at_s in (3.2, 6, 9.5)]
    (finding,) = judged(change("set", 3), change("clear", cleared_s), proofs=proofs)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert finding.sentence == f"slow stood for {stood} s, planned were 2.0 s"


@pytest.mark.parametrize(
    ("begun_s", "answer"), [(8.0, Answer.UNKNOWN), (4.9, Answer.PASS)], ids=["later", "meanwhile"]
)
def test_what_another_change_took_excuses_those_alone_that_waited_for_it(begun_s, answer):
    """The fault was to go at 5 s. All that all changes took was allowed for, whenever they were."""
    cleared_s = 3.5 if answer is Answer.UNKNOWN else 7.5
    other = change("set", begun_s + 2.5, "other", took_s=2.5)
    changes = (change("set", 3), change("clear", cleared_s), other)
    proofs = [read_back(at_s) for at_s in (3.2, 6, 9.5)]
    proofs += [replace(one, fault="other", at_ns=one.at_ns + 1400 * MS) for one in proofs]
    (finding,) = judged(*changes, proofs=proofs)
    assert finding.answer is answer
    if answer is Answer.UNKNOWN:
        assert finding.sentence == "slow stood for 0.5 s, planned were 2.0 s"


def test_a_node_that_takes_long_to_start_was_not_stopped_for_longer():
    changes = change("set", 3), change("clear", 9, took_s=4.0)
    (finding,) = judged(*changes, proofs=[read_back(at_s) for at_s in (3.2, 6, 9.5)])
    assert finding.answer is Answer.PASS


def flapping(*operations, samples=()):
    """A run of ten seconds in which the fault stood from 3 to 5 and from 7 to 9 s."""
    changes = [change("set", 3), change("clear", 5), change("set", 7), change("clear", 9)]
    shown = [read_back(at_s) for at_s in (3.5, 7.5)]
    shown += [replace(one, what="delay", n=8) for one in shown]
    journal = [record(one["number"], node=one["target"]) for one in operations]
    made = [operation(**one) for one in operations]
    return history(made, journal, samples, events=(*changes, RunEnded()), proofs=tuple(shown))


UNDER = {"under": "slow", "statistic": "mean", "bound": 9.0, "comparison": ">="}


def test_a_rate_under_a_fault_that_came_and_went_is_of_the_seconds_that_it_stood():
    """What was received meanwhile was divided by the seconds in between as well: FAIL."""
    ten_a_second = ({"number": at, "target": 0} for at in range(0, 10_000, 100))
    rate = {**UNDER, "metric": "private_message.received", "unit": "1/s", "node": "node-0"}
    finding = row(flapping(*ten_a_second), **rate)
    assert (finding.answer, finding.value) == (Answer.PASS, 10.0)


def test_a_first_message_between_two_stretches_made_the_contact():
    later = {"target": 2, "intended_ns": 8 * SECOND, "sent_ns": 8 * SECOND}
    contact = {**UNDER, "metric": "private_message.first_contact", "statistic": "count"}
    between = {"number": 5000, "target": 2}
    second = {"number": 7000, **later, "done_ns": 8 * SECOND + MS}
    for operations, count in (([between, second], 0), ([second], 1)):
        assert row(flapping(*operations), **{**contact, "unit": "1"}).value == count


def test_what_is_sampled_says_nothing_of_a_fault_that_came_and_went():
    samples = [sample(at, 0, rss_bytes=10**6) for at in range(1, 11)]
    memory = {**UNDER, "metric": "rss", "unit": "MB", "node": "node-0", "comparison": "<"}
    finding = row(flapping(samples=samples), **memory)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.CONDITIONS)
    said = "slow stood for 4.0 of 10.0 s of phase load, with breaks, and rss is also of these"
    assert finding.sentence == said


@pytest.mark.parametrize(("end_s", "answer"), [(10.5, Answer.PASS), (5, Answer.UNKNOWN)])
def test_what_nodes_tell_of_a_phase_is_of_all_of_it(end_s, answer):
    """A fault stood for two of ten seconds, and their own times of all ten were PASS."""
    changes = [change("set", 1.2), change("clear", end_s)]
    shown = [replace(read_back(at_s), what="delay", n=8) for at_s in (2, 7, 10)]
    found = history(
        events=(*changes, RunEnded()), proofs=shown, histograms={("load", 0, "verify"): {5: 200}}
    )
    told = {"metric": "node.verify", "unit": "ms", "statistic": "p50", "bound": 1.0}
    finding = row(found, **told, under="slow")
    assert finding.answer is answer, finding
    assert ("stood for 3.8 of 10.0 s" in finding.sentence) == (answer is Answer.UNKNOWN)


@pytest.mark.parametrize(("looks_s", "answer"), [((2, 4, 6, 8), Answer.PASS), ((), Answer.UNKNOWN)])
def test_the_network_read_back_is_no_look_at_a_node(looks_s, answer):
    """Somebody may have let a paused node go on."""
    pause = replace(change("set", 1.0), nodes=("node-1",), does="paused")
    proofs = [replace(read_back(at_s), fault="all") for at_s in range(1, 10)]
    proofs += [
        replace(read_back(at_s), what="condition", backend="proc") for at_s in (1.1, *looks_s)
    ]
    (finding,) = faults.check(history(events=(pause, RunEnded()), proofs=tuple(proofs)))
    assert finding.answer is answer
    if answer is Answer.UNKNOWN:
        assert "slow (set): nobody looked at it for" in finding.sentence


@pytest.mark.parametrize(("cleared_s", "is_so"), [(5.1, True), (7.0, False)])
def test_a_restart_stands_for_as_long_as_its_node_takes_to_stop(cleared_s, is_so):
    """That is the system's; who cleared it later than that is told of."""
    moment = {
        "faults": [{"name": "slow"}],
        "changes": [
            {"at_s": 2.0, "verb": "set", "fault": 0},
            {"at_s": 2.0, "verb": "clear", "fault": 0},
        ],
    }
    proofs = [
        replace(read_back(at_s), what="condition", backend="proc", answer=ProofAnswer(answer))
        for at_s, answer in ((5.05, "in force"), (8.0, "gone"))
    ]
    happened = [
        replace(change("set", 5.0, took_s=2.0), nodes=("node-1",)),
        replace(change("clear", 7.5, took_s=7.5 - cleared_s), nodes=("node-1",)),
    ]
    planned = plan.read(FACTS, moment)
    (finding,) = faults.check(history(events=(*happened, RunEnded()), proofs=proofs, plan=planned))
    assert (finding.answer is Answer.PASS) is is_so, finding
    if not is_so:
        assert finding.sentence == "slow stood for 2.0 s, planned were 0.0 s"


@pytest.mark.parametrize(
    ("gone_s", "nodes", "planned_s", "answer"),
    [
        (1.9, (), 0.0, Answer.UNKNOWN),  # seen: the supervisor stood still over a phase's edge
        (1.1, (), 0.0, Answer.FAIL),  # it was gone, and they were slow
        (1.9, (), 1.0, Answer.FAIL),  # a fault of the row's own phase
        (1.9, ("node-0",), 0.0, Answer.FAIL),  # how long a node takes to start is its own
    ],
)
def test_what_met_a_fault_that_was_to_be_gone_is_not_the_systems(gone_s, nodes, planned_s, answer):
    """A delay of the phase before stood 0.9 s longer: "366 is not < 200 ms", FAIL."""
    timeline = {
        "faults": [{"name": "slow"}],
        "changes": [
            {"at_s": -5.0, "verb": "set", "fault": 0},
            {"at_s": planned_s, "verb": "clear", "fault": 0},
        ],
    }
    slow = [
        operation(n, done_ns=SECOND + (n + (366 if 400 < n < 800 else 2)) * MS)
        for n in range(1, 2000)
    ]
    changes = (change("set", -4.0), replace(change("clear", gone_s, took_s=0.9), nodes=nodes))
    planned = plan.read(FACTS, timeline)
    found = history(slow, events=(*changes, RunEnded()), plan=planned)
    finding = row(found, statistic="max", bound=200.0)
    assert finding.answer is answer
    if answer is Answer.UNKNOWN:
        assert finding.cause is Cause.FAULT_OVERRAN
    assert row(found, statistic="max", bound=400.0).answer is Answer.PASS


def test_an_overrun_is_of_what_stood_when_it_was_to_be_gone():
    """The middle one of three flaps could not be set: the third's end was taken for the second's,
    and all in between for an overrun.
    """
    moments = [("set", 2), ("clear", 3), ("set", 4), ("clear", 5), ("set", 16), ("clear", 17)]
    timeline = {
        "faults": [{"name": "slow"}],
        "changes": [{"at_s": at_s - 1, "verb": verb, "fault": 0} for verb, at_s in moments],
    }
    planned = plan.read(FACTS, timeline)
    made = [change(verb, at_s) for verb, at_s in moments if not 4 <= at_s <= 5]
    assert fault_times.overruns(history(events=(*made, RunEnded()), plan=planned)) == ()
    by_hand = [change("set", 6), change("clear", 7)]
    late = [*made[:2], *by_hand, made[2], change("clear", 17.9)]
    found = fault_times.overruns(history(events=(*late, RunEnded()), plan=planned))
    assert found == ((17 * SECOND, int(17.9 * SECOND)),)
