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
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from harness.errors import BadFileError, UsageError
from harness.experiments.case import FILE, Case, Document, Documents
from harness.experiments.original import Original
from harness.faults import spec
from harness.faults.fault import Fault, State
from harness.history.files import Files
from harness.history.other_system import OtherSystem
from harness.scenario import files, timeline, workload
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.scenario.tables import load
from harness.scenario.timeline import PlannedChange, PlannedPhase, changes_of

SHORTEST_S = 0.01  # of what a fault was there in a phase, to be a fault of that phase
EARLY_S = 0.1  # before its planned end, from which on a fault was taken back by hand
LATE_S = 0.25  # after a phase began, until when a fault went with the phase before it


def case_of(of: Original, findings: Collection[str]) -> Case:
    """Return the case that a run was, with no rows of its budget but those of `findings`.

    Faults without a name get the one that they had in the run: they keep it whatever is left out.
    Raises BadFileError for files that are not those of the run, UsageError for a fault that was set
    by hand and that a scenario cannot say.
    """
    built = _json(of.folder / "topology.json")
    found = Documents(
        scenario={**_scenario(of), "name": of.facts["name"], "system": built["adapter"]},
        topology=_topology(of.folder, built, of.scenario.other_system),
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
        return _asked(_unprofiled(load(file)), of.scenario.other_system)
    checks = {"checks": list(of.scenario.checks)} if of.scenario.checks else {}
    planned = {phase.name: phase for phase in of.timeline.phases}
    phases = []
    for phase in of.scenario.phases:
        said: Document = {"name": phase.name, **_length(phase, planned[phase.name])}
        said |= {} if phase.kind is None else {"kind": str(phase.kind)}
        said |= {"iperf3": list(phase.iperf3)} if phase.iperf3 is not None else {}
        said |= {"stream": [*map(_stream, phase.streams)]} if phase.streams else {}
        phases.append(said)
    return {"seed": of.scenario.seed, **checks, "phase": phases}


def _unprofiled(said: Document) -> Document:
    """The scenario without what it names, and without profiles: a smaller case needs none, and
    they perturb it.
    """
    kept = {key: one for key, one in said.items() if key not in ("topology", "budget")}
    phases = kept.get("phase")
    for phase in phases if isinstance(phases, list) else ():  # what is none is refused later
        if isinstance(phase, dict):
            phase.pop("profile", None)
    return kept


def _asked(said: Document, other: OtherSystem | None) -> Document:
    """The scenario without what was left out of it for another system than its files name."""
    phases = said.get("phase") if other is not None else None
    for phase in phases if isinstance(phases, list) else ():
        if other is None or not isinstance(phase, dict):
            continue
        if isinstance(streams := phase.get("stream"), list):
            phase["stream"] = [one for one in streams if one.get("operation") not in other.words]
        if phase.get("name") in other.until:
            phase["duration_s"] = phase.pop("at_most_s", None)
            del phase["until"]
    return said


def _length(phase: Phase, planned: PlannedPhase) -> Document:
    """How long a phase was; of one that a condition was to end, that, and in which time."""
    assert phase.duration_s is not None  # as it was played
    if planned.until is None:
        return {"duration_s": round(phase.duration_s, 3)}
    return {"until": planned.until, "at_most_s": planned.at_most_s or round(phase.duration_s, 3)}


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


@dataclass(slots=True, kw_only=True)
class _Planned:
    """A fault that the scenario names: its table, what is planned of it in the phase as that was
    played, and each time that it was there.
    """

    said: Document
    changes: Sequence[PlannedChange]
    end_s: float  # of its phase
    stood: list[tuple[float, float]] = field(default_factory=list)

    def is_this(self, fault: Fault, set_s: float) -> bool:
        """Whether a fault of its name that was set then is this one, and none that was set by
        hand.
        """
        again = "flap_s" in self.said or not self.stood
        is_due = self.changes[0].at_s <= set_s + EARLY_S
        return is_due and again and _alike(self.changes[0].fault, fault)

    def end_early(self) -> None:
        """Make it as long as it was, where somebody took it back before its end. The end of the
        run, which ends its phase, takes all back.
        """
        if not self.stood:
            return
        set_s, clear_s = self.stood[0][0], self.stood[-1][1]
        wanted_s = self.changes[-1].at_s - self.changes[0].at_s
        if clear_s < self.end_s and clear_s - set_s < wanted_s - EARLY_S:
            self.said["for_s"] = round(max(clear_s - set_s, SHORTEST_S), 3)


def _planned(of: Original, found: Documents) -> dict[str, list[_Planned]]:
    """The faults that the scenario names in the phases that were played, by their names."""
    phases = {phase.name: phase for phase in of.timeline.phases}
    planned: dict[str, list[_Planned]] = {}
    for phase, _, said in found.faults():
        named = planned.setdefault(said["name"], [])
        if (played := phases.get(phase["name"])) is None:
            continue
        changes = [*changes_of(spec.parse(said), _resolved(of, said), played.begin_s, played.end_s)]
        if changes:
            named.append(_Planned(said=said, changes=changes, end_s=played.end_s or 0.0))
    return planned


def _add_live(of: Original, found: Documents) -> None:
    """Add what was done by hand: faults that the scenario does not name, where and while they were,
    one that was there in several phases in each of them; and of those that it names the ends that
    came earlier. Those that a row is about keep their names. Raises UsageError.
    """
    planned = _planned(of, found)
    churns = tuple(f"{churn['name']} " for _, _, churn in found.churns())  # then the node
    bounds = {phase.name: (phase.begin_s, phase.end_s or 0.0) for phase in of.timeline.phases}
    rows = [] if found.budget is None else found.budget["row"]
    under = {row.get("under") for row in rows}
    names = (name for number in count(1) if (name := f"by-hand-{number}") not in planned)
    for fault, set_s, until_s in timeline.stands(of.timeline.changes):
        clear_s = math.inf if until_s is None else until_s
        mine = [one for one in planned.get(fault.name, ()) if one.is_this(fault, set_s)]
        if mine:
            mine[-1].stood.append((set_s, clear_s))
            continue
        if churns and fault.name.startswith(churns):
            continue
        table = {**_table(of, fault), "name": fault.name}
        if fault.name in planned or fault.name not in under:
            table["name"] = next(names)
        for phase in found.phases:
            piece = _piece(fault, set_s, clear_s, *bounds.get(phase["name"], (0.0, 0.0)))
            if piece is not None:
                phase.setdefault("fault", []).append({**table, **piece})
    for one in (one for some in planned.values() for one in some):
        one.end_early()


def _piece(
    fault: Fault, set_s: float, clear_s: float, begin_s: float, end_s: float
) -> Document | None:
    """Say when a fault was there in a phase, from its beginning on; None: it was not."""
    at_s, gone_s = max(set_s, begin_s), min(clear_s, end_s)
    if fault.is_moment:
        gone_s = end_s if begin_s <= set_s < end_s else at_s
    if gone_s - at_s < SHORTEST_S or (set_s < begin_s and clear_s < begin_s + LATE_S):
        return None
    from_s, to_s = round(at_s - begin_s, 3), round(gone_s - begin_s, 3)
    is_over = to_s < round(end_s - begin_s, 3)
    return {"at_s": from_s} | ({"for_s": round(to_s - from_s, 3)} if is_over else {})


def _table(of: Original, fault: Fault) -> Document:
    """A fault as a table, which is on the same nodes and paths: by its words, or by its condition.
    Raises UsageError.
    """
    why = ""
    for said in (partial(spec.table_of, fault.words), partial(_condition, fault)):
        try:
            table = said()
            if _alike(_resolved(of, {**table, "name": fault.name}), fault):
                return table
            why = why or "its words would be other nodes or paths"
        except BadFileError as error:
            why = why or str(error)
    raise _not_sayable(of, fault, why)


def _condition(fault: Fault) -> Document:
    """The condition of a fault's nodes as a table; churn has words for all its nodes together."""
    program = {} if fault.program is None else fault.program.as_json()
    said = {"where": ", ".join(fault.nodes), "condition": fault.condition, **program}
    said |= {} if fault.state is State.KEEP else {"state": fault.state}
    return {key: str(one) for key, one in said.items() if one}


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


def _topology(run: Path, built: Document, other: OtherSystem | None) -> Document:
    """The file that the run's topology was made from, without the system, which the scenario names,
    and without the options that were left out for it.

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
    if other is not None:
        _leave_out(values, other)
    made = replace(files.topology_from(values, str(file), built["name"]), adapter=built["adapter"])
    if json.loads(json.dumps(made.as_json())) != built:
        raise BadFileError(f"{file}: expected the topology of topology.json, found another one")
    return {"name": built["name"]} | {key: one for key, one in values.items() if key != "adapter"}


def _leave_out(topology: Document, other: OtherSystem) -> None:
    """Leave options out of a topology's file; what is none is refused by whoever reads it."""
    group, nodes = topology.get("nodes"), topology.get("node")
    for table in [group, *(nodes if isinstance(nodes, list) else ())]:
        if isinstance(table, dict) and isinstance(options := table.get("options"), dict):
            kept = {name: one for name, one in options.items() if name not in other.options}
            table["options"] = kept


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
