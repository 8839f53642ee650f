"""An original is a run that is to be played again: what its folder says was played, as executed.

Its phases are those that the load had. Each change of a fault is at the moment at which it began to
be made, on the nodes and paths that it was on, whoever made it: a timeline, or somebody by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import BadFileError, HarnessError
from harness.experiments.executed import changes
from harness.faults.fault import Fault
from harness.history import events as event_lines
from harness.history import metadata, phases, shape
from harness.history.events import Event, FaultChanged, NodeEnded, NodeStarted
from harness.history.files import Files
from harness.history.history import PhaseWindow
from harness.history.reader import NOT_RUNNING, Folder
from harness.profiles.spec import ProfileSpec
from harness.scenario import workload
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.stream import Stream
from harness.scenario.timeline import PlannedChange, PlannedPhase, Timeline
from harness.scenario.workload import Workload
from harness.topology.topology import Topology

SUITE = "suite.json"
WORKERS_MOST = 1024
# What making a value of a file's text raises where the text is no such value.
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError)
Made = TypeVar("Made")
# What a replay writes itself, and so does not take over from its original.
OWN = {"topology.json", "system.toml", "timeline.json", "budget.toml", workload.FILE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """A run as it was played.

    `source` is where a person finds it: its folder, or the bundle that this was unpacked from.
    `scenario` has its topology, streams, lengths, budget and seed, and `timeline` its phases and
    faults as executed. `files` are the other inputs that its folder has, by name. `remarks` say
    what happened in it that is not played again.
    """

    folder: Path
    source: Path
    facts: Mapping[str, Any]
    scenario: Scenario
    timeline: Timeline
    left_out: tuple[str, ...]
    files: Mapping[str, str]
    happened: tuple[Event, ...]
    remarks: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        """The runtime that it ran on."""
        return str(self.facts["runtime"]["name"])

    @property
    def workers(self) -> int:
        """How many load workers it had; 1 where an older folder does not say it."""
        return int(self.facts["load"].get("shares", 0)) or 1

    @property
    def workload(self) -> Workload:
        """What its load generator sent."""
        return Workload(
            seed=self.scenario.seed,
            phases=self.scenario.phases,
            left_out=self.left_out,
            other_system=self.scenario.other_system,
        )


def find(path: Path) -> Path:
    """Return the run folder that `path` means: itself, or ``latest`` in it.

    Raises BadFileError; of a suite's folder with the parts of it that can be replayed.
    """
    for candidate in (path, path / "latest"):
        if (candidate / SUITE).is_file():
            raise BadFileError(
                f"{path} is a suite's; expected one run: {', '.join(_parts(candidate))}"
            )
    return metadata.find(path)


def _parts(folder: Path) -> list[str]:
    try:
        parts = json.loads((folder / SUITE).read_text())["parts"].values()
        return [str(folder / part) for part in parts] or ["it has none"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFileError(f"{folder / SUITE}: cannot be read: {error}") from None


def read(folder: Path) -> Original:
    """Read what was played from a run folder.

    Raises BadFileError where it is none, is of another version, or is damaged in what a replay
    needs: the rest of it is not looked at.
    """
    facts = metadata.read(folder)
    files = Files(folder, has_manifest=facts.get("manifest", False))
    if files.problem:
        raise BadFileError(
            f"{folder}: {files.problem}: the run was cut short, or its folder was; nobody can tell "
            "what was played"
        )
    _need(files, "metadata.json")
    planned = _made(files, "timeline.json", Timeline.from_json, _json(files, "timeline.json"))
    topology = _made(files, "topology.json", Topology.from_json, _json(files, "topology.json"))
    happened = tuple(_lines(files, "events.jsonl", event_lines.read))
    wanted = Folder(files, facts).plan(happened)
    if wanted is None:
        raise BadFileError(f"{folder}: it does not say what was planned: of an older version")
    windows = [one for one in phases.windows(happened, wanted) if one.end_ns > one.begin_ns]
    if not windows or not {one.name for one in windows} <= {one.name for one in planned.phases}:
        raise BadFileError(f"{folder}: no phase of it was played, or another than was planned")
    budget = folder / "budget.toml" if files.open("budget.toml").exists else None
    if budget is not None or "budget.toml" in facts.get("inputs", ()):
        _need(files, "budget.toml")
    at = (happened, _kept(files), planned, wanted.t0_ns, _line_numbers(files, "events.jsonl"))
    made = _made(files, "events.jsonl", changes, *at)
    _require_possible(files, facts, topology, made)
    return Original(
        folder=folder,
        source=folder,
        facts=facts,
        scenario=Scenario(
            name=facts["name"],
            topology=topology,
            phases=_load(windows, planned.phases, facts["load"].get("streams", ())),
            budget=budget,
            seed=planned.seed,
            checks=tuple(facts.get("checks", ())),
            other_system=wanted.other_system,
        ),
        timeline=Timeline(
            seed=planned.seed,
            phases=_phases(windows, planned.phases, wanted.t0_ns),
            changes=made,
        ),
        left_out=tuple(facts["load"].get("left_out", ())),
        files=_others(files, facts),
        happened=happened,
        remarks=tuple(_remarks(happened, wanted.t0_ns, facts["nodes"])),
    )


def _phases(
    windows: Sequence[PhaseWindow], planned: Sequence[PlannedPhase], t0_ns: int
) -> tuple[PlannedPhase, ...]:
    known = {phase.name: phase for phase in planned}
    return tuple(
        replace(
            known[one.name],
            begin_s=(one.begin_ns - t0_ns) / 1e9,
            end_s=(one.end_ns - t0_ns) / 1e9,
        )
        for one in windows
    )


def _load(
    windows: Sequence[PhaseWindow],
    planned: Sequence[PlannedPhase],
    streams: Iterable[Mapping[str, Any]],
) -> tuple[Phase, ...]:
    """Return the phases with their streams, as the load generator had them."""
    of_phase: dict[str, list[Stream]] = {}
    try:
        for said in streams:
            of_phase.setdefault(said["phase"], []).append(Stream.from_json(said))
    except (KeyError, TypeError, ValueError) as error:
        raise BadFileError(
            f"metadata.json: load.streams: {type(error).__name__}: {error}: it says too little to "
            "send the same load again, as folders of older versions do"
        ) from None
    known = {phase.name: phase for phase in planned}
    return tuple(
        Phase(
            name=one.name,
            duration_s=(one.end_ns - one.begin_ns) / 1e9,
            streams=tuple(of_phase.get(one.name, ())),
            iperf3=known[one.name].iperf3,
            kind=known[one.name].kind,
            until=known[one.name].until,
            profiles=_still(known[one.name].profiles, (one.end_ns - one.begin_ns) / 1e9),
        )
        for one in windows
    )


def _still(profiles: Sequence[ProfileSpec], seconds: float) -> tuple[ProfileSpec, ...]:
    """Return the profiles that fit into a phase as long as it was played."""
    return tuple(one for one in profiles if one.fits(seconds))


def _made(files: Files, name: str, make: Callable[..., Made], *said: Any) -> Made:
    """Make a value of what a file says. Raises BadFileError where it says none."""
    try:
        made = make(*said)
        wrong = shape.misfit(made) if is_dataclass(made) else None
    except HarnessError as error:
        wrong = str(error)
    except UNREADABLE as error:
        wrong = f"{type(error).__name__}: {error}"
    if wrong is not None:
        raise BadFileError(f"{files.folder / name}: {wrong}")
    return made


def _kept(files: Files) -> dict[int, Fault]:
    """Return the faults of faults.jsonl by their numbers; two lines that say the same fault, as of
    one that came and went and found other connections, are one.
    """
    if not files.open("faults.jsonl").exists and not files.open("faults.jsonl").wrong:
        return {}
    alike: dict[str, Fault] = {}
    found: dict[int, Fault] = {}
    for said in _lines(files, "faults.jsonl", dict):
        number = said.pop("number", None)
        if not shape.fits(number, int):
            raise BadFileError(f"{files.folder / 'faults.jsonl'}: number: found {number!r}")
        text = json.dumps(said, sort_keys=True)
        if text not in alike:
            alike[text] = _made(files, "faults.jsonl", Fault.from_json, said)
        found[number] = alike[text]
    return found


def _require_possible(
    files: Files, facts: Mapping[str, Any], topology: Topology, made: Iterable[PlannedChange]
) -> None:
    """Raise BadFileError for more load workers than any run has, and for a fault of nodes that the
    topology does not have.
    """
    if not 0 <= (shares := facts["load"].get("shares", 0)) <= WORKERS_MOST:
        raise BadFileError(
            f"{files.folder}: metadata.json: load.shares: expected at most {WORKERS_MOST:,} load "
            f"workers, found {shares:,}"
        )
    names = {node.name for node in topology.nodes}
    for fault in {id(one.fault): one.fault for one in made}.values():
        if fault.among(names).as_json() != fault.as_json():
            raise BadFileError(
                f"{files.folder}: fault {fault.name!r} is on nodes that {topology.name} does not "
                "have"
            )


def _others(files: Files, facts: Mapping[str, Any]) -> dict[str, str]:
    """The inputs that a replay takes over as they are, those of them that are whole."""
    found = {}
    for name in facts.get("inputs", ()):
        content = files.open(name)
        if name not in OWN and content.exists and not content.wrong:
            found[name] = content.text.decode(errors="replace")
    return found


def _remarks(
    happened: Sequence[Event], t0_ns: int, nodes: Iterable[Mapping[str, Any]]
) -> Iterable[str]:
    """Say what happened to nodes that no fault did: it is not played again. `nodes`: of the
    metadata, in the condition in which the run found them.
    """
    made = [event for event in happened if isinstance(event, FaultChanged) and event.nodes]
    before = {node for one in made if one.begun_ns <= t0_ns for node in one.nodes}
    for one in nodes:
        if (found := one.get("condition")) in NOT_RUNNING and one["name"] not in before:
            yield f"{one['name']} was {found} when the run began, by no fault of it: it runs again"
    for event in happened:
        if isinstance(event, NodeEnded):
            yield _remark(event.node, "ended by itself", event.at_ns - t0_ns)
        elif isinstance(event, NodeStarted) and not any(
            event.node in one.nodes and one.begun_ns <= event.at_ns <= one.at_ns for one in made
        ):
            what = "which had ended by itself, was started by hand"
            yield _remark(f"{event.node},", what, event.at_ns - t0_ns)


def _remark(node: str, what: str, at_ns: int) -> str:
    return f"{node} {what} at {at_ns / 1e9:.1f} s: that is not played again"


def _need(files: Files, name: str) -> bytes:
    content = files.open(name)
    if content.wrong or not content.exists:
        raise BadFileError(
            f"{files.folder}: {content.wrong or f'{name} is missing'}: without it the run cannot "
            "be played again"
        )
    return content.text


def _json(files: Files, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_need(files, name).decode())
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"{files.folder / name}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise BadFileError(f"{files.folder / name}: expected a table")
    return found


def _line_numbers(files: Files, name: str) -> list[int]:
    """The numbers of the lines of a file that are not empty: `_lines` makes something of each."""
    lines = files.open(name).text.split(b"\n")
    return [number for number, line in enumerate(lines, 1) if line]


def _lines(files: Files, name: str, make: Any) -> list[Any]:
    _need(files, name)
    found, breaks = files.lines(name, make)
    if breaks:
        raise BadFileError(
            f"{files.folder}: {breaks[0].why}: without it the run cannot be played again"
        )
    return found
