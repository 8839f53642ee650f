"""Whether the run's faults were proven: in force while they were asked for, gone afterwards. Not
proven is UNKNOWN, never a pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import FaultChanged
from harness.history.history import History, PhaseWindow
from harness.history.plan import ChangePlan
from harness.history.proof import READ_BACK, Proof, ProofAnswer

NAME = "faults: proven in force, and gone"
PROBED = ("cut", "delay", "clear")  # what a probe of a path says of it


def check(history: History) -> list[Finding]:
    """One finding for all faults of a run; none where it had none."""
    changes = changes_of(history)
    unplayed = not_played(history, changes)
    if not changes and not history.proofs and not unplayed:
        return []
    wrong = [proof for proof in history.proofs if proof.answer.is_contradiction]
    missing = (unseen(change, changes, history.proofs) for change in changes)
    unproven = [
        *(f"{one.fault} ({one.verb}): it was planned, and could not be done" for one in unplayed),
        *(sentence for sentence in missing if sentence is not None),
    ]
    count = sum(one.is_set for one in changes) + sum(one.verb == "set" for one in unplayed)
    if wrong or unproven:
        sentences = list(dict.fromkeys([*map(str, wrong), *unproven]))
        return [
            Finding(
                name=NAME,
                answer=Answer.UNKNOWN,
                promised=f"{count} of {count}",
                measured=f"{len(wrong)} contradicted, {len(unproven)} not seen",
                sentence="; ".join(sentences[:3]),
                cause=Cause.FAULT_NOT_PROVEN,
            )
        ]
    shown = sum(
        proof.answer in (ProofAnswer.IN_FORCE, ProofAnswer.GONE) for proof in history.proofs
    )
    amounts = [f"{what} of {fault}" for fault, what in _open_amounts(history.proofs)]
    remark = f"; in force, amount not shown: {', '.join(amounts)}" if amounts else ""
    return [
        Finding(
            name=NAME,
            answer=Answer.PASS,
            promised=f"{count} of {count}",
            measured=f"{count} of {count}",
            sentence=f"{shown:,} proofs{remark}",
        )
    ]


def not_played(history: History, changes: Sequence[FaultChanged]) -> list[ChangePlan]:
    """The planned changes that never happened, though they were due before the run ended; what
    could not be set is not missed when it should go.
    """
    happened = Counter((change.verb, change.fault) for change in changes)
    over_ns = history.phases[-1].end_ns if history.phases else 0
    found: list[ChangePlan] = []
    for planned in history.plan.changes if history.plan is not None else ():
        key = (planned.verb, planned.fault)
        if happened[key]:
            happened[key] -= 1
        elif planned.at_ns < over_ns and planned.fault not in {one.fault for one in found}:
            found.append(planned)
    return found


def changes_of(history: History) -> list[FaultChanged]:
    """The faults that were set and cleared, as they happened."""
    return [event for event in history.events if isinstance(event, FaultChanged)]


def not_shown(history: History, fault: str, phase: PhaseWindow) -> str | None:
    """Why a row that is about a fault cannot be judged: it was not there in the phase, or how bad
    it was is not known. None where it is.
    """
    changes = [
        change
        for change in changes_of(history)
        if change.fault == fault and change.set_ns < phase.end_ns
    ]
    came = any(change.is_set and change.set_ns >= phase.begin_ns for change in changes)
    if not came and not (changes and changes[-1].is_set):
        return f"the run had no fault {fault!r} in phase {phase.name}"
    about = [
        proof
        for proof in history.proofs
        if proof.fault == fault and phase.begin_ns <= proof.at_ns < phase.end_ns
    ]
    wrong = [proof for proof in about if proof.answer is ProofAnswer.NOT_IN_FORCE]
    if wrong:
        return str(wrong[0])
    lacking = [what for _, what in _open_amounts(about)]
    if lacking:
        return f"{fault}: in force, amount not shown: {', '.join(lacking)}"
    shown = any(proof.answer is ProofAnswer.IN_FORCE and proof.what != READ_BACK for proof in about)
    return None if shown else f"{fault}: nothing showed its amount in phase {phase.name}"


def _open_amounts(proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    """(fault, what) of which no look showed the amount."""

    def answered(answer: ProofAnswer) -> set[tuple[str, str]]:
        return {(proof.fault, proof.what) for proof in proofs if proof.answer is answer}

    return sorted(answered(ProofAnswer.AMOUNT_NOT_SHOWN) - answered(ProofAnswer.IN_FORCE))


def unseen(
    change: FaultChanged, changes: Sequence[FaultChanged], proofs: Sequence[Proof]
) -> str | None:
    """Why a change was not seen to have happened; None where it was, before the next change of the
    same fault.
    """
    later = (
        other.set_ns
        for other in changes
        if other.fault == change.fault and other.set_ns > change.set_ns
    )
    until_ns = min(later, default=2**63)
    about = [
        proof
        for proof in proofs
        if proof.fault == change.fault and change.set_ns <= proof.at_ns < until_ns
    ]
    wanted = ProofAnswer.IN_FORCE if change.is_set else ProofAnswer.GONE
    who = f"{change.fault} ({change.verb})"
    if change.nodes:
        shown = any(proof.what == "condition" and proof.answer is wanted for proof in about)
        return None if shown else f"{who}: no look at its nodes showed it {wanted}"
    if not any(proof.what == READ_BACK and proof.answer is ProofAnswer.IN_FORCE for proof in about):
        return f"{who}: it was not read back"
    # After a clear another fault may still stand on the path: then the probe shows that one, in
    # force.
    enough = (wanted, ProofAnswer.IN_FORCE)
    if change.paths and not any(proof.what in PROBED and proof.answer in enough for proof in about):
        return f"{who}: no probe showed it {wanted}"
    streamed = any(proof.what == "cut" or proof.what.startswith("toxic") for proof in about)
    if change.is_set and "toxic" in change.does and not streamed:
        return f"{who}: no stream showed it in force"
    return None
