"""What a run is asked for: by a scenario, or by Locust's own options and classes."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness.control import wanted
from harness.errors import BadFileError, UsageError
from harness.history.other_system import OtherSystem
from harness.load.locust import options
from harness.network import injectors
from harness.operations import Operation
from harness.scenario import files, shipped, timeline, workload
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.timeline import Timeline
from harness.systems import abilities, adapters
from harness.systems.adapter import NodeAdapter

KEPT = "scenario.toml"  # of a run folder: the scenario as it was
RUN = "HARNESS_RUN"  # the run folder that somebody has begun at the supervisor for it

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """A run before it starts: the streams of its phases, which are ours, and what the supervisor is
    told, which we pass on (its timeline of faults is not our business).
    """

    phases: tuple[Phase, ...]
    seed: int
    run: str | None  # None: it has not begun
    begin: Mapping[str, Any]  # parameters of Supervisor.begin
    left_out: tuple[str, ...] = ()  # see plan.Plan
    other_system: OtherSystem | None = None  # likewise

    @property
    def has_gets(self) -> bool:
        """Whether values are read, which somebody must have put."""
        streams = (stream for phase in self.phases for stream in phase.streams)
        return any(stream.operation is Operation.DHT_GET for stream in streams)

    def facts(self, workers: list[str], late_ns: int) -> dict[str, Any]:
        """What the run's metadata say of the generator: enough to replay its schedule."""
        other = {} if self.other_system is None else {"other_system": self.other_system.as_json()}
        return {
            "late_ns": late_ns,
            "generator": f"locust {version('locust')}",
            "workers": len(workers),
            "shares": len(workers),
            "pids": _pids(),
            "left_out": list(self.left_out),
            "streams": [said for phase in self.phases for said in phase.streams_as_json()],
            **other,
        }


def made(
    given: Any,
    user_classes: list[Any],
    status: Mapping[str, Any],
    backends: Callable[[], Mapping[str, str]],
) -> RunRequest:
    """The request of the run that was begun with a workload of its own, else of the scenario that
    the options name, else of these options and classes.

    `status` is the cluster's; `backends` asks it what serves which impairment. Raises UsageError,
    BadFileError, and for a scenario that this cluster cannot play NameTakenError, UnavailableError.
    """
    if (handed := _handed()) is not None:
        return handed
    if given.scenario:
        return _of_scenario(given, status, backends)
    return _plain(given, user_classes, adapters.named(status["adapter"]))


def _handed() -> RunRequest | None:
    """The request of a run that was begun with a workload of its own, as a replay is; None where
    none was.
    """
    run = os.environ.get(RUN)
    file = Path(run or "") / workload.FILE
    if run is None or not file.is_file():
        return None
    load = workload.read(file)
    return RunRequest(
        phases=load.phases,
        seed=load.seed,
        run=run,
        begin={},
        left_out=load.left_out,
        other_system=load.other_system,
    )


def _of_scenario(
    given: Any, status: Mapping[str, Any], backends: Callable[[], Mapping[str, str]]
) -> RunRequest:
    path, run = shipped.find(given.scenario, "scenarios"), os.environ.get(RUN)
    if files.read_suite(path) is not None:
        raise UsageError(
            f"{given.scenario} is a suite, whose scenarios have clusters of their own: "
            f"`harness run {given.scenario}` plays it"
        )
    # Of a run that has begun, who began it has put the cluster's system under test.
    system = given.system or None if run is None else status["adapter"]
    scenario = abilities.fitted(files.read_scenario(path, system), system)
    begin: dict[str, Any] = {}
    if run is not None:
        _require_as_begun(path, Path(run))
    else:
        played = _playable(path, scenario, status, backends)
        budget = None if scenario.budget is None else str(scenario.budget.resolve())
        texts = {KEPT: path.read_text()}
        begin = _begin(given, scenario.name, played, budget, texts, scenario.checks)
    phases = tuple(replace(phase, faults=(), profiles=()) for phase in scenario.phases)
    other = scenario.other_system
    return RunRequest(
        phases=phases,
        seed=scenario.seed,
        run=run,
        begin=begin,
        left_out=() if other is None else other.words,
        other_system=other,
    )


def _require_as_begun(path: Path, run: Path) -> None:
    """Raise BadFileError where a scenario is not the one any more that its run was begun with, by
    whose timeline faults are played and which the run folder keeps.
    """
    kept = run / KEPT
    if kept.is_file() and path.read_text() != kept.read_text():
        raise BadFileError(
            f"{path}: it was changed while the run began: expected what {kept} keeps; start the "
            "run again"
        )


def _playable(
    path: Path,
    scenario: Scenario,
    status: Mapping[str, Any],
    backends: Callable[[], Mapping[str, str]],
) -> Timeline:
    """The timeline of a scenario that the cluster can play."""
    from harness.checks import rows, selection  # late: a sixth of a second, and `harness run` asked

    abilities.require(scenario)
    selection.require(scenario.checks)
    if scenario.budget is not None:
        own = abilities.own_metrics_of(scenario)
        rows.validate_for(files.read_budget(scenario.budget).rows, own)
    file, system = files.topology_of(path), scenario.topology.adapter
    named = file.stem if file.parent.name == "topologies" else str(file)
    other = "" if system == "meshnode" else f" --system {system}"
    up = f"`harness down`, `harness up {named}{other}`, and start it again"
    if status["adapter"] != system:
        up += f"; or --system {status['adapter']}, which is asked for what it can do of it"
    wanted.require(status, scenario.topology, instead=up)
    played = timeline.compile(scenario)
    if played.faults:
        injectors.require_faults(played.faults, backends())
    return played


def _plain(given: Any, user_classes: list[Any], system: NodeAdapter) -> RunRequest:
    # By name: Locust keeps those of its command line in a set, whose order changes from run to run.
    ordered = sorted(user_classes, key=lambda each: each.__name__)
    asked = [stream for each in ordered if (stream := each.stream(given)) is not None]
    lacking = [stream.operation for stream in asked if stream.operation not in system.operations]
    for operation in lacking:
        if options.is_asked_for(given, operation):
            raise UsageError(
                f"{system.name} has no {operation.word}; it can do "
                f"{', '.join(sorted(each.word for each in system.operations))}"
            )
    if lacking:
        words = ", ".join(operation.word for operation in lacking)
        log.info("left out, for %s has none: %s", system.name, words)
    streams = tuple(stream for stream in asked if stream.operation not in lacking)
    if not streams:
        raise UsageError(
            "every chosen stream has rate 0, or is none of this system's: nothing to send"
        )
    phases = (Phase(name="load", duration_s=None, streams=streams),)
    seed = options.seed(given)
    played = Timeline(seed=seed, phases=timeline.plan(phases))
    budget = options.budget(given, system.budget)
    if budget is not None:
        from harness.checks import rows  # late: a sixth of a second, and not each run has a budget

        mine = [each.word for each in system.operations if each.is_own]
        rows.validate(files.read_budget(Path(budget)).rows, mine)
    known = {*Operation, *(each for each in system.operations if each.is_own)}
    picked = {stream.operation for stream in asked}  # also what this system has not
    return RunRequest(
        phases=phases,
        seed=seed,
        run=None,
        begin=_begin(given, "load", played, budget, {}),
        left_out=tuple(each.word for each in sorted(known) if each not in picked),
    )


def _begin(
    given: Any,
    name: str,
    played: Timeline,
    budget: str | None,
    texts: Mapping[str, str],
    checks: tuple[str, ...] = (),
) -> dict[str, Any]:
    if not given.runs.strip():  # it would be the folder that Locust was started in
        raise UsageError("runs: expected a folder, found none")
    return {
        "scenario": name,
        "timeline": played.as_json(),
        "budget": budget,
        "runs": str(Path(given.runs).resolve()),
        "files": dict(texts),
        "facts": {"checks": checks},
    }


def _pids() -> list[int]:
    """The pids of this process and of the workers that it forked: their CPU is the generator's, and
    not other processes'.
    """
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [os.getpid(), *map(int, file.read().split())]
    except OSError:  # a kernel without that file: the workers count as other processes
        return [os.getpid()]
