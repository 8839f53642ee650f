"""Whether the run's faults were proven: in force while they were asked for, gone afterwards. Not proven is UNKNOWN, never a pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.budget import Row
from harness.history import History
from harness.verdict import Answer, Cause, Finding

NAME = "faults: proven in force, and gone"
WRONG = {"not in force", "not gone"}


def check(history: History, rows: Sequence[Row]) -> list[Finding]:
    """One finding for all faults of a run; none where it had none."""
    del rows
    events = [event for event in history.events if event["event"] == "fault"]
    if not events and not history.proofs:
        return []
    wrong = [proof for proof in history.proofs if proof["answer"] in WRONG]
    unseen = [sentence for event in events if (sentence := _unseen(event, events, history.proofs))]
    count = sum(event["verb"] == "set" for event in events)
    if wrong or unseen:
        sentences = list(dict.fromkeys([*map(_sentence, wrong), *unseen]))
        return [Finding(
            name=NAME, answer=Answer.UNKNOWN, promised=f"{count} of {count}", measured=f"{len(wrong)} contradicted, {len(unseen)} not seen",
            sentence="; ".join(sentences[:3]), cause=Cause.FAULT_NOT_PROVEN,
        )]
    shown = sum(proof["answer"] in ("in force", "gone") for proof in history.proofs)
    open_amounts = sorted({f"{proof['what']} of {proof['fault']}" for proof in history.proofs if proof["answer"] == "amount not shown"} - {
        f"{proof['what']} of {proof['fault']}" for proof in history.proofs if proof["answer"] == "in force"
    })
    remark = f"; in force, amount not shown: {', '.join(open_amounts)}" if open_amounts else ""
    return [Finding(name=NAME, answer=Answer.PASS, promised=f"{count} of {count}", measured=f"{count} of {count}", sentence=f"{shown:,} proofs{remark}")]


def _unseen(event: Mapping[str, Any], events: Sequence[Mapping[str, Any]], proofs: Sequence[Mapping[str, Any]]) -> str:
    """Why a change was not seen to have happened; empty where it was, before the next change of the same fault."""
    after = event["set_ns"]
    until = min((other["set_ns"] for other in events if other["fault"] == event["fault"] and other["set_ns"] > after), default=2**63)
    about = [proof for proof in proofs if proof["fault"] == event["fault"] and after <= proof["at_ns"] < until]
    wanted = "in force" if event["verb"] == "set" else "gone"
    probed = {"cut", "delay", "clear"}
    if not any(proof["what"] == "read back" and proof["answer"] == "in force" for proof in about):
        return f"{event['fault']} ({event['verb']}): it was not read back"
    # After a clear another fault may still stand on the path: then the probe shows that one, in force.
    if event["paths"] and not any(proof["what"] in probed and proof["answer"] in (wanted, "in force") for proof in about):
        return f"{event['fault']} ({event['verb']}): no probe showed it {wanted}"
    return ""


def _sentence(proof: Mapping[str, Any]) -> str:
    path = f" on {proof['path'][0]} -> {proof['path'][1]}" if proof["path"] else ""
    return f"{proof['fault']}: {proof['what']}{path} {proof['answer']} by {proof['backend']}{': ' + proof['sentence'] if proof['sentence'] else ''}"
