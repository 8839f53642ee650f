"""A recorded case is the case that a run was: the scenario, topology and budget that its folder
keeps, and the faults that somebody set by hand meanwhile.

Of a session of Locust, which no scenario file was played in, its phases, streams and faults are
those that were played.
"""

from __future__ import annotations

import copy
import json
import math
import tempfile
from collections.abc import Collection
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from harness.errors import BadFileError, UsageError
from harness.experiments.case import FILE, Case, Document, Documents
from harness.experiments.original import Original
from harness.faults import spec
from harness.faults.fault import Fault
from harness.history.files import Files
from harness.scenario import files, timeline, workload
from harness.scenario.stream import Stream
from harness.scenario.tables import load

SHORTEST_S = 0.01  # of what a fault was there in a phase, to be a fault of that phase
EARLY_S = 0.1  # before its planned end, from which on a fault was taken back by hand


def case_of(of: Original, findings: Collection[str]) -> Case:
    """Return the case that a run was, with no rows of its budget but those of `findings`.

    Faults without a name get the one that they had in the run: they keep it whatever is left out.
    Raises BadFileError for files that are not those of the run, UsageError for a fault that was set
    by hand and that a scenario cannot say.
    """
    built = _json(of.folder / "topology.json")
    found = Documents(
        scenario={**_scenario(of), "name": of.facts["name"], "system": built["adapter"]},
        topology=_topology(of.folder, built),
        budget=_budget(of.folder, of.facts["name"], findings),
    )
    _require_scenario(of, found)
    for phase, position, fault in found.faults():
        fault.setdefault("name", f"{phase['name']}-{position + 1}")
    for phase, position, churn in found.churns():
        churn.setdefault("name", f"{phase['name']}-churn-{position + 1}")
    _add_live(of, found)
    return found.case()


def _require_scenario(of: Original, found: Documents) -> None:
    """Raise BadFileError where the documents are none of a scenario."""
    with tempfile.TemporaryDirectory() as scratch:
        for name, text in found.written(of.scenario.name).items():
            (Path(scratch) / name).write_text(text)
        try:
            files.read_scenario(Path(scratch) / f"{of.scenario.name}{FILE}")
        except BadFileError as error:
            said = str(error).replace(f"{scratch}/", "")
            raise BadFileError(f"{of.folder}: its scenario cannot be read: {said}") from None


def _scenario(of: Original) -> Document:
    """The scenario's file without what it names; of a run that sent other load, what it sent."""
    file = of.folder / "scenario.toml"
    manifest = Files(of.folder, has_manifest=of.facts.get("manifest", False))
    if wrong := manifest.open(file.name).wrong:
        raise BadFileError(f"{of.folder}: {wrong}: nobody can tell what was asked for")
    if file.is_file() and not (of.folder / workload.FILE).is_file():
        return {key: one for key, one in load(file).items() if key not in ("topology", "budget")}
    checks = {"checks": list(of.scenario.checks)} if of.scenario.checks else {}
    kinds = {phase.name: phase.kind for phase in of.timeline.phases}
    phases = []
    for phase in of.scenario.phases:
        assert phase.duration_s is not None  # as it was played
        said: Document = {"name": phase.name, "duration_s": round(phase.duration_s, 3)}
        said |= {"kind": str(kind)} if (kind := kinds.get(phase.name)) is not None else {}
        said |= {"iperf3": list(phase.iperf3)} if phase.iperf3 is not None else {}
        said |= {"stream": [*map(_stream, phase.streams)]} if phase.streams else {}
        phases.append(said)
    return {"seed": of.scenario.seed, **checks, "phase": phases}


def _stream(stream: Stream) -> Document:
    """A stream as a file says it."""
    rate: Any = stream.rate_per_s
    if stream.profile is not None:
        rate = [list(point) for point in stream.profile.points]
    said = {
        "operation": stream.operation.word,
        "rate_per_s": rate,
        "payload_bytes": stream.payload_bytes,
        "target": stream.target,
        "sources": list(stream.sources) or None,
        "arrivals": stream.arrivals.value,
        "timeout_ms": stream.timeout_ms,
        "count": stream.count,
        "after_s": stream.after_s or None,
        "keys": stream.keys,
    }
    return {key: value for key, value in said.items() if value is not None}


def _add_live(of: Original, found: Documents) -> None:
    """Add what was done by hand: faults that the scenario does not name, where and while they were,
    one that was there in several phases in each of them; and of those that it names the ends that
    came earlier. Those that a row is about keep their names. Raises UsageError.
    """
    planned = {fault["name"]: (phase, fault) for phase, _, fault in found.faults()}
    churns = tuple(f"{churn['name']} " for _, _, churn in found.churns())  # then the node
    bounds = {phase.name: (phase.begin_s, phase.end_s or 0.0) for phase in of.timeline.phases}
    rows = [] if found.budget is None else found.budget["row"]
    under, seen = {row.get("under") for row in rows}, set[str]()
    names = (name for number in count(1) if (name := f"by-hand-{number}") not in planned)
    for fault, set_s, until_s in timeline.stands(of.timeline.changes):
        clear_s = math.inf if until_s is None else until_s
        phase, said = planned.get(fault.name, ({}, {}))
        if (
            said
            and _alike(_resolved(of, said), fault)
            and (fault.name not in seen or "flap_s" in said)
        ):
            seen.add(fault.name)
            _end_early(said, fault, clear_s - set_s, bounds.get(phase["name"], (0.0, 0.0)))
            continue
        if churns and fault.name.startswith(churns):
            continue
        table = {**_table(of, fault), "name": fault.name}
        if fault.name in planned or fault.name not in under:
            table["name"] = next(names)
        for phase in found.phases:
            begin_s, end_s = bounds.get(phase["name"], (0.0, 0.0))
            at_s, gone_s = max(set_s, begin_s), min(clear_s, end_s)
            if fault.is_moment:
                gone_s = end_s if begin_s <= set_s < end_s else at_s
            if gone_s - at_s < SHORTEST_S:
                continue
            piece = {**table, "at_s": round(at_s - begin_s, 3)}
            if gone_s < end_s:
                piece["for_s"] = round(gone_s - at_s, 3)
            phase.setdefault("fault", []).append(piece)


def _end_early(said: Document, fault: Fault, lasted_s: float, bounds: tuple[float, float]) -> None:
    """Make a planned fault as long as it was, where somebody took it back before its end."""
    begin_s, end_s = bounds
    wanted_s = float(said.get("for_s", end_s - begin_s - float(said.get("at_s", 0))))
    if not fault.is_moment and "flap_s" not in said and lasted_s < wanted_s - EARLY_S:
        said["for_s"] = round(max(lasted_s, SHORTEST_S), 3)


def _table(of: Original, fault: Fault) -> Document:
    """The words of a fault as a table, which is on the same nodes and paths. Raises UsageError."""
    try:
        table = spec.table_of(fault.words)
        again = _resolved(of, {**table, "name": fault.name})
    except BadFileError as error:
        raise _not_sayable(of, fault, str(error)) from None
    if not _alike(again, fault):
        raise _not_sayable(of, fault, "its words would be other nodes or paths")
    return table


def _resolved(of: Original, table: Document) -> Fault:
    return spec.parse(table).resolve(of.scenario.topology.nodes, of.scenario.seed)


def _alike(one: Fault, other: Fault) -> bool:
    """Whether two faults are the same, whatever their words."""
    return replace(one, words=other.words).as_json() == other.as_json()


def _not_sayable(of: Original, fault: Fault, why: str) -> UsageError:
    return UsageError(
        f"{of.source}: fault {fault.name!r}, which no scenario file of the run has, cannot be made "
        f"one of a scenario ({why}): expected faults that a scenario can say"
    )


def _topology(run: Path, built: Document) -> Document:
    """The file that the run's topology was made from, without the system: the scenario names it.

    A folder of an earlier version may lack it; then it is the shipped one of that name.
    """
    file = run / "topology.toml"
    scenario = run / "scenario.toml"
    if not file.is_file() and not scenario.is_file():
        raise UsageError(
            f"{run}: its topology is that of no file, as of a fork with other nodes: expected a "
            "run of a topology's file"
        )
    if not file.is_file():
        file = files.topology_of(scenario)
    values = load(file)
    made = replace(files.topology_from(values, str(file), built["name"]), adapter=built["adapter"])
    if json.loads(json.dumps(made.as_json())) != built:
        raise BadFileError(f"{file}: expected the topology of topology.json, found another one")
    return {"name": built["name"]} | {key: one for key, one in values.items() if key != "adapter"}


def _budget(run: Path, scenario: str, findings: Collection[str]) -> Document | None:
    file = run / "budget.toml"
    if not file.is_file():
        return None
    values = dict(load(file))
    files.budget_from(copy.deepcopy(values), str(file), "budget")
    rows: Any = values["row"]
    values["row"] = [
        row for row in rows if row["name"] in findings and row.get("scenario", scenario) == scenario
    ]
    return values if values["row"] else None


def _json(file: Path) -> Document:
    try:
        found: Document = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    return found
