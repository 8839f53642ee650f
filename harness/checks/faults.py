"""Whether the run's faults were proven: in force while they were asked for, gone afterwards. Not
proven is UNKNOWN, never a pass.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, zip_longest

from harness.checks import amounts, host, starvation
from harness.checks.fault_times import Misplayed, changes_of, misplayed, not_played, standing
from harness.checks.silences import FOR_EVER_NS
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.events import FaultChanged
from harness.history.history import History, PhaseWindow, once
from harness.history.proof import READ_BACK, Proof, ProofAnswer, seen_as

NAME = "faults: proven in force, and gone"
SECOND_NS = 1_000_000_000
PRESSED = 0.5  # of the time, from which on that something waits for a core is told
LOOK_S = 6.0  # between two looks at most: three times as long as the prover waits
OF_NODES = ("condition", "limits", "disk", "clock")  # what a look at nodes says of them
PROBED = ("cut", "delay", "clear")  # what a probe of a path says of it


def check(history: History) -> list[Finding]:
    """One finding for all faults of a run; none where it had none."""
    changes = changes_of(history)
    unplayed = not_played(history, changes)
    if not changes and not history.proofs and not unplayed:
        return []
    wrong = [proof for proof in history.proofs if proof.answer.is_contradiction]
    missing = {one.fault for one in unplayed}
    unproven = [
        *(f"{one.fault} ({one.verb}): it was planned, and could not be done" for one in unplayed),
        *_unseen(history, changes),
        *(
            f"{one}{_meanwhile(history, one)}"
            for one in misplayed(history, changes)
            if one.fault not in missing
        ),
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
    unshown = [f"{what} of {fault}" for fault, what in _open_amounts(history.proofs)]
    remark = f"; in force, amount not shown: {', '.join(unshown)}" if unshown else ""
    return [
        Finding(
            name=NAME,
            answer=Answer.PASS,
            promised=f"{count} of {count}",
            measured=f"{count} of {count}",
            sentence=f"{shown:,} proofs{_seen(history.proofs)}{remark}",
        )
    ]


def _seen(proofs: Sequence[Proof]) -> str:
    """How much of the faults was seen, as the end of a sentence: three amounts at most."""
    by_fault: dict[str, list[Proof]] = {}
    for proof in proofs:
        by_fault.setdefault(proof.fault, []).append(proof)
    said = [f"{fault}: {one}" for fault, some in by_fault.items() for one in amounts.seen(some)]
    more = f"; and {len(said) - 3} more amounts" if len(said) > 3 else ""
    return "".join(f"; {one}" for one in said[:3]) + more


def _meanwhile(history: History, stand: Misplayed) -> str:
    """Say what the host lacked while a fault stood for another time than planned, or was to, as the
    end of a sentence; empty where nothing is recorded of that.
    """
    begin_ns, end_ns = stand.begin_ns, max(stand.end_ns, stand.begin_ns + SECOND_NS)
    window = PhaseWindow(name="", begin_ns=begin_ns, end_ns=end_ns)
    said = starvation.between(history, begin_ns, end_ns) or host.slowed(history, window)[1]
    if not said and (waited := host.pressure(history, begin_ns, end_ns) or 0.0) >= PRESSED:
        said = f"something waited for a core of this host for {waited:.0%} of the time"
    return f"; meanwhile {said}{host.busy(history, window)}" if said else ""


def under(history: History, fault: str, phase: PhaseWindow) -> PhaseWindow:
    """The window of a row about a fault: from its first coming in the phase to its last going,
    without the stretches in between in which it did not stand.
    """
    stretches = standing(history, fault, phase)
    if not stretches:
        return replace(phase, end_ns=phase.begin_ns)
    return replace(
        phase,
        begin_ns=stretches[0].begin_ns,
        end_ns=stretches[-1].end_ns,
        left_out=tuple((one.end_ns, later.begin_ns) for one, later in pairwise(stretches)),
    )


def not_shown(history: History, fault: str, phase: PhaseWindow) -> str | None:
    """Why a row that is about a fault cannot be judged: it was not there in the phase, how bad it
    was is not known, or nobody looked for a while. None where it can.
    """
    stretches = standing(history, fault, phase)
    if not stretches:
        return f"the run had no fault {fault!r} in phase {phase.name}"
    looks = _looks(history, fault)
    about = [proof for one in stretches for proof in looks.within(one.begin_ns, one.end_ns)]
    wrong = [proof for proof in about if proof.answer is ProofAnswer.NOT_IN_FORCE]
    if wrong:
        return str(wrong[0])
    lacking = sorted(
        {what for _, what in _open_amounts(about)} | _never_shown(history, stretches, fault, about)
    )
    if lacking:
        return f"{fault}: in force, amount not shown: {', '.join(lacking)}"
    shown = any(proof.answer is ProofAnswer.IN_FORCE and proof.what != READ_BACK for proof in about)
    if not shown:
        return f"{fault}: nothing showed its amount in phase {phase.name}"
    gaps = (_unlooked(history, fault, one.begin_ns, one.end_ns) for one in stretches)
    return next((f"{fault}: {gap}" for gap in gaps if gap is not None), None)


def _never_shown(
    history: History, stretches: Sequence[PhaseWindow], fault: str, about: Sequence[Proof]
) -> set[str]:
    """What a fault did in these stretches that no look showed in force. A later phase may set
    another one of its name.
    """
    shown = {proof.what for proof in about if proof.answer is ProofAnswer.IN_FORCE}
    changes = [change for change in changes_of(history) if change.fault == fault]
    return {
        what
        for change, later in zip_longest(changes, changes[1:])
        if change.is_set
        and any(
            change.set_ns < one.end_ns and (later is None or later.set_ns > one.begin_ns)
            for one in stretches
        )
        for what in seen_as(change.does)
        if what not in shown
    }


def _open_amounts(proofs: Sequence[Proof]) -> list[tuple[str, str]]:
    """(fault, what) of which no look showed the amount."""

    def answered(answer: ProofAnswer) -> set[tuple[str, str]]:
        return {(proof.fault, proof.what) for proof in proofs if proof.answer is answer}

    return sorted(answered(ProofAnswer.AMOUNT_NOT_SHOWN) - answered(ProofAnswer.IN_FORCE))


@dataclass(frozen=True, slots=True)
class _Looks:
    """Looks in order of time, to be found by it."""

    at_ns: Sequence[int]
    proofs: Sequence[Proof]

    @classmethod
    def of(cls, proofs: Iterable[Proof]) -> _Looks:
        ordered = sorted(proofs, key=lambda one: one.at_ns)
        return cls([one.at_ns for one in ordered], ordered)

    def within(self, begin_ns: int, end_ns: int) -> Sequence[Proof]:
        """The looks from one time on until another."""
        return self.proofs[bisect_left(self.at_ns, begin_ns) : bisect_left(self.at_ns, end_ns)]


@once
def _looks(history: History, fault: str, *, all_read_back: bool = False) -> _Looks:
    """The looks at one fault; also what was read back for another's sake, for that is all there is
    in the kernel, unless the fault is of nodes.
    """
    mine = [one for one in history.proofs if one.fault == fault]
    if all_read_back and not any(one.what in OF_NODES for one in mine):
        mine += [one for one in history.proofs if one.fault != fault and one.what == READ_BACK]
    return _Looks.of(mine)


def _unlooked(history: History, fault: str, begin_ns: int, end_ns: int) -> str | None:
    """Why a fault is not proven for all of a stretch: nobody looked for longer than LOOK_S."""
    looks = _looks(history, fault, all_read_back=True).within(begin_ns, end_ns)
    edges = [begin_ns, *(one.at_ns for one in looks), end_ns]
    longest = max(after - before for before, after in pairwise(edges)) / 1e9
    if longest <= LOOK_S:
        return None
    whole = (end_ns - begin_ns) / 1e9
    return f"nobody looked at it for {longest:.1f} s of the {whole:.1f} s that it stood"


def _unseen(history: History, changes: Sequence[FaultChanged]) -> Iterator[str]:
    """Say of each change that was not seen to have happened, before the next change of the same
    fault, why it was not.
    """
    times: dict[str, list[int]] = {}
    for change in sorted(changes, key=lambda one: one.set_ns):
        times.setdefault(change.fault, []).append(change.set_ns)
    over_ns = max((phase.end_ns for phase in history.phases), default=0)
    for change in changes:
        of_fault = times[change.fault]
        until_ns = next(iter(of_fault[bisect_right(of_fault, change.set_ns) :]), FOR_EVER_NS)
        about = _looks(history, change.fault).within(change.set_ns, until_ns)
        lacking, end_ns = _lacking(change, about), min(until_ns, over_ns)
        if lacking is None and change.is_set and end_ns > change.set_ns:
            lacking = _unlooked(history, change.fault, change.set_ns, end_ns)
        if lacking is not None:
            yield f"{change.fault} ({change.verb}): {lacking}"


def _lacking(change: FaultChanged, about: Sequence[Proof]) -> str | None:
    """What no look at a change has shown; None where nothing is lacking."""
    wanted = ProofAnswer.IN_FORCE if change.is_set else ProofAnswer.GONE
    if change.nodes:
        shown = [proof.what for proof in about if proof.answer is wanted]
        if not any(what in OF_NODES for what in shown):
            return f"no look at its nodes showed it {wanted}"
        looked_at = {proof.what for proof in about}
        missing = [what for what in seen_as(change.does) if what not in looked_at]
        return f"nobody looked at its {missing[0]}" if missing and change.is_set else None
    if not any(proof.what == READ_BACK and proof.answer is ProofAnswer.IN_FORCE for proof in about):
        return "it was not read back"
    # After a clear another fault may still stand on the path: then the probe shows that one, in
    # force.
    enough = (wanted, ProofAnswer.IN_FORCE)
    probed = [proof for proof in about if proof.what in PROBED]
    if change.paths and not any(proof.answer in enough for proof in probed):
        why = next((proof.sentence for proof in probed if proof.sentence), "")
        return f"no probe showed it {wanted}" + (f": {why}" if why else "")
    if not change.is_set:
        return None
    streamed = any(proof.what == "cut" or proof.what.startswith("toxic") for proof in about)
    if "toxic" in change.does and not streamed:
        return "no stream showed it in force"
    looked_at = {proof.what for proof in about}
    unrecorded = [what for what in seen_as(change.does) if what not in looked_at]
    return f"nobody looked at its {', '.join(unrecorded)}" if unrecorded else None
