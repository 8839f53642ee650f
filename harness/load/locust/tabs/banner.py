"""The banner stands above every tab while a fault is in force, the cluster does not answer, or a
run came to nothing; once one is over it says its verdict.
"""

from __future__ import annotations

from typing import Any

from harness.errors import UnavailableError
from harness.load.locust.tabs import delivery, faults, quantities, verdict
from harness.load.locust.tabs.desk import Desk, sentence_of
from harness.load.locust.tabs.faults import NAMED, names

FAULTS_SAID = 4  # by a line each
WORST = ("bad", "warn", "good")


def lines(desk: Desk) -> list[dict[str, str]]:
    """The banner's sentences, each with a level; none where there is nothing to say."""
    in_force, problem = sentence_of(desk.faults)
    broken = desk.master.broken
    if problem and isinstance(broken, UnavailableError):  # it broke for the same reason
        said = [f"the run was cut short: {problem}"]
    else:
        said = [f"the run was cut short: {broken}"] * (broken is not None) + [problem]
    if desk.refusal:
        said.insert(0, f"the run did not start: {desk.refusal}")
    found = [{"text": one, "level": "bad"} for one in said if one]
    found += _in_force(in_force or [])
    if (ended := verdict.told(desk)) is not None:
        found.append(ended)
    late = delivery.waiting_sentence(desk)
    if late:
        found.append({"text": late, "level": "warn"})
    return found


def _in_force(faults: list[dict[str, Any]]) -> list[dict[str, str]]:
    """A line for each fault in force; of many the worst proven, and how many more there are."""
    ordered = sorted(faults, key=lambda fault: WORST.index(fault["proof"][1]))
    found = [{"text": _of(fault), "level": _level(fault)} for fault in ordered[:FAULTS_SAID]]
    if more := ordered[FAULTS_SAID:]:
        s, are = ("", "is") if len(more) == 1 else ("s", "are")
        said = f"{len(more):,} more fault{s} {are} in force: the tab Faults has them"
        found.append({"text": said, "level": _level(more[0])})
    return found


def _level(fault: dict[str, Any]) -> str:
    level: str = fault["proof"][1]
    return "" if level == "good" else level


def _of(fault: dict[str, Any]) -> str:
    return (
        f"{fault['name']} ({fault['does']}): in force for "
        f"{fault['in_force']}, {faults.left(fault)}; {fault['proof'][0]}; "
        f"{whom(fault)}"
    )


def whom(fault: dict[str, Any]) -> str:
    """Whom a fault is on: who cannot reach whom, in which direction, or the nodes it names."""
    sides = fault.get("sides") or []
    if not sides:
        return (
            f"on {names(fault['nodes'])}"
            if fault["nodes"]
            else f"on {quantities.count(fault['paths'], 'path')}"
        )
    if fault.get("lost"):
        pairs = zip(sides, fault["lost"], strict=True)
        said = "; ".join(f"{names(side)} cannot reach {names(lost)}" for side, lost in pairs)
        return f"in this direction: {said}"
    every = [name for side in sides for name in side]
    if not fault.get("mutual"):
        return f"what {names(every)} send does not reach all others"
    if len(sides) == 2:
        return f"{names(sides[0])} cannot reach {names(sides[1])}, nor the other way"
    counts = " / ".join(str(len(side)) for side in sides[:NAMED])
    more = " / …" if len(sides) > NAMED else ""
    return f"groups of {counts}{more} nodes cannot reach each other: {names(every)}"
