"""What is judged of the proofs of faults: in force and gone, or not known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import MS, SECOND, history, operation

from harness.checks import faults as checker
from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.history.events import FaultChanged
from harness.history.proof import Proof, ProofAnswer, seen_as
from harness.scenario.budget import Conditions, Row


def change(verb, at_s, paths=1, name="slow", **more):
    at_ns = at_s * SECOND
    return FaultChanged(verb=verb, fault=name, paths=paths, set_ns=at_ns, at_ns=at_ns, **more)


def proof(what, answer, at_s, name="slow", **more):
    return Proof(
        at_ns=int(at_s * SECOND),
        fault=name,
        what=what,
        answer=ProofAnswer(answer),
        **{"backend": "nftables", **more},
    )


def judged(events, proofs):
    return checker.check(history(events=tuple(events), proofs=tuple(proofs)))


PROVEN = [
    proof("read back", "in force", 2.1),
    proof("delay", "in force", 2.5),
    proof("read back", "in force", 5.1),
    proof("clear", "gone", 5.5),
]


def test_a_run_without_faults_has_no_finding():
    assert judged([], []) == []


def test_in_force_and_gone_is_a_pass_and_anything_less_is_not():
    events = [change("set", 2), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")
    for missing, said in (
        (0, "it was not read back"),
        (1, "no probe showed it in force"),
        (3, "no probe showed it gone"),
    ):
        [finding] = judged(events, [one for index, one in enumerate(PROVEN) if index != missing])
        assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
        assert said in finding.sentence


def test_a_fault_of_streams_wants_a_stream():
    events = [change("set", 2, does="toxic latency"), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, "no stream showed it in force" in finding.sentence) == (
        Answer.UNKNOWN,
        True,
    )
    [finding] = judged(events, [*PROVEN, proof("toxic latency downstream", "in force", 2.6)])
    assert finding.answer is Answer.PASS


def test_a_condition_wants_a_look_at_its_nodes():
    events = [change("set", 2, 0, nodes=("node-1",)), change("clear", 5, 0, nodes=("node-1",))]
    shown = [proof("condition", "in force", 2.1), proof("condition", "gone", 5.1)]
    [finding] = judged(events, shown)
    assert finding.answer is Answer.PASS
    for missing, said in ((0, "(set): no look at its nodes"), (1, "(clear): no look at its")):
        [finding] = judged(events, [one for index, one in enumerate(shown) if index != missing])
        assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
        assert said in finding.sentence


def test_a_wiped_state_wants_a_look_too():
    of = {"paths": 0, "nodes": ("node-1",)}
    events = [change("set", 2, does="killed, state wiped", **of), change("clear", 5, **of)]
    shown = [proof("condition", "in force", 2.1), proof("condition", "gone", 5.1)]
    [finding] = judged(events, shown)
    assert "(set): nobody looked at its state" in finding.sentence
    [finding] = judged(events, [*shown, proof("state", "in force", 2.2)])
    assert finding.answer is Answer.PASS


def test_one_contradiction_is_enough_and_names_the_path():
    wrong = proof(
        "delay",
        "not in force",
        3,
        path=("node-1", "node-2"),
        sentence="the median of 10 probes took 0.1 ms, asked are 50 ms",
        backend="nfqueue",
    )
    [finding] = judged([change("set", 2), change("clear", 5)], [*PROVEN, wrong])
    assert finding.cause is Cause.FAULT_NOT_PROVEN
    assert (
        "slow: delay on node-1 -> node-2 not in force by nfqueue: the median of 10 probes took "
        "0.1 ms" in finding.sentence
    )
    [finding] = judged(
        [change("set", 2), change("clear", 5)], [*PROVEN, proof("clear", "not gone", 6)]
    )
    assert finding.answer is Answer.UNKNOWN


def test_an_amount_that_could_not_be_shown_is_said():
    [finding] = judged(
        [change("set", 2), change("clear", 5)], [*PROVEN, proof("loss", "amount not shown", 4)]
    )
    assert finding.answer is Answer.PASS
    assert "amount not shown: loss of slow" in finding.sentence


def test_a_row_about_a_fault_wants_its_amount_and_others_do_not():
    lossy = [
        proof("read back", "in force", 2.1),
        proof("delay", "in force", 2.5),
        proof("loss", "amount not shown", 4),
    ]
    found = history(events=(change("set", 2), change("clear", 5)), proofs=tuple(lossy))
    load = found.phase("load")
    assert checker.not_shown(found, "slow", load) == "slow: in force, amount not shown: loss"
    assert (
        checker.not_shown(
            replace(found, proofs=(*lossy, proof("loss", "in force", 4.5))), "slow", load
        )
        is None
    )
    assert checker.not_shown(found, "other", load) == "the run had no fault 'other' in phase load"
    assert "not in force" in checker.not_shown(
        replace(found, proofs=(*lossy, proof("delay", "not in force", 4.5))), "slow", load
    )
    about = Row(
        name="r",
        metric="rss",
        statistic="max",
        unit="MB",
        bound=1e6,
        conditions=Conditions(phase="load", under="slow"),
    )
    [finding] = rows.check(found, [about])
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)


def test_a_fault_is_proven_for_what_looks_cover():
    """A look at 0.1 s says nothing of ten minutes."""
    found = history(
        seconds=600,
        events=(change("set", 2, does="delay 50 ms"),),
        proofs=(proof("read back", "in force", 2.1), proof("delay", "in force", 2.1)),
    )
    [finding] = checker.check(found)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert "nobody looked at it for 598.9 s of the 599.0 s that it stood" in finding.sentence
    looks = tuple(proof("read back", "in force", at, name="all") for at in range(3, 601, 5))
    [finding] = checker.check(replace(found, proofs=(*found.proofs, *looks)))
    assert finding.answer is Answer.PASS


@pytest.mark.parametrize(
    ("does", "what"),
    [
        ("rate 5 Mbit/s", "rate into"),
        ("up 5 Mbit/s, down 5 Mbit/s", "rate up"),
        ("delay 50 ms, jitter 5 ms", "jitter"),
        ("delay 50 ms, reorder 5 %", "reorder"),
        ("duplicate 1 %", "duplicate"),
        ("corrupt 1 %", "corrupt"),
        ("loss 1 %", "loss"),
        ("half-open new", "half-open"),
        ("half-open established", "flows"),
    ],
)
def test_every_impairment_wants_a_record(does, what):
    events = [change("set", 2, does=does), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert f"nobody looked at its {what}" in finding.sentence
    records = [proof(one, "amount not shown", 4) for one in seen_as(does)]
    [finding] = judged(events, [*PROVEN, *records])
    assert finding.answer is Answer.PASS
    assert "amount not shown: " in finding.sentence


def test_a_fault_of_which_nothing_happened_is_under_no_row():
    """The delay was shown and the duplicates were not: the row is about both."""
    events = (change("set", 2, does="delay 50 ms, duplicate 1 %"), change("clear", 5))
    found = history(events=events, proofs=tuple(PROVEN))
    load = found.phase("load")
    assert "amount not shown: duplicate" in checker.not_shown(found, "slow", load)
    shown = replace(found, proofs=(*PROVEN, proof("duplicate", "in force", 4)))
    assert checker.not_shown(shown, "slow", load) is None


def test_a_row_under_a_fault_is_judged_on_what_was_due_while_it_stood():
    """The slow ones were due before it, or in the pause between its two stretches."""
    due = [
        (at, 2 if 3_000 <= at < 4_000 or 6_000 <= at < 7_000 else 500) for at in range(0, 9_000, 10)
    ]  # ms into the phase, ms that it took
    found = history(
        [
            operation(at, sent_ns=SECOND + at * MS, done_ns=SECOND + (at + took) * MS)
            for at, took in due
        ],
        events=(change("set", 4), change("clear", 5), change("set", 7), change("clear", 8)),
    )
    load = found.phase("load")
    window = checker.under(found, "slow", load)
    assert (window.begin_ns, window.end_ns) == (4 * SECOND, 8 * SECOND)
    [finding] = rows.check(
        replace(found, phases=(window,)),
        [
            Row(
                name="r",
                metric="private_message.end_to_end",
                statistic="max",
                unit="ms",
                bound=10.0,
                conditions=Conditions(phase="load"),
            )
        ],
    )
    assert (finding.answer, finding.measured) == (Answer.PASS, "2 ms (n=200)")
    assert checker.under(found, "other", load).seconds == 0
