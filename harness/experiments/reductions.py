"""Reductions are the ways to make a case smaller: what can be left out of it, what can be lowered.
Pure.

Their order is that of the time they save. Each try plays the whole case, so what makes all later
tries shorter comes first: whole phases; faults, for the fewer have to fit in, the shorter a phase
can be, and the fewer nodes they name; nodes, which are started each time, and whose least number
mostly fails at once; the lengths of phases. What costs no time comes last: streams, rates, and of
the faults that are left, on whom, how long and how bad.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial

from harness.errors import BadFileError
from harness.experiments import amounts
from harness.experiments.amounts import at_of, plain, with_word
from harness.experiments.case import Case, Document, Documents
from harness.experiments.delta_debugging import Drop, Lower, Number, Part, Pass
from harness.faults import targets
from harness.history.plan import PhaseKind
from harness.topology import impairment
from harness.topology.topology import Node

SECONDS_LEAST = 1.0  # of a phase, and of a fault
PATIENT = (PhaseKind.WARM_UP, PhaseKind.CONVERGE)
NODES_LEAST = 2
RATE_LEAST = 1.0
SIDES = ("left", "right")


def passes(wanted_phases: Collection[str]) -> tuple[Pass[Case], ...]:
    """Return the passes, in their order. `wanted_phases`: those of what has to fail again, of which
    at least one must be left; an empty name is of no phase.
    """
    keep = frozenset(wanted_phases)
    return (
        Drop(name="phases", parts=_phase_names, without=partial(_without_phases, keep)),
        Drop(name="faults", parts=_fault_keys, without=_without_faults),
        Lower(name="nodes", numbers=_node_counts),
        Lower(name="lengths of phases", numbers=_phase_lengths),
        Drop(name="streams", parts=_stream_keys, without=_without_streams),
        Lower(name="rates", numbers=_rates),
        Drop(name="targets of faults", parts=_target_keys, without=_without_targets),
        Drop(name="words of faults", parts=_word_keys, without=_without_words),
        Lower(name="lengths of faults", numbers=_fault_lengths),
        Lower(name="amounts of faults", numbers=amounts.numbers),
    )


def _phase_names(case: Case) -> Sequence[Part]:
    return [phase["name"] for phase in _phases(case.documents())]


def _phases(found: Documents) -> list[Document]:
    """The phases but for a warm-up: without it a cold start would fail, and not what did."""
    return [phase for phase in found.phases if phase.get("kind") != PhaseKind.WARM_UP]


def _without_phases(keep: frozenset[str], case: Case, gone: Collection[Part]) -> Case | None:
    """Leave phases out, with the rows of the budget that are about them. None where that takes the
    last of those to keep, or the time to recover that what is left is given.
    """
    found = case.documents()
    left = [phase for phase in found.phases if phase["name"] not in gone]
    names = {phase["name"] for phase in left}
    if not left or not keep & {*names, ""} or _is_hurried(found, gone, of_all="" in keep):
        return None
    found.scenario["phase"] = left
    if found.budget is not None:
        rows = [row for row in found.budget["row"] if row["phase"] in names]
        found.budget = {**found.budget, "row": rows} if rows else None
    return found.case()


def _is_hurried(found: Documents, gone: Collection[Part], *, of_all: bool) -> bool:
    """Whether a phase in which the system recovers is gone, and something is judged after it;
    `of_all`: what is judged is the run as a whole.
    """
    is_judged = of_all
    for phase in reversed(found.phases):
        if phase["name"] not in gone:
            is_judged = True
        elif is_judged and phase.get("kind") == PhaseKind.CONVERGE:
            return True
    return False


def _fault_keys(case: Case) -> Sequence[Part]:
    found = case.documents()
    faults = [(phase["name"], position) for phase, position, _ in found.faults()]
    return [*faults, *((phase["name"], "churn", at) for phase, at, _ in found.churns())]


def _without_faults(case: Case, gone: Collection[Part]) -> Case | None:
    churns = {(key[0], key[2]) for key in gone if isinstance(key, tuple) and len(key) > 2}
    return _without_rest(_without_rest(case, "fault", gone), "churn", churns)


def _stream_keys(case: Case) -> Sequence[Part]:
    found = case.documents()
    streams = [(phase["name"], position) for phase, position, _ in found.streams()]
    return [*streams, *((phase["name"], "iperf3") for phase in found.phases if "iperf3" in phase)]


def _without_streams(case: Case, gone: Collection[Part]) -> Case | None:
    found = case.documents()
    for phase in found.phases:
        if (phase["name"], "iperf3") in gone:
            del phase["iperf3"]
    return _without_rest(found.case(), "stream", gone)


def _without_rest(case: Case, kind: str, gone: Collection[Part]) -> Case:
    found = case.documents()
    for phase in found.phases:
        left = [
            one
            for position, one in enumerate(phase.get(kind, ()))
            if (phase["name"], position) not in gone
        ]
        phase.pop(kind, None)
        phase.update({kind: left} if left else {})
    return found.case()


def _phase_lengths(case: Case) -> Sequence[Number[Case]]:
    """The lengths of phases but for those that a system is given to start, and to recover, in: with
    less of it anything would fail.
    """
    return [
        Number(
            name=f"{phase['name']}: duration_s",
            value=float(phase["duration_s"]),
            goal=SECONDS_LEAST,
            put=partial(_with_length, phase["name"]),
        )
        for phase in case.documents().phases
        if phase.get("duration_s", 0) > SECONDS_LEAST and phase.get("kind") not in PATIENT
    ]


def _with_length(name: str, case: Case, seconds: float) -> Case:
    """Shorten a phase. Faults that would end after it come earlier, and end with it where they
    are longer: so what overlapped still does.
    """
    found = case.documents()
    phase = next(one for one in found.phases if one["name"] == name)
    before, phase["duration_s"] = float(phase["duration_s"]), plain(seconds)
    for fault in (*phase.get("fault", ()), *phase.get("churn", ())):
        at_s = float(fault.get("at_s", 0))
        lasts_s = min(float(fault.get("for_s", before - at_s)), seconds)
        if at_s > seconds - lasts_s:
            fault["at_s"] = plain(seconds - lasts_s)
        if "for_s" in fault:
            fault["for_s"] = plain(lasts_s)
    for stream in phase.get("stream", ()):
        if stream.get("after_s", 0) >= seconds:
            stream["after_s"] = plain(seconds / 2)
    return found.case()


def _node_counts(case: Case) -> Sequence[Number[Case]]:
    found = case.documents()
    count, least = len(found.nodes()), max(NODES_LEAST, len(found.named()))
    if count <= least:
        return []
    number = Number(
        name="nodes",
        value=float(count),
        goal=float(least),
        put=lambda case, nodes: _with_nodes(case, int(nodes)),
        near=1.1,
        is_whole=True,
    )
    return [number]


def _with_nodes(case: Case, count: int) -> Case | None:
    """Keep so many nodes: those that are named somewhere, and the first of the others. None where
    the shape cannot have so many. Of churn as many leave of each node as before.

    Names stay what they were, so those that are not the first ones are listed one by one.
    """
    found = case.documents()
    nodes, kept = found.nodes(), found.named()
    for node in nodes:
        if len(kept) < count:
            kept.add(node.name)
    for _, _, churn in found.churns():
        _thin(churn, nodes, kept)
    listed = found.topology.get("node", [])
    own = {one["name"] for one in listed}
    made = [node for node in nodes if node.name not in own]  # by `count`, in this order
    left = [node for node in made if node.name in kept]
    group = dict(found.topology.get("nodes", {}))
    first = 0
    if len({node.region for node in made}) == 1:
        first = next((at for at, one in enumerate(left) if one is not made[at]), len(left))
    if first:
        group["count"] = first
    else:
        group.pop("count", None)
        group.pop("regions", None)
    named = [*map(_listed, left[first:]), *listed]
    for key, value in (("nodes", group), ("node", named)):
        found.topology.pop(key, None)
        found.topology.update({key: value} if value else {})
    try:
        return found.case() if len(found.nodes()) == count else None
    except BadFileError:
        return None


def _thin(churn: Document, nodes: Sequence[Node], kept: Collection[str]) -> None:
    """Have the same share of a churn's nodes leave, and live, of those of them that are kept; of
    who has to live it is rounded up: fewer would be another failure.
    """
    whom = targets.nodes_of(churn.get("where", "all"), nodes)
    stay = sum(name in kept for name in whom)
    if stay < len(whom):
        churn["rate_per_s"] = plain(churn["rate_per_s"] * stay / len(whom))
        churn["floor"] = -(-churn["floor"] * stay // len(whom))


def _listed(node: Node) -> Document:
    region = {} if node.region == "default" else {"region": node.region}
    return {"name": node.name} | region


def _rates(case: Case) -> Sequence[Number[Case]]:
    found: list[Number[Case]] = []
    for phase, position, stream in case.documents().streams():
        rate = stream["rate_per_s"]
        highest = max(point[1] for point in rate) if isinstance(rate, list) else rate
        for key, value in (("rate_per_s", highest), ("count", stream.get("count", 0))):
            if value > RATE_LEAST:
                at = (phase["name"], position)
                found.append(
                    Number(
                        name=f"{at}: {key}",
                        value=float(value),
                        goal=RATE_LEAST,
                        put=partial(_with_rate, at, key),
                        near=2.0,
                        is_whole=key == "count",
                    )
                )
    return found


def _with_rate(at: tuple[str, int], key: str, case: Case, value: float) -> Case:
    """Give a stream another rate, or count; of a rate over time all points are scaled."""
    found = case.documents()
    stream = at_of(found, "stream", at)
    if key == "rate_per_s" and isinstance(points := stream[key], list):
        highest = max(point[1] for point in points)
        stream[key] = [[at_s, plain(rate * value / highest)] for at_s, rate in points]
    else:
        stream[key] = int(value) if key == "count" else plain(value)
    return found.case()


def _target_keys(case: Case) -> Sequence[Part]:
    """Each node on a side of a fault of which there are several, and the directions of paths that
    are both ways.
    """
    found = case.documents()
    nodes = found.nodes()
    keys: list[Part] = []
    for phase, position, fault in found.faults():
        at = (phase["name"], position)
        for side, names in _sides(fault, nodes).items():
            keys += [(at, side, name) for name in names] if len(names) > 1 else []
        if "<->" in fault.get("where", ""):
            keys += [(at, "way", side) for side in SIDES]
    return keys


def _without_targets(case: Case, gone: Collection[Part]) -> Case | None:
    found = case.documents()
    nodes = found.nodes()
    for phase, position, fault in found.faults():
        at = (phase["name"], position)
        sides = _sides(fault, nodes)
        left = {
            side: [name for name in names if (at, side, name) not in gone]
            for side, names in sides.items()
        }
        ways = [side for side in SIDES if (at, "way", side) not in gone]
        if not ways or not all(left.values()):
            return None
        if left != sides or len(ways) < len(SIDES):
            _aim(fault, left, ways)
    return found.case()


def _sides(fault: Document, nodes: Sequence[Node]) -> dict[str, list[str]]:
    """The nodes on each side of where a fault is, or those that its cut takes one by one."""
    if fault.get("cut") == "isolate":
        said = fault.get("of", ())
        words = {"of": ",".join([said] if isinstance(said, str) else said)}
    elif "where" in fault:
        words = dict(zip(SIDES, fault["where"].replace("<->", "->").split("->"), strict=False))
    else:
        return {}
    return {side: [*targets.nodes_of(text, nodes)] for side, text in words.items()}


def _aim(fault: Document, left: dict[str, list[str]], ways: Sequence[str]) -> None:
    """Say where a fault is by the names that are left, and the way that is."""
    if "of" in left:
        fault["of"] = left["of"]
        return
    ends = [", ".join(names) for names in left.values()]
    if len(ways) == 1:  # from the side that is left to the other one
        ends = ends if ways[0] == SIDES[0] else ends[::-1]
        arrow = " -> "
    else:
        arrow = " <-> " if "<->" in fault["where"] else " -> "
    fault["where"] = arrow.join(ends)


def _word_keys(case: Case) -> Sequence[Part]:
    """Each amount of a fault that has several, and each of several toxics."""
    keys: list[Part] = []
    for phase, position, fault in case.documents().faults():
        at = (phase["name"], position)
        own = [word for word in (*impairment.WORDS, "up", "down", "half_open") if word in fault]
        own += [f"toxic {number}" for number in range(len(_toxics(fault)))]
        keys += [(at, word) for word in own] if len(own) > 1 else []
    return keys


def _without_words(case: Case, gone: Collection[Part]) -> Case:
    found = case.documents()
    for phase, position, fault in found.faults():
        at = (phase["name"], position)
        toxics = _toxics(fault)
        left = [one for number, one in enumerate(toxics) if (at, f"toxic {number}") not in gone]
        for word in [word for word in fault if (at, word) in gone]:
            del fault[word]
        if len(left) < len(toxics):
            del fault["toxic"]
            fault.update({"toxic": left} if left else {})
    return found.case()


def _toxics(fault: Document) -> list[str]:
    said: str | list[str] = fault.get("toxic", [])
    return [said] if isinstance(said, str) else said


def _fault_lengths(case: Case) -> Sequence[Number[Case]]:
    found: list[Number[Case]] = []
    for phase, position, fault in case.documents().faults():
        until_end_s = phase.get("duration_s", 0) - fault.get("at_s", 0)
        lasts_s = float(fault.get("for_s", until_end_s))
        if lasts_s > SECONDS_LEAST:
            found.append(
                Number(
                    name=f"{fault['name']}: for_s",
                    value=lasts_s,
                    goal=SECONDS_LEAST,
                    put=partial(with_word, (phase["name"], position), "for_s", plain),
                )
            )
    return found


# Drops whose parts are tables of a document: those tables, in the order of the parts.
TABLES: dict[str, Callable[[Documents], list[Document]]] = {
    "phases": _phases,
    "faults": lambda found: [one for _, _, one in (*found.faults(), *found.churns())],
    "streams": lambda found: [stream for _, _, stream in found.streams()],
}
