"""Saturating a system: short runs at one rate after another on one cluster, or with one number of
nodes after another on a cluster each, until the highest that holds is known.

Its folder, ``runs/<scenario>-saturate/<time>/``, has `saturation.json` and `saturation.html` after
each try, and each try's scenario, budget and run folder.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checks import nodes as nodes_alive
from harness.checks.verdict import Answer, Finding, Verdict
from harness.control import state
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.errors import (
    HarnessError,
    InterruptedByUserError,
    NameTakenError,
    NodeStartError,
    PreflightError,
    UsageError,
)
from harness.experiments import beforehand
from harness.experiments import run as single_run
from harness.experiments.cluster import down, up
from harness.experiments.judge import Judged
from harness.experiments.saturation import (
    CURVE,
    NODES,
    PHASE,
    Saturation,
    Try,
    promise,
    rates_for,
    rows,
    search,
)
from harness.history.folder import new_folder, point_latest, translated
from harness.history.plan import PhaseKind
from harness.kernel.files import replace_text
from harness.operations import Operation
from harness.reports import saturation as page
from harness.scenario import files, own_operations, writer
from harness.scenario.budget import Row
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.stream import Stream
from harness.systems import adapters

VERSION = 1
FILE, PAGE = "saturation.json", "saturation.html"
WARM_S = 2.0  # of the same load before each try, unjudged
CAME_TRUE = "operations that came true: "  # and the word of the operation


class Saturating:
    """One search, from its scenario to its folder."""

    def __init__(
        self,
        scenario: Path,
        word: str,
        until: str,
        *,
        runs: Path,
        system: str | None,
        seconds: float,
        tries: int,
        repeats: int,
        nodes: bool = False,
    ) -> None:
        """Read and check everything. `nodes`: their number is searched, and not the rate. Raises
        UsageError, BadFileError.
        """
        if files.read_suite(scenario) is not None:
            raise UsageError(f"{scenario}: expected a scenario, found a suite")
        self.planned = files.read_scenario(scenario, system)
        systems = (self.planned.topology.adapter, *([system] if system else []))
        operation = own_operations.kind(word, "--stream", systems, UsageError)
        self.wanted = adapters.with_system(self.planned.topology, system)
        self.streams = _streams(self.planned, operation)
        self.promised = promise(until, operation)
        self.operation, self.scenario = operation, scenario
        self.runs, self.seconds, self.tries, self.repeats = runs, seconds, tries, repeats
        if tries < repeats:
            raise UsageError(
                f"--tries: expected at least the {repeats} of --repeats, found {tries}: what holds "
                "does so in that many"
            )
        for one in self.streams:
            if one.after_s >= seconds:
                raise UsageError(
                    f"--seconds: expected more than {one.after_s:g}, after which "
                    f"{one.operation.word} begins (after_s), found {seconds:g}"
                )
        self.topology = files.topology_of(scenario)
        self.searched = NODES if nodes else rates_for(self.promised, seconds)
        self.first = next(one for one in self.streams if one.operation == operation).rate_per_s
        if nodes:
            self.first = float(len(self.wanted.nodes))
            _with_nodes(self.topology, int(self.first))

    def play(self, settings: dict[str, Any], progress: Progress) -> tuple[Path, Saturation, bool]:
        """Search on the cluster that is up: the folder, what is known, and whether Ctrl-C ended
        it.
        """
        folder = new_folder(self.runs, f"{self.planned.name}-saturate"[:32])
        found = Saturation(repeats=self.repeats, searched=self.searched)

        def told(now: Saturation) -> None:
            nonlocal found
            found = now
            self.write(folder, found, is_interrupted=False)
            progress(now.sentence(), len(now.tries), self.tries)

        def attempt(value: float) -> Try:
            file = self._written(folder, len(found.tries) + 1, value)
            try:
                judged = single_run.run(file, runs=folder, progress=progress, **settings)
            except InterruptedByUserError:
                raise
            except HarnessError as error:
                too_many = self.searched is NODES and isinstance(
                    error, PreflightError | NodeStartError
                )
                if not too_many and not found.tries:
                    raise  # nothing is known, and its kind says whose fault it is
                why = f"the {'cluster did not start' if too_many else 'try broke'}: {error}"
                return Try(
                    at=value, answer=Answer.UNKNOWN, why=why, values={}, is_last=not too_many
                )
            one = _tried(value, self.promised, judged, folder)
            return replace(one, is_last=False) if self.searched is NODES else one

        try:
            search(
                attempt,
                self.first,
                tries=self.tries,
                repeats=self.repeats,
                searched=self.searched,
                told=told,
            )
            is_interrupted = False
        except (KeyboardInterrupt, InterruptedByUserError):
            is_interrupted = True
        finally:
            point_latest(self.runs, folder)
        self.write(folder, found, is_interrupted=is_interrupted)
        return folder, found, is_interrupted

    def write(self, folder: Path, found: Saturation, *, is_interrupted: bool) -> None:
        """Write what is known so far. Raises StorageError."""
        facts = self.facts(found, is_interrupted=is_interrupted)
        with translated(folder):
            replace_text(folder / FILE, json.dumps(facts, indent=1) + "\n")
            replace_text(folder / PAGE, page.render(facts))

    def facts(self, found: Saturation, *, is_interrupted: bool) -> dict[str, Any]:
        """Return what saturation.json holds."""
        return {
            "version": VERSION,
            "scenario": self.planned.name,
            "searched": self.searched.name,
            "stream": self.operation.word,
            "until": self.promised.name,
            "metric": self.promised.metric,
            "unit": self.promised.unit,
            "bound": self.promised.bound,
            "seconds": self.seconds,
            "repeats": self.repeats,
            "interrupted": is_interrupted,
            **found.as_json(),
        }

    def _written(self, folder: Path, number: int, value: float) -> Path:
        """Write the scenario and the budget of a try, and its topology where that is another."""
        name, streams, topology = f"try-{number}", list(self.streams), self.topology.resolve()
        if self.searched is not NODES:
            streams = [
                replace(one, rate_per_s=value, profile=None, count=None)
                if one.operation == self.operation
                else one
                for one in streams
            ]
        else:
            text = _with_nodes(self.topology, int(value))
            topology = folder.resolve() / f"{name}.topology.toml"
            with translated(folder):
                topology.write_text(text)
        load = [_words(one) for one in streams]
        warm = {"name": "warm", "kind": PhaseKind.WARM_UP.value, "duration_s": WARM_S}
        document = {
            "name": name,
            "topology": str(topology),
            "system": self.wanted.adapter,
            "seed": self.planned.seed,
            "budget": f"{name}.budget.toml",
            "phase": [
                {**warm, "stream": load},
                {"name": PHASE, "duration_s": self.seconds, "stream": load},
            ],
        }
        budget = {"row": [_row(one) for one in rows(self.promised)]}
        with translated(folder):
            (folder / f"{name}.budget.toml").write_text(writer.text_of(budget))
            file = folder / f"{name}.toml"
            file.write_text(writer.text_of(document))
        return file


def saturate(
    scenario: Path,
    stream: str,
    until: str,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    runs: Path = Path("runs"),
    workers: int = 1,
    system: str | None = None,
    seconds: float = 8.0,
    tries: int = 14,
    repeats: int = 3,
    nodes: bool = False,
    progress: Progress = nobody,
) -> tuple[Path, dict[str, Any]]:
    """Search for the highest rate of a stream, or number of `nodes`, at which a promise holds;
    return the folder and what saturation.json holds.

    Raises UsageError, BadFileError, NameTakenError and StorageError before anything starts; Ctrl-C
    ends with what is known.
    """
    asked = Saturating(
        scenario,
        stream,
        until,
        runs=runs,
        system=system,
        seconds=seconds,
        tries=tries,
        repeats=repeats,
        nodes=nodes,
    )
    name = state.cluster_name(cluster)
    if nodes and state.is_alive(name):
        raise NameTakenError(
            f"--nodes starts clusters of its own, and {name!r} is up: `harness down` first, or "
            "choose another name (--cluster)"
        )
    beforehand.require([], cluster=cluster, runtime_name=runtime_name, runs=runs)
    settings = {"cluster": name, "workers": workers, "runtime_name": runtime_name}
    with Hold() as held:
        if not nodes and state.is_alive(name):
            single_run.same(name, asked.wanted, runtime_name)
        elif not nodes:  # else each run starts its own, and takes it down
            up(
                files.topology_of(scenario),
                cluster=name,
                runtime_name=runtime_name,
                system=asked.wanted.adapter,
                progress=progress,
                held=held,
            )
            held.callback(down, name)
        folder, found, is_interrupted = asked.play(settings, progress)
    return folder, asked.facts(found, is_interrupted=is_interrupted)


def _streams(planned: Scenario, operation: Operation) -> Sequence[Stream]:
    """Return the streams of the first phase that has one of this operation."""
    phase: Phase | None = next(
        (
            each
            for each in planned.phases
            if any(one.operation == operation for one in each.streams)
        ),
        None,
    )
    if phase is None:
        has = {one.operation.word for each in planned.phases for one in each.streams}
        raise UsageError(
            f"--stream: no phase of {planned.name} has {operation.word}; it has "
            f"{', '.join(sorted(has)) or 'no load'}"
        )
    if sum(one.operation == operation for one in phase.streams) > 1:
        raise UsageError(
            f"--stream: phase {phase.name} of {planned.name} has {operation.word} twice"
        )
    return phase.streams


def _with_nodes(topology: Path, count: int) -> str:
    """Write a topology file anew, with another number of nodes and a name that says so. Raises
    UsageError where the file does not say how many there are, or names one.
    """
    text = topology.read_text()
    was = tomllib.loads(text)
    name = f"{was.get('name', topology.stem)}-of-{count}"
    nodes = was.get("nodes")
    if isinstance(nodes, dict) and "count" in nodes and not {"node", "link"} & was.keys():
        text = re.sub(r"(?m)^count\s*=.*$", f"count = {count}", text, count=1)
        line = f"name = {json.dumps(name, ensure_ascii=False)}"
        if "name" in was:
            text = re.sub(r"(?m)^name\s*=.*$", lambda _: line, text, count=1)
        else:
            text = f"{line}\n{text}"
        with suppress(tomllib.TOMLDecodeError):
            if tomllib.loads(text) == {**was, "name": name, "nodes": {**nodes, "count": count}}:
                return text
    raise UsageError(
        f"--nodes: {topology}: expected a line `count = …` in [nodes], no [[node]] and no "
        "[[link]]; their number cannot be searched otherwise"
    )


def _tried(value: float, promised: Row, judged: Judged, folder: Path) -> Try:
    """Return what a run says of a value. It is the last one where a node ended by itself: the
    cluster is not the one any more that is searched.
    """
    asked = _asked(judged.verdict.findings, promised)
    answer = Verdict(findings=tuple(asked)).answer
    dead = [one for one in asked if one.name == nodes_alive.NAME and one.answer is Answer.FAIL]
    mine = [one for one in asked if one.name == promised.name]
    worst = next(one for one in (*dead, *mine, *asked) if one.answer is answer)
    values = {name: _value(judged.verdict.findings, f"{promised.metric} {name}") for name in CURVE}
    return Try(
        at=value,
        answer=answer,
        why=f"{worst.name}: {worst.measured}; {worst.sentence}",
        values={name: value for name, value in values.items() if value is not None},
        run=str(judged.run.relative_to(folder.resolve())),
        under=", ".join(sorted({one["words"] for one in judged.facts.get("by_hand", ())})),
        is_last=bool(dead),
    )


def _asked(findings: Sequence[Finding], promised: Row) -> list[Finding]:
    """Return what a try is judged by: the promise and what every run is held to, but not the curve,
    which promises nothing, nor how many of other operations failed, of which nobody asked.
    """
    mine = CAME_TRUE + promised.metric.partition(".")[0]
    return [
        one
        for one in findings
        if not (one.metric and one.bound is None)
        and (one.name == mine or not one.name.startswith(CAME_TRUE))
    ]


def _value(findings: Sequence[Finding], name: str) -> float | None:
    """Return what was measured, infinity where it never arrived; None where nothing was, or nothing
    of the system's.
    """
    found = next((one for one in findings if one.name == name), None)
    if found is None or found.answer is not Answer.MEASURED or found.measured == "–":
        return None
    return math.inf if found.value is None else found.value


def _words(stream: Stream) -> dict[str, object]:
    rate: object = stream.rate_per_s
    if stream.profile is not None:
        rate = [list(point) for point in stream.profile.points]
    return {
        "operation": stream.operation.word,
        "rate_per_s": rate,
        "payload_bytes": stream.payload_bytes,
        "target": stream.target,
        "sources": list(stream.sources) or None,
        "arrivals": stream.arrivals.value,
        "timeout_ms": stream.timeout_ms,
        "count": stream.count,
        "after_s": stream.after_s,
        "keys": stream.keys,
    }


def _row(row: Row) -> dict[str, object]:
    return {
        "name": row.name,
        "metric": row.metric,
        "statistic": row.statistic,
        "unit": row.unit,
        "bound": row.bound,
        "comparison": row.comparison,
        "phase": row.conditions.phase,
    }
