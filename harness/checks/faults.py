"""Whether the run's faults were proven: in force while they were asked for, gone afterwards. Not
proven is UNKNOWN, never a pass.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History, PhaseWindow

NAME = "faults: proven in force, and gone"
WRONG = {"not in force", "not gone"}


def check(history: History) -> list[Finding]:
    """One finding for all faults of a run; none where it had none."""
    events = [event for event in history.events if event["event"] == "fault"]
    if not events and not history.proofs:
        return []
    wrong = [proof for proof in history.proofs if proof["answer"] in WRONG]
    unseen = [sentence for event in events if (sentence := _unseen(event, events, history.proofs))]
    count = sum(event["verb"] == "set" for event in events)
    if wrong or unseen:
        sentences = list(dict.fromkeys([*map(_sentence, wrong), *unseen]))
        return [
            Finding(
                name=NAME,
                answer=Answer.UNKNOWN,
                promised=f"{count} of {count}",
                measured=f"{len(wrong)} contradicted, {len(unseen)} not seen",
                sentence="; ".join(sentences[:3]),
                cause=Cause.FAULT_NOT_PROVEN,
            )
        ]
    shown = sum(proof["answer"] in ("in force", "gone") for proof in history.proofs)
    open_amounts = [f"{what} of {fault}" for fault, what in _open_amounts(history.proofs)]
    remark = f"; in force, amount not shown: {', '.join(open_amounts)}" if open_amounts else ""
    return [
        Finding(
            name=NAME,
            answer=Answer.PASS,
            promised=f"{count} of {count}",
            measured=f"{count} of {count}",
            sentence=f"{shown:,} proofs{remark}",
        )
    ]


def not_shown(history: History, fault: str, phase: PhaseWindow) -> str:
    """Why a row that is about a fault cannot be judged: it was not there in the phase, or how bad
    it was is not known. Empty where it is.
    """
    sets = [
        event
        for event in history.events
        if event["event"] == "fault" and event["fault"] == fault and event["set_ns"] < phase.end_ns
    ]
    if not any(event["verb"] == "set" and event["set_ns"] >= phase.begin_ns for event in sets) and (
        not sets or sets[-1]["verb"] == "clear"
    ):
        return f"the run had no fault {fault!r} in phase {phase.name}"
    about = [
        proof
        for proof in history.proofs
        if proof["fault"] == fault and phase.begin_ns <= proof["at_ns"] < phase.end_ns
    ]
    wrong = [proof for proof in about if proof["answer"] == "not in force"]
    if wrong:
        return _sentence(wrong[0])
    lacking = [what for _, what in _open_amounts(about)]
    if lacking:
        return f"{fault}: in force, amount not shown: {', '.join(lacking)}"
    return (
        ""
        if any(proof["answer"] == "in force" and proof["what"] != "read back" for proof in about)
        else f"{fault}: nothing showed its amount in phase {phase.name}"
    )


def _open_amounts(proofs: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """(fault, what) of which no look showed the amount."""

    def answered(answer: str) -> set[tuple[str, str]]:
        return {(proof["fault"], proof["what"]) for proof in proofs if proof["answer"] == answer}

    return sorted(answered("amount not shown") - answered("in force"))


def _unseen(
    event: Mapping[str, Any],
    events: Sequence[Mapping[str, Any]],
    proofs: Sequence[Mapping[str, Any]],
) -> str:
    """Why a change was not seen to have happened; empty where it was, before the next change of the
    same fault.
    """
    after = event["set_ns"]
    until = min(
        (
            other["set_ns"]
            for other in events
            if other["fault"] == event["fault"] and other["set_ns"] > after
        ),
        default=2**63,
    )
    about = [
        proof
        for proof in proofs
        if proof["fault"] == event["fault"] and after <= proof["at_ns"] < until
    ]
    wanted = "in force" if event["verb"] == "set" else "gone"
    probed = {"cut", "delay", "clear"}
    if not any(proof["what"] == "read back" and proof["answer"] == "in force" for proof in about):
        return f"{event['fault']} ({event['verb']}): it was not read back"
    # After a clear another fault may still stand on the path: then the probe shows that one, in
    # force.
    if event["paths"] and not any(
        proof["what"] in probed and proof["answer"] in (wanted, "in force") for proof in about
    ):
        return f"{event['fault']} ({event['verb']}): no probe showed it {wanted}"
    streamed = any(proof["what"] == "cut" or proof["what"].startswith("toxic") for proof in about)
    if event["verb"] == "set" and "toxic" in event.get("does", "") and not streamed:
        return f"{event['fault']} (set): no stream showed it in force"
    return ""


def _sentence(proof: Mapping[str, Any]) -> str:
    path = f" on {proof['path'][0]} -> {proof['path'][1]}" if proof["path"] else ""
    return (
        f"{proof['fault']}: {proof['what']}{path} {proof['answer']} by "
        f"{proof['backend']}{': ' + proof['sentence'] if proof['sentence'] else ''}"
    )
