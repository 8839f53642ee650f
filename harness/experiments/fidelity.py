"""Fidelity says how near a replay came to its original: a number from 0 to 1, and what it is made
of. `compare` is pure.

It is the least of four parts, for a replay is as good as what it is worst at:

    moments   when phases began, faults were set and cleared, and the run ended
    load      the operations a second that each stream sent, and when it sent each
    faults    what looks at each fault showed of it
    findings  the answers of the verdict: the share of them that are the same

A part is the mean of its items: 1 where an item is no further from the original's than is allowed,
else what is allowed divided by how far it is (`closeness`), and 0 where only one run has it.
Allowed are 20 ms for a moment, also that of an operation; 1 % and one operation for a rate; for an
amount of a fault the tolerances of both looks. What neither run knows is no item, and is counted
beside them. A part of which the runs have nothing is left out; one of which the folders do not tell
is left out too, and said to be unknown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.checks.amounts import achieved_of
from harness.checks.verdict import Answer
from harness.experiments.comparable import Answered, Played, When
from harness.history.events import FaultChanged, NodeStarted, PhaseBegan, PhasesOver
from harness.history.proof import ALL, BEFORE, READ_BACK, UNTOUCHED, Proof, ProofAnswer

FILE = "fidelity.json"
VERSION = 1
MOMENT_MS = 20.0
RATE_SHARE = 0.01
AMOUNT_SHARE = 0.05  # of an amount whose looks say no tolerance
SHOWN = (ProofAnswer.IN_FORCE, ProofAnswer.NOT_IN_FORCE)  # answers of looks that show an amount
NO_FAULT = (BEFORE, ALL, UNTOUCHED)
# What is no answer of a verdict: such findings tell, and one of them may be there or not.
UNANSWERED = frozenset({str(Answer.MEASURED), str(Answer.NOT_ASKED), "–"})
# Of metadata.json, what says on what a run was played; two runs differ in it, or not.
SURROUNDINGS = ("runtime", "host", "network", "adapter")
NO_MATTER = {"host.memory_bytes"}


def kept(folder: Path) -> dict[str, Any] | None:
    """Return what a replay's folder keeps of the comparison; None where there is none that can be
    read.
    """
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and found.get("version") == VERSION else None


def compare(first: Played, again: Played, remarks: Sequence[str] = ()) -> dict[str, Any]:
    """Compare a replay with its original; return the content of fidelity.json."""
    parts = {
        "moments": _moments(first, again),
        "load": _load(first, again),
        "faults": _faults(first, again),
        "findings": {**_findings(first.answers, again.answers), "as_kept": first.as_kept},
    }
    scores = [part["score"] for part in parts.values() if part["score"] is not None]
    return {
        "version": VERSION,
        "fidelity": min(scores, default=None),
        "parts": parts,
        "differs": differences(first.facts, again.facts),
        "remarks": list(remarks),
    }


def closeness(error: float, allowed: float) -> float:
    """Return 1 where an error is allowed, else the share of it that is."""
    return 1.0 if error <= allowed else allowed / error


class Moment(NamedTuple):
    """When something happened: in ms from the run's t0, when it was done; when it began, where that
    is another; and whether nodes started in it, which takes them their own time.
    """

    at_ms: float
    begun_ms: float
    starts: bool = False


def moments(of: Played) -> dict[tuple[str, int], Moment]:
    """Return when what happened in a run did, by what it was and how often it had happened before.
    What stood before the run stands at 0.
    """
    found: dict[tuple[str, int], Moment] = {}
    times: dict[str, int] = {}
    started = [event for event in of.happened if isinstance(event, NodeStarted)]
    for event in of.happened:
        at_ns = begun_ns = event.at_ns
        starts = False
        if isinstance(event, FaultChanged):
            what = f"{event.verb} {event.fault}"
            at_ns, begun_ns = event.set_ns, event.begun_ns
            starts = any(_is_started_by(event, one) for one in started)
        elif isinstance(event, PhaseBegan):
            what = f"phase {event.phase}"
        elif isinstance(event, PhasesOver):
            what = "end"
        else:
            continue
        times[what] = times.get(what, -1) + 1
        at_ms, begun_ms = (max(ns - of.t0_ns, 0) / 1e6 for ns in (at_ns, begun_ns))
        found[what, times[what]] = Moment(at_ms, begun_ms, starts)
    return found


def _is_started_by(change: FaultChanged, event: NodeStarted) -> bool:
    return event.node in change.nodes and change.begun_ns <= event.at_ns <= change.set_ns


def _at_the_end(of: Played, after_ms: float = 0.0) -> set[tuple[str, int]]:
    """Which moments are of faults that went when the run was over, so long after it at least, if at
    all: only one run may have seen them go.
    """
    end_ms = max(((one.end_ns - of.t0_ns) / 1e6 for one in of.phases), default=0.0) + after_ms
    return {
        key
        for key, moment in moments(of).items()
        if key[0].startswith("clear ") and moment.at_ms >= end_ms
    }


def _moments(first: Played, again: Played) -> dict[str, Any]:
    """Compare moments. Where nodes start it is when that began: how long they take is the system's
    own, and is told. What went as the run was closed is not played by any clock, and is named.
    """
    wanted, found = moments(first), moments(again)
    closing = _at_the_end(first, MOMENT_MS) & _at_the_end(again)
    missing = sorted(wanted.keys() - found.keys() - _at_the_end(first))
    extra = sorted(found.keys() - wanted.keys() - _at_the_end(again))
    both = {
        key: (moment, found[key])
        for key, moment in wanted.items()
        if key in found and key not in closing
    }
    starts = {key: pair for key, pair in both.items() if any(one.starts for one in pair)}
    errors = {
        key: now.begun_ms - was.begun_ms if key in starts else now.at_ms - was.at_ms
        for key, (was, now) in both.items()
    }
    sizes = [abs(error) for error in errors.values()]
    scores = [closeness(size, MOMENT_MS) for size in sizes] + [0.0] * len([*missing, *extra])
    worst = max(errors, key=lambda key: abs(errors[key]), default=None)
    return {
        "score": _mean(scores),
        "allowed_ms": MOMENT_MS,
        "median_ms": float(np.median(sizes)) if sizes else None,
        "p99_ms": float(np.percentile(sizes, 99, method="higher")) if sizes else None,
        "worst_ms": None if worst is None else errors[worst],
        "worst": None if worst is None else worst[0],
        "missing": [what for what, _ in missing],
        "extra": [what for what, _ in extra],
        "not_compared": sorted(what for what, _ in closing),
        "errors": [
            {"what": key[0], "at_ms": wanted[key].at_ms, "error_ms": error}
            for key, error in errors.items()
        ],
        "starts": [
            {
                "what": key[0],
                "original_ms": was.at_ms - was.begun_ms,
                "replay_ms": now.at_ms - now.begun_ms,
            }
            for key, (was, now) in starts.items()
        ],
    }


def _load(first: Played, again: Played) -> dict[str, Any]:
    """Compare what streams sent: how much, over the lengths of the original's phases, and when. Of
    a stream what it is worse at counts.
    """
    if first.sent is None or again.sent is None:
        return {"score": None, "unknown": "not all operations of both runs are there to be counted"}
    if len(first.sent) != len(again.sent):
        return {"score": None, "unknown": "the two had other streams"}
    seconds = {one.name: one.seconds for one in first.phases}
    is_known = first.when is not None and again.when is not None
    streams = []
    for number, said in enumerate(first.facts["load"].get("streams", ())):
        if lasts_s := seconds.get(said["phase"]):
            was, now = first.sent[number], again.sent[number]
            error, allowed = abs(now - was), max(RATE_SHARE * was, 1.0)
            near = closeness(error, allowed)
            when: Mapping[str, Any] = {}
            if first.when is not None and again.when is not None:
                timely, when = _sent_when(first.when[number], again.when[number], allowed)
                near = min(near, timely)
            streams.append(
                {
                    "phase": said["phase"],
                    "operation": said["operation"],
                    "original_per_s": was / lasts_s,
                    "replay_per_s": now / lasts_s,
                    "error": error / max(was, 1),
                    **when,
                    "score": near,
                }
            )
    lacks = {} if is_known else {"not_known": "when each operation was sent"}
    return {"score": _mean([one["score"] for one in streams]), "streams": streams, **lacks}


def _sent_when(was: When, now: When, allowed: float) -> tuple[float, dict[str, Any]]:
    """Hold each operation of a stream to the moment at which the original sent the same one: how
    near they are, and what of them is kept. More than `allowed` that only one of the two sent are
    as far away as can be.
    """
    _, before, after = np.intersect1d(
        was.number, now.number, assume_unique=True, return_indices=True
    )
    errors = now.at_ms[after] - was.at_ms[before]
    sizes = np.abs(errors)
    alone = len(was.number) + len(now.number) - 2 * len(errors)
    nearness = float((MOMENT_MS / np.maximum(sizes, MOMENT_MS)).sum())
    counted = len(errors) + max(alone - allowed, 0.0)
    return nearness / counted if counted else 1.0, {
        "both": len(errors),
        "only_one": alone,
        "moved": int((sizes > MOMENT_MS).sum()),
        "furthest_ms": int(errors[sizes.argmax()]) if len(errors) else None,
    }


def _faults(first: Played, again: Played) -> dict[str, Any]:
    """Compare what was seen of each fault. What only one look was made at in both runs, and showed
    no amount, is held to whether it was seen in force. What neither run saw is not compared.
    """
    if first.proofs is None or again.proofs is None:
        return {"score": None, "unknown": "not all looks at the faults of both runs are there"}
    came = {
        event.fault
        for event in (*first.happened, *again.happened)
        if isinstance(event, FaultChanged) and event.is_set
    }
    wanted, found = (
        _by_what(one for one in proofs if one.fault in came or one.fault not in NO_FAULT)
        for proofs in (first.proofs, again.proofs)
    )
    looked_at = {fault for fault, _ in (*wanted, *found)}
    never = dict.fromkeys((fault, "") for fault in came - looked_at)
    seen = []
    for fault, what in sorted(wanted.keys() | found.keys() | never.keys()):
        was, now = wanted.get((fault, what), []), found.get((fault, what), [])
        seen.append({"fault": fault, "what": what, **_amounts(what, was, now)})
    scores = [one["score"] for one in seen if one["score"] is not None]
    blind = {"unknown": "neither run saw anything of its faults"} if seen and not scores else {}
    return {"score": _mean(scores), "seen": seen, **blind}


def _by_what(proofs: Iterable[Proof]) -> dict[tuple[str, str], list[Proof]]:
    """The looks at each thing that each fault does; what is read back is of the kernel, and what
    shows that a fault is gone is no amount of it.
    """
    found: dict[tuple[str, str], list[Proof]] = {}
    for proof in proofs:
        if proof.what not in (READ_BACK, "clear") and proof.answer not in (
            ProofAnswer.GONE,
            ProofAnswer.NOT_GONE,
        ):
            found.setdefault((proof.fault, proof.what), []).append(proof)
    return found


def _amounts(what: str, was: Sequence[Proof], now: Sequence[Proof]) -> dict[str, Any]:
    shown = [
        [one for one in proofs if one.achieved is not None and one.asked and one.answer in SHOWN]
        for proofs in (was, now)
    ]
    if all(shown):
        before, after = (achieved_of(what, proofs) for proofs in shown)
        allowed = sum(_tolerance(proofs) for proofs in shown) or AMOUNT_SHARE * abs(before)
        return {
            "original": before,
            "replay": after,
            "allowed": allowed,
            "score": closeness(abs(after - before), allowed),
        }
    answered = [_answer(proofs) for proofs in (was, now)]
    is_seen = not {*answered}.isdisjoint(map(str, SHOWN))
    return {
        "original": answered[0],
        "replay": answered[1],
        "allowed": None,
        "score": float(answered[0] == answered[1]) if is_seen else None,
    }


def _tolerance(proofs: Sequence[Proof]) -> float:
    """The tolerance of the look that saw most."""
    return max(proofs, key=lambda one: one.n).tolerance or 0.0


def _answer(proofs: Sequence[Proof]) -> str:
    """What all looks at one thing answer together: that it was not so wins, then that it was."""
    answered = {one.answer for one in proofs}
    for answer in (ProofAnswer.NOT_IN_FORCE, ProofAnswer.IN_FORCE):
        if answer in answered:
            return str(answer)
    return str(ProofAnswer.AMOUNT_NOT_SHOWN) if proofs else "no look"


def _findings(first: Sequence[Answered] | None, again: Sequence[Answered] | None) -> dict[str, Any]:
    if first is None or again is None:
        return {"score": None, "unknown": "one of the two was not judged"}
    pairs = [
        pair
        for pair in side_by_side([first, again])
        if not UNANSWERED.issuperset(one.answer for one in pair)
    ]
    known = [pair for pair in pairs if {one.answer for one in pair} != {str(Answer.UNKNOWN)}]
    changed = [
        {"phase": was.phase, "name": was.name, "original": was.answer, "replay": now.answer}
        for was, now in known
        if was.answer != now.answer
    ]
    blind = {"unknown": "all findings are UNKNOWN in both verdicts"} if pairs and not known else {}
    return {
        **blind,
        "score": _mean([float(was.answer == now.answer) for was, now in known]),
        "of": len(known),
        "unknown_in_both": len(pairs) - len(known),
        "changed": changed,
    }


def side_by_side(verdicts: Sequence[Sequence[Answered]]) -> list[list[Answered]]:
    """Return each finding of any of these verdicts as each of them has it; one that it does not
    have has the answer "–" there.
    """
    every: dict[tuple[str, str, int], list[Answered]] = {}
    for number, verdict in enumerate(verdicts):
        times: dict[tuple[str, str], int] = {}
        for one in verdict:
            what = one.phase, one.name
            times[what] = times.get(what, -1) + 1
            nowhere = Answered(*what, "–", "–")
            every.setdefault((*what, times[what]), [nowhere] * len(verdicts))[number] = one
    return list(every.values())


def differences(first: Mapping[str, Any], again: Mapping[str, Any]) -> list[list[str]]:
    """Name what the surroundings of two runs differ in: [what, of the original, of the replay]."""
    was, now = (
        dict(_leaves({key: facts.get(key) for key in SURROUNDINGS})) for facts in (first, again)
    )
    return [
        [key, was.get(key, "–"), now.get(key, "–")]
        for key in sorted(was.keys() | now.keys())
        if was.get(key) != now.get(key)
        and key not in NO_MATTER
        and not key.startswith("host.calibration")
    ]


def _leaves(table: Mapping[str, Any], before: str = "") -> Iterable[tuple[str, str]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", str(value)


def _mean(scores: Sequence[float]) -> float | None:
    return sum(scores) / len(scores) if scores else None
