"""What a look at a fault shows: a literal proof for every answer that there is."""

from __future__ import annotations

import pytest

from harness.faults.fault import Condition
from harness.history.proof import Proof, ProofAnswer
from harness.network.proof import rates, verdicts
from harness.network.proof.datagrams import EXPOSED, Heard
from harness.network.proof.half_open import Dialled
from harness.network.proof.streams import Seen
from harness.network.proof.verdicts import Look, Tally
from harness.topology.impairment import CLEAR, Impairment

IN_FORCE, NOT_IN_FORCE = ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE
GONE, NOT_GONE, NOT_SHOWN = ProofAnswer.GONE, ProofAnswer.NOT_GONE, ProofAnswer.AMOUNT_NOT_SHOWN
LOOK = Look(at_ns=7, fault="f", path=("a", "b"))
AFTER = Look(at_ns=7, fault="f", path=("a", "b"), gone=True)
SLOW = Impairment(delay_ms=50)


def probed(asked, delays, look=LOOK, *, queue_ms=0.0, sent=10):
    heard = Heard(sent=sent, delays=delays)
    return verdicts.judge_probe(look, asked, heard, queue_ms=queue_ms, backend="netem")


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


@pytest.mark.parametrize("asked", [Condition.KILLED, Condition.CRASHED])
def test_of_a_node_that_is_down_no_process_is_left(asked):
    """How it went nobody can see any more; the cut around a crashed one is proven by itself."""
    down = verdicts.judge_condition(LOOK, "n", asked, Condition.STOPPED)
    assert (down.answer, down.sentence) == (IN_FORCE, f"n is {asked}")
    for found in (Condition.RUNNING, Condition.PAUSED):
        lives = verdicts.judge_condition(LOOK, "n", asked, found)
        assert (lives.answer, lives.sentence) == (NOT_IN_FORCE, f"n is {found}, asked is {asked}")


def test_a_wiped_node_has_nothing_that_it_wrote():
    wiped = verdicts.judge_wiped(LOOK, "n", [])
    assert (wiped.what, wiped.answer, wiped.n) == ("state", IN_FORCE, 0)
    left = verdicts.judge_wiped(LOOK, "n", ["state", "state/values"])
    assert (left.answer, left.n, left.sentence) == (NOT_IN_FORCE, 2, "n has state, …")


@pytest.mark.parametrize(
    "asked", [Impairment(blocked=True), Impairment(refuses_new=True), Impairment(loss=1.0)]
)
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
    ],
)
def test_a_delay_is_the_median_of_the_probes(asked, delays, look, what, answer):
    proof = probed(asked, delays, look)
    assert (proof.what, proof.answer) == (what, answer)


def test_a_narrow_way_may_be_later_and_never_earlier():
    assert probed(SLOW, [150.0] * 10, queue_ms=120).answer is IN_FORCE
    assert probed(SLOW, [10.0] * 10, queue_ms=120).answer is NOT_IN_FORCE
    assert probed(SLOW, [500.0] * 10, queue_ms=120).answer is NOT_IN_FORCE
    assert probed(SLOW, [500.0] * 10, queue_ms=480).answer is IN_FORCE


@pytest.mark.parametrize(
    ("up", "path", "down", "least", "most"),
    [
        (None, None, None, 0, 0),
        (None, 10**9, None, 120, 120),
        (None, 256_000, None, 473, 960),  # 15,140 bytes, and as much on the way
        (None, 64_000, None, 1_892, 3_800),
        (100_000, None, None, 292, 450),
        (None, 100_000_000, 1_000_000, 121, 250),  # the narrower one bounds the queue
        (100_000, 256_000, None, 765, 1_400),
    ],
)
def test_a_probe_may_wait_in_the_queues_of_the_rates_on_its_way(up, path, down, least, most):
    assert least <= rates.queue_ms(up, path, down) <= most


def test_silence_on_a_narrow_way_shows_nothing():
    """A full queue drops nine of ten, and may drop ten."""
    for asked, look, what in ((SLOW, LOOK, "delay"), (CLEAR, AFTER, "clear")):
        proof = probed(asked, [], look, queue_ms=120)
        assert (proof.what, proof.answer) == (what, NOT_SHOWN)
        assert "the queue of a rate" in proof.sentence


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
    proof = rates.judge_rate(LOOK, "up", 10_000_000, passed, 1.0, "n")
    assert (proof.what, proof.asked, proof.answer) == ("rate up", 10_000_000.0, answer)
    assert proof.achieved == 8 * passed


@pytest.mark.parametrize(
    ("seen", "lost", "answer"),
    [
        (100, 60, NOT_IN_FORCE),
        (10_000, 1_000, IN_FORCE),
        (10_000, 0, NOT_IN_FORCE),
        (10_000, 1_500, NOT_IN_FORCE),
        (100, 10, NOT_SHOWN),
        (0, 0, NOT_SHOWN),
    ],
)
def test_a_loss_is_counted_by_its_rule(seen, lost, answer):
    assert verdicts.judge_loss(LOOK, 0.1, seen, lost).answer is answer


@pytest.mark.parametrize(
    ("seen", "lost", "answer"),
    [
        (1_000, 1_000, IN_FORCE),
        (1_000, 999, IN_FORCE),
        (1_000, 900, NOT_IN_FORCE),
        (0, 0, NOT_SHOWN),
    ],
)
def test_all_may_be_lost(seen, lost, answer):
    assert verdicts.judge_loss(LOOK, 1.0, seen, lost).answer is answer


def test_a_rate_is_held_against_the_links_too():
    """The rule that chooses its class is gone: its own counter stands still."""
    proof = rates.judge_rate(LOOK, "into", 1_000_000, 0, 2.0, "n", crossed_bytes=3_750_000)
    assert (proof.answer, proof.achieved) == (NOT_IN_FORCE, 15e6)
    slow = rates.judge_rate(LOOK, "into", 64_000, 0, 2.0, "n", crossed_bytes=100_000)
    assert slow.answer is NOT_IN_FORCE
    assert rates.judge_rate(LOOK, "up", 10**6, 0, 2.0, "n", crossed_bytes=0).answer is NOT_SHOWN


def test_a_probe_that_could_not_be_sent_is_no_silence():
    heard = Heard(error="port 61000: Address already in use")
    for asked, what in ((Impairment(blocked=True), "cut"), (SLOW, "delay"), (CLEAR, "clear")):
        proof = verdicts.judge_probe(LOOK, asked, heard, queue_ms=0.0, backend="netem")
        assert (proof.what, proof.answer) == (what, NOT_SHOWN)
        assert proof.sentence == "no probe could be sent: port 61000: Address already in use"


def test_a_sender_whose_kernel_refuses_is_what_nobody_asked_for():
    heard = Heard(error="port 61000: Operation not permitted", refused=True)
    for asked, answer in ((Impairment(blocked=True), NOT_SHOWN), (CLEAR, NOT_IN_FORCE)):
        proof = verdicts.judge_probe(LOOK, asked, heard, queue_ms=0.0, backend="netem")
        assert proof.answer is answer


def test_fewer_probes_show_less():
    """Ten would not all be lost, one may be."""
    assert probed(Impairment(loss=0.1), [], sent=10).answer is NOT_IN_FORCE
    assert probed(Impairment(loss=0.1), [], sent=1) is None


def test_what_is_broken_crossed_a_cut():
    heard = Heard(sent=10, broken=1)
    cut = Impairment(blocked=True)
    proof = verdicts.judge_probe(LOOK, cut, heard, queue_ms=0.0, backend="netem")
    assert proof.answer is NOT_IN_FORCE


def tallied(asked, *, narrow=False, lost=0, **heard):
    tally = Tally()
    for _ in range(2):  # over two looks
        arrived = len(heard.get("delays", ())) + heard.get("broken", 0)
        tally.add(asked, Heard(sent=arrived + lost, **heard))
    return {
        proof.what: proof
        for proof in verdicts.judge_tally(LOOK, asked, tally, narrow=narrow, backend="netem")
    }


@pytest.mark.parametrize(
    ("copies", "of", "answer"),
    [
        (10, 100, IN_FORCE),
        (0, 100, NOT_IN_FORCE),
        (0, 10, NOT_SHOWN),
        (1, 10, NOT_SHOWN),
        (90, 100, NOT_IN_FORCE),
    ],
)
def test_copies_are_counted_over_looks(copies, of, answer):
    found = tallied(Impairment(duplicate=0.15), copies=copies, delays=[0.1] * of)["duplicate"]
    assert (found.answer, found.n, found.asked) == (answer, 2 * of, 0.15)
    assert found.achieved == copies / of


@pytest.mark.parametrize(
    ("broken", "whole", "answer"),
    [(60, 340, IN_FORCE), (0, 400, NOT_IN_FORCE), (2, 8, NOT_SHOWN)],
)
def test_broken_probes_are_counted_over_looks(broken, whole, answer):
    found = tallied(Impairment(corrupt=0.25), broken=broken, delays=[0.1] * whole)["corrupt"]
    assert (found.answer, found.n, found.asked) == (answer, 2 * (broken + whole), 0.25)


def test_a_bit_in_the_headers_is_a_lost_packet():
    """All are broken: those that arrive show it."""
    assert 0.5 < EXPOSED < 1
    found = tallied(Impairment(corrupt=1.0), broken=50)["corrupt"]
    assert (found.answer, found.achieved) == (IN_FORCE, 1.0)


@pytest.mark.parametrize(
    ("overtook", "held", "answer"),
    [(50, 50, IN_FORCE), (0, 100, NOT_IN_FORCE), (2, 2, NOT_SHOWN)],
)
def test_who_overtakes_is_counted_over_looks(overtook, held, answer):
    asked = Impairment(delay_ms=50, reorder=0.5)
    found = tallied(asked, delays=[0.1] * overtook + [50.0] * held)["reorder"]
    assert (found.answer, found.n) == (answer, 2 * (overtook + held))


@pytest.mark.parametrize(
    ("delays", "narrow", "answer"),
    [
        ([30 + n * 0.1 for n in range(400)], False, IN_FORCE),  # uniform, 50 ± 20
        ([50.0] * 400, False, NOT_IN_FORCE),
        ([10 + n * 0.2 for n in range(400)], False, NOT_IN_FORCE),  # ± 40
        ([10 + n * 0.2 for n in range(400)], True, NOT_SHOWN),
        ([50.0] * 400, True, NOT_IN_FORCE),
        ([50.0] * 10, False, NOT_SHOWN),
        ([], False, NOT_SHOWN),
    ],
)
def test_jitter_is_the_middle_half(delays, narrow, answer):
    asked = Impairment(delay_ms=50, jitter_ms=20)
    found = tallied(asked, delays=delays, narrow=narrow)["jitter"]
    assert (found.asked, found.n, found.answer) == (20, 2 * len(delays), answer)


def test_a_day_of_looks_is_counted_whole_and_keeps_the_last_delays():
    asked = Impairment(delay_ms=50, jitter_ms=20, reorder=0.5)
    tally = Tally()
    late = [30 + n * 0.4 for n in range(100)]
    for _ in range(1_000):
        tally.add(asked, Heard(sent=200, delays=[0.1] * 100 + late))
    found = {
        one.what: one
        for one in verdicts.judge_tally(LOOK, asked, tally, narrow=False, backend="netem")
    }
    assert len(tally.held) == verdicts.DELAYS_KEPT
    assert (found["reorder"].n, found["reorder"].achieved) == (200_000, 0.5)
    assert (found["jitter"].n, found["jitter"].answer) == (verdicts.DELAYS_KEPT, IN_FORCE)


@pytest.mark.parametrize(
    ("asked", "lost", "of", "narrow", "answer"),
    [
        (0.4, 40, 100, False, IN_FORCE),
        (0.4, 70, 100, False, NOT_IN_FORCE),
        (0.4, 0, 100, False, NOT_IN_FORCE),
        (0.4, 4, 10, False, None),
        (0.4, 70, 100, True, None),  # a full queue loses too
        (0.0, 0, 100, False, None),
        (0.0, 1, 100, False, None),  # the host's
        (0.0, 30, 100, False, NOT_IN_FORCE),
    ],
)
def test_what_probes_lose_is_counted_over_looks(asked, lost, of, narrow, answer):
    found = tallied(
        Impairment(loss=asked), lost=lost, delays=[0.1] * (of - lost), narrow=narrow
    ).get("loss")
    assert (None if found is None else found.answer) is answer


@pytest.mark.parametrize(
    ("dialled", "answer", "said"),
    [
        (Dialled(came_through=False, goes_on=True), IN_FORCE, "what stood went on"),
        (Dialled(came_through=True, goes_on=True), NOT_IN_FORCE, "a new connection was made"),
        (Dialled(came_through=False, goes_on=False), NOT_SHOWN, "did not go on either"),
        (Dialled(error="Address already in use"), NOT_SHOWN, "could not be dialled"),
    ],
)
def test_half_open_is_dialled(dialled, answer, said):
    proof = verdicts.judge_half_open(LOOK, dialled)
    assert (proof.what, proof.answer) == ("half-open", answer)
    assert said in proof.sentence


def test_what_no_look_could_measure_has_a_record():
    proof = verdicts.judge_unseen(LOOK, "jitter")
    assert (proof.what, proof.answer) == ("jitter", NOT_SHOWN)


@pytest.mark.parametrize(
    ("count", "of", "share", "answer"),
    [
        (0, 0, 0.5, True),
        (50, 100, 0.5, True),
        (100, 100, 0.5, False),
        (0, 100, 0.0, True),
        (50, 100, 0.0, False),
        (0, 1_000_000, 1e-6, True),
        (500_000, 1_000_000, 0.51, False),
    ],
)
def test_what_chance_explains(count, of, share, answer):
    assert verdicts.is_plausible(count, of, share) is answer


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
