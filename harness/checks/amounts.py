"""How much of each fault was seen, beside what was asked: ``loss: 4.8 % of packets (5 % asked)``.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.history.proof import Proof, ProofAnswer
from harness.topology.impairment import SHARE
from harness.topology.quantities import compared, number, percent

SHARES = ("loss", "duplicate", "reorder", "corrupt")
TIMES = ("delay", "jitter")
COUNTED_BY = "nftables"  # counts every packet since the fault came; other backends send probes
ASKED_DIGITS = 9  # what was folded from several faults is no round number
ASKED_MOST = 3  # where a fault asks paths for different amounts, so many of them are told


def seen(proofs: Sequence[Proof]) -> list[str]:
    """Say of each impairment how much of it the proofs of one fault show; those that show no amount
    are left out.
    """
    shown: dict[str, dict[float, list[Proof]]] = {}
    for proof in proofs:
        is_amount = proof.achieved is not None and proof.asked
        if is_amount and proof.answer in (ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE):
            asked = round(proof.asked or 0.0, ASKED_DIGITS)
            shown.setdefault(proof.what, {}).setdefault(asked, []).append(proof)
    found = []
    for what, by_asked in shown.items():
        said = [_amount(what, asked, some) for asked, some in by_asked.items()]
        more = f" and {len(said) - ASKED_MOST} more" if len(said) > ASKED_MOST else ""
        found.append(f"{what}: {', '.join(said[:ASKED_MOST])}{more}")
    return found


def achieved_of(what: str, proofs: Sequence[Proof]) -> float:
    """The amount that looks at one thing show, in the unit of the proofs."""
    if what in SHARES:
        return _share(proofs)[0]
    return float(np.median([proof.achieved for proof in proofs if proof.achieved is not None]))


def _amount(what: str, asked: float, proofs: Sequence[Proof]) -> str:
    """The amount that looks at one thing show, with what was asked."""
    achieved = achieved_of(what, proofs)
    if what in SHARES:
        return compared(percent(achieved), _share(proofs)[1], SHARE.show(asked))
    if what.startswith("rate "):
        achieved, asked = achieved / 1e6, asked / 1e6
    unit = _unit(what)
    return compared(f"{number(achieved)}{unit}", "", f"{number(asked)}{unit}")


def _unit(what: str) -> str:
    if what in TIMES:
        return " ms"
    if what == "clock":
        return " s"
    if what == "cpu":
        return " % of a core"
    return " Mbit/s" if what.startswith("rate ") else ""  # a toxic says its own


def _share(proofs: Sequence[Proof]) -> tuple[float, str]:
    """The share of all that was looked at, and of what it is. Counts of packets go on from when the
    fault came, so that the longest one has them all; probes are sent anew at each look.
    """
    counted = [proof for proof in proofs if proof.backend == COUNTED_BY]
    if counted:
        longest = max(counted, key=lambda proof: proof.n)
        return longest.achieved or 0.0, "packets"
    of = sum(proof.n for proof in proofs)
    happened = sum(proof.n * (proof.achieved or 0.0) for proof in proofs)
    return happened / max(of, 1), "probes"
