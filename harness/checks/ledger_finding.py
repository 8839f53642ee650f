"""What the delivery ledger says of an operation: how what was counted becomes a finding, and what a
system is not held to. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.checks.verdict import Answer, Cause, Finding
from harness.operations.operation import Ledger
from harness.operations.promises import Slip, covering

RESIZED = "of another size"
TWICE = "delivered more than once at a node"
MORE_THAN_ONCE = "delivered more than once"
UNSEEN = "acknowledged but in no journal"
NOT_EVERYWHERE = "not everywhere"
NOT_STORED = "stored at no other node"
# What is wrong and may be exempted from; the rest is what no system may do.
SLIPS = {
    UNSEEN: Slip.LOST,
    NOT_EVERYWHERE: Slip.LOST,
    NOT_STORED: Slip.LOST,
    MORE_THAN_ONCE: Slip.REPEATED,
    TWICE: Slip.REPEATED,
}


@dataclass(slots=True)
class Held:
    """How acknowledged operations fared against the records: description → how many of them.

    `open`: those of whose record nothing can be known. `unjudged`: those that did not come true
    everywhere in phases of which that is not asked; `where`: these phases.
    """

    wrong: dict[str, int]
    open: dict[str, int] = field(default_factory=dict)
    unjudged: int = 0
    where: str = ""


def finding_of(
    name: str, count: int, held: Held, ledger: Ledger, words: tuple[str, ...]
) -> Finding:
    """The finding of acknowledged operations. `words`: what the system does not promise of them,
    which is counted all the same.
    """
    all_of_them = f"{count - held.unjudged:,} of {count:,}"
    wrong = {what: number for what, number in held.wrong.items() if number}
    covered = {what: _covering(words, what) for what in wrong}
    excused = [what for what in wrong if covered[what]]
    lost = covering(words, Slip.LOST)
    open_ = _listed(held.open)
    if len(excused) < len(wrong):
        answer, sentence = Answer.FAIL, "what the sender was told is not what happened"
    elif open_ and not lost:
        answer, sentence = Answer.UNKNOWN, "who did not journal can neither confirm nor deny it"
    elif held.unjudged == count or wrong or open_:
        answer, sentence = Answer.MEASURED, f"counted {ledger.counted}"
    else:
        answer, sentence = Answer.PASS, f"counted {ledger.counted}"
    if excused or (open_ and lost):
        named = dict.fromkeys([*(covered[what] for what in excused), *([lost] if open_ else [])])
        those = f" ({', '.join(excused)})" if answer is Answer.FAIL else ""
        sentence += f"; not held to it{those}: this system promises {' and '.join(named)}"
    if held.unjudged:
        sentence += f"; {held.unjudged:,} not everywhere {held.where}: not judged"
    return Finding(
        name=name,
        answer=answer,
        promised="–" if answer is Answer.MEASURED else all_of_them,
        measured=_listed(wrong) or open_ or all_of_them,
        sentence=sentence,
        cause=Cause.NOT_MEASURED if answer is Answer.UNKNOWN else None,
    )


def _covering(words: tuple[str, ...], what: str) -> str:
    """The word of an exemption that covers something wrong; empty: none does."""
    return covering(words, SLIPS[what]) if what in SLIPS else ""


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number:,} {what}" for what, number in counts.items() if number)


def exempted(finding: Finding, why: str | None) -> Finding:
    """The finding; where the system cannot be held to it, as no answer that says why."""
    if why is None:
        return finding
    measured = (
        finding.measured
        if finding.answer is Answer.PASS
        else f"{finding.measured} of {finding.promised.partition(' of ')[0]}"
    )
    return replace(
        finding,
        answer=Answer.MEASURED,
        promised="–",
        measured=measured,
        sentence=f"not held to it: {why}",
        cause=None,
    )


def unknown(name: str, promised: str, measured: str, sentence: str) -> Finding:
    """Make the finding of what was not measured."""
    return Finding(
        name=name,
        answer=Answer.UNKNOWN,
        promised=promised,
        measured=measured,
        sentence=sentence,
        cause=Cause.NOT_MEASURED,
    )
