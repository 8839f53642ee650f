"""What a look at a fault shows: a literal proof for every answer that there is."""

from __future__ import annotations

import pytest

from harness.faults.fault import Condition
from harness.history.proof import Proof, ProofAnswer
from harness.network.proof import verdicts
from harness.network.proof.streams import Seen
from harness.network.proof.verdicts import Look
from harness.topology.impairment import CLEAR, Impairment

IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
GONE, NOT_GONE, NOT_SHOWN = ProofAnswer.GONE, ProofAnswer.NOT_GONE, ProofAnswer.AMOUNT_NOT_SHOWN
LOOK = Look(at_ns=7, fault="f", path=("a", "b"))
AFTER = Look(at_ns=7, fault="f", path=("a", "b"), gone=True)
SLOW = Impairment(delay_ms=50)


def probed(asked, delays, look=LOOK, *, narrow=False):
    return verdicts.judge_probe(look, asked, delays, narrow=narrow, backend="netem")


def test_a_read_back_is_in_force_where_nothing_drifted():
    whole = Look(at_ns=7, fault="f")
    assert verdicts.judge_read_back(whole, "qdisc", None) == Proof(
        at_ns=7, fault="f", what="read back", backend="qdisc", answer=IN_FORCE
    )
    found = verdicts.judge_read_back(AFTER, "qdisc", "rates: asked 1, the kernel has 0")
    assert (found.answer, found.sentence) == (NOT_IN_FORCE, "rates: asked 1, the kernel has 0")


@pytest.mark.parametrize(
    ("look", "found", "answer"),
    [
        (LOOK, Condition.STOPPED, IN_FORCE),
        (LOOK, Condition.RUNNING, NOT_IN_FORCE),
        (AFTER, Condition.STOPPED, GONE),
        (AFTER, Condition.RUNNING, NOT_GONE),
    ],
)
def test_a_condition_is_what_the_process_has(look, found, answer):
    proof = verdicts.judge_condition(look, "n", Condition.STOPPED, found)
    assert (proof.what, proof.answer) == ("condition", answer)
    assert str(found) in proof.sentence


@pytest.mark.parametrize("asked", [Impairment(blocked=True), Impairment(refuses_new=True)])
def test_a_cut_lets_no_probe_cross(asked):
    assert probed(asked, []) == Proof(
        at_ns=7,
        fault="f",
        path=("a", "b"),
        what="cut",
        n=10,
        achieved=0.0,
        backend="nftables",
        answer=IN_FORCE,
        sentence="0 of 10 probes crossed",
    )
    assert probed(asked, [0.1]).answer is NOT_IN_FORCE


@pytest.mark.parametrize(
    ("asked", "delays", "look", "what", "answer"),
    [
        (SLOW, [50.2] * 10, LOOK, "delay", IN_FORCE),
        (SLOW, [0.1] * 10, LOOK, "delay", NOT_IN_FORCE),
        (SLOW, [56.0] * 10, LOOK, "delay", NOT_IN_FORCE),
        (CLEAR, [0.1] * 10, AFTER, "clear", GONE),
        (CLEAR, [50.0] * 10, AFTER, "clear", NOT_GONE),
        (CLEAR, [], AFTER, "clear", NOT_GONE),
        (SLOW, [], LOOK, "delay", NOT_IN_FORCE),
        (Impairment(delay_ms=50, reorder=0.5), [50.0] * 5 + [0.1] * 5, LOOK, "delay", IN_FORCE),
        (Impairment(delay_ms=50, reorder=0.9), [50.0] * 10, LOOK, "reorder", NOT_IN_FORCE),
    ],
)
def test_a_delay_is_the_median_of_the_probes(asked, delays, look, what, answer):
    proof = probed(asked, delays, look)
    assert (proof.what, proof.answer) == (what, answer)


def test_a_narrow_way_may_be_later_and_never_earlier():
    assert probed(SLOW, [150.0] * 10, narrow=True).answer is IN_FORCE
    assert probed(SLOW, [10.0] * 10, narrow=True).answer is NOT_IN_FORCE


def test_silence_that_loss_explains_says_nothing():
    assert probed(Impairment(loss=0.9), []) is None
    assert probed(Impairment(loss=0.01), []).answer is NOT_IN_FORCE
    overtaken = Impairment(delay_ms=50, reorder=0.9)
    assert probed(overtaken, [0.1] * 10) is None


@pytest.mark.parametrize(("dropped", "answer"), [(3, IN_FORCE), (0, NOT_SHOWN)])
def test_cut_connections_are_shown_by_dropped_packets(dropped, answer):
    proof = verdicts.judge_flows(LOOK, 2, dropped)
    assert (proof.n, proof.answer) == (dropped, answer)


@pytest.mark.parametrize(
    ("seen", "healed", "narrow", "answer"),
    [
        (IN_FORCE, False, False, IN_FORCE),
        (NOT_IN_FORCE, False, False, NOT_IN_FORCE),
        (NOT_SHOWN, False, False, NOT_SHOWN),
        (IN_FORCE, True, False, GONE),
        (NOT_IN_FORCE, True, False, NOT_GONE),
        (NOT_SHOWN, True, False, NOT_GONE),
        (NOT_SHOWN, True, True, NOT_SHOWN),
    ],
)
def test_a_healed_stream_is_gone(seen, healed, narrow, answer):
    one = Seen(what="toxic latency upstream", asked=100.0, achieved=99.0, answer=seen)
    proof = verdicts.judge_stream(AFTER, one, healed=healed, narrow=narrow)
    assert (proof.what, proof.asked, proof.achieved, proof.answer) == (
        "toxic latency upstream",
        100.0,
        99.0,
        answer,
    )


@pytest.mark.parametrize(
    ("passed", "answer"), [(1_250_000, IN_FORCE), (5_000_000, NOT_IN_FORCE), (100_000, NOT_SHOWN)]
)
def test_a_rate_lets_no_more_through(passed, answer):
    proof = verdicts.judge_rate(LOOK, "up", 10_000_000, passed, 1.0, "n")
    assert (proof.what, proof.asked, proof.answer) == ("rate up", 10_000_000.0, answer)
    assert proof.achieved == 8 * passed


@pytest.mark.parametrize(
    ("seen", "lost", "answer"),
    [
        (10_000, 1_000, IN_FORCE),
        (10_000, 0, NOT_IN_FORCE),
        (10_000, 1_500, NOT_IN_FORCE),
        (100, 10, NOT_SHOWN),
        (0, 0, NOT_SHOWN),
    ],
)
def test_a_loss_is_counted_by_its_rule(seen, lost, answer):
    assert verdicts.judge_loss(LOOK, 0.1, seen, lost).answer is answer


def test_six_deviations_are_the_tolerance_of_a_loss():
    proof = verdicts.judge_loss(LOOK, 0.1, 10_000, 1_000)
    assert proof.tolerance == pytest.approx(6 * (0.1 * 0.9 / 10_000) ** 0.5)


def test_a_proof_reads_as_a_sentence_and_is_the_same_after_json():
    proof = probed(SLOW, [0.1] * 10)
    assert str(proof) == (
        "f: delay on a -> b not in force by netem: the median of 10 probes took 0.1 ms, asked are "
        "50 ms"
    )
    assert Proof.from_json(proof.as_json()) == proof
    assert [answer for answer in ProofAnswer if answer.is_contradiction] == [NOT_IN_FORCE, NOT_GONE]
