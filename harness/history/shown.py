"""What the newest looks at a fault in force show: proven, not proven, or against it. Pure.

As in the verdict, only what packets or processes showed is a proof, of all that the fault does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from harness.history.proof import ALL, READ_BACK, ProofAnswer, seen_as

RECENT_S = 8.0  # a proof that is older says nothing of now

Looks = Mapping[str, Mapping[tuple[Any, ...], Mapping[str, Any]]]  # as tail.Proofs has them


class Standing(StrEnum):
    """How well a fault in force is proven now."""

    PROVEN = "proven"
    NOT_PROVEN = "not proven"
    CONTRADICTED = "contradicted"


@dataclass(frozen=True, slots=True)
class Shown:
    """How well a fault is proven, and a sentence of why."""

    standing: Standing
    sentence: str


def shown(fault: str, does: str, newest: Looks, since_ns: float, now_s: float) -> Shown:
    """Say what the newest looks at a fault show that were made since `since_ns` (CLOCK_MONOTONIC).

    `does`: what the fault does, as it is listed; `now_s`: CLOCK_MONOTONIC too.
    """
    found = [
        proof
        for proof in (*newest.get(fault, {}).values(), *newest.get(ALL, {}).values())
        if proof["at_ns"] >= since_ns and proof["answer"] != ProofAnswer.GONE
    ]
    against = [proof for proof in found if ProofAnswer(proof["answer"]).is_contradiction]
    if against:
        last = max(against, key=lambda proof: int(proof["at_ns"]))
        said = f"NOT in force: {last['what']}: {last['sentence']}"
        return Shown(Standing.CONTRADICTED, said)
    return _for(does, [proof for proof in found if proof["what"] != READ_BACK], now_s)


def _for(does: str, found: Iterable[Mapping[str, Any]], now_s: float) -> Shown:
    looks = list(found)
    proofs = [proof for proof in looks if proof["answer"] == ProofAnswer.IN_FORCE]
    missing = set(seen_as(does)) - {proof["what"] for proof in proofs}
    if not proofs or missing:
        said = f": {', '.join(sorted(missing))} not shown" if proofs else ""
        return Shown(Standing.NOT_PROVEN, f"not proven yet{said}")
    age_s = max(0.0, now_s - max(proof["at_ns"] for proof in proofs) / 1e9)
    if age_s > RECENT_S:
        said = f"proven {age_s:.0f} s ago, not looked at since"
        return Shown(Standing.NOT_PROVEN, said)
    many = f"{len(proofs):,} look{'' if len(proofs) == 1 else 's'}"
    said = f"proven by {many}, the newest {age_s:.0f} s ago"
    if len(proofs) < len(looks):
        more = len(looks) - len(proofs)
        rest = f"{more:,} look{'' if more == 1 else 's'} did not show its amount"
        return Shown(Standing.NOT_PROVEN, f"{said}; {rest}")
    return Shown(Standing.PROVEN, said)
