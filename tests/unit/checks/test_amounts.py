"""How much of a fault was seen, as people say it: with what was asked."""

from __future__ import annotations

import pytest

from harness.checks import amounts
from harness.history.proof import Proof, ProofAnswer
from harness.network.proof import verdicts

LOOK = verdicts.Look(at_ns=1, fault="f")


def proof(what, asked, achieved, n=1, backend="netem", answer=ProofAnswer.IN_FORCE):
    return Proof(
        at_ns=1,
        fault="f",
        what=what,
        asked=asked,
        achieved=achieved,
        n=n,
        backend=backend,
        answer=answer,
    )


@pytest.mark.parametrize(
    ("proofs", "said"),
    [
        ([proof("delay", 50.0, 50.1), proof("delay", 50.0, 52.0)], ["delay: 51 ms (50 ms asked)"]),
        ([proof("rate up", 5e6, 4.9e6)], ["rate up: 4.9 Mbit/s (5 Mbit/s asked)"]),
        # Probes are sent anew at each look, and are pooled by their numbers.
        (
            [proof("loss", 0.05, 0.0, 10), proof("loss", 0.05, 0.1, 90)],
            ["loss: 9 % of probes (5 % asked)"],
        ),
        # Packets are counted since the fault came: the longest count holds the others.
        (
            [
                proof("loss", 0.05, 0.5, 10, "nftables"),
                proof("loss", 0.05, 0.048, 1000, "nftables"),
                proof("loss", 1 - (1 - 0.05), 0.9, 100),
            ],
            ["loss: 4.8 % of packets (5 % asked)"],
        ),
        (
            [proof("delay", asked, asked) for asked in (1.0, 2.0, 3.0, 4.0, 5.0)],
            ["delay: 1 ms (1 ms asked), 2 ms (2 ms asked), 3 ms (3 ms asked) and 2 more"],
        ),
        (
            [proof("toxic limit_data downstream", 10_000.0, 10_123.0)],
            ["toxic limit_data downstream: 10,123 (10,000 asked)"],
        ),
        ([proof("loss", 0.05, 0.05, answer=ProofAnswer.AMOUNT_NOT_SHOWN)], []),
        ([proof("read back", None, None)], []),
    ],
)
def test_an_amount_stands_beside_what_was_asked(proofs, said):
    assert amounts.seen(proofs) == said


def test_a_loss_of_one_packet_in_twenty_says_it_in_its_proof():
    found = verdicts.judge_loss(LOOK, 0.05, 1000, 48)
    assert found.sentence == "4.8 % of packets (5 % asked): 48 of 1,000"


def test_what_was_asked_is_never_rounded():
    assert "(1.25 % asked)" in verdicts.judge_loss(LOOK, 0.0125, 10_000, 130).sentence
