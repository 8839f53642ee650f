"""A replay plays a run again, as it was executed: the same topology, system, runtime and seed, the
same schedule of operations, each fault at its moment, judged by the same budget.

1. read the original (original.py); refuse what cannot be played before anything starts
2. play it as any run is played (run.py), into a run folder that says of which run it is a replay
3. compare the two (fidelity.py)

Each fork (fork.py) is played beside it, with one thing changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from harness.checks import rows as budget_rows
from harness.checks import selection
from harness.checks.verdict import worst
from harness.control import state
from harness.control.client import Client
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, HarnessError, UsageError
from harness.experiments import bundle, comparable, fidelity, foreign, fork, judge, original, run
from harness.experiments.comparable import Answered
from harness.experiments.judge import Judged
from harness.experiments.original import Original
from harness.experiments.run import Play
from harness.history import manifest
from harness.history.folder import translated
from harness.kernel.files import replace_text
from harness.runtimes import AUTO
from harness.scenario import files, workload
from harness.systems import abilities, adapters
from harness.topology.topology import Topology

VERSION = 1
BASE = "replay"  # what the run is called in which nothing is changed


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """A run and what was played of it: the replay first, then its forks, each by its words.

    `fidelity` is how near the replay came; None where only forks were played. `answers` is the
    verdict of the original; None: its folder does not tell. `as_kept`: as a bundle says it.
    """

    of: Mapping[str, Any]
    runs: Mapping[str, Judged]
    answers: Sequence[Answered] | None
    as_kept: bool = False
    fidelity: Mapping[str, Any] | None = None

    @property
    def exit_code(self) -> int:
        """The exit code of the worst verdict of the forks; without one, of the replay's."""
        forks = [judged for words, judged in self.runs.items() if words != BASE]
        verdicts = forks or list(self.runs.values())
        return worst([one.verdict.answer for one in verdicts]).exit_code

    def as_json(self) -> dict[str, Any]:
        """Return what `harness replay --json` prints (docs/interfaces.md)."""
        return {
            "version": VERSION,
            "of": dict(self.of),
            "runs": {words: judged.as_json() for words, judged in self.runs.items()},
            "fidelity": self.fidelity,
        }

    def side_by_side(self) -> tuple[list[str], list[list[Answered]]]:
        """Return what the original and each run are called, and each finding as all have it."""
        verdicts = [_answers(judged) for judged in self.runs.values()]
        if self.answers is None:
            return [*self.runs], fidelity.side_by_side(verdicts)
        first = "original (as kept)" if self.as_kept else "original"
        return [first, *self.runs], fidelity.side_by_side([self.answers, *verdicts])


def replay(
    source: Path,
    *,
    cluster: str | None = None,
    runtime_name: str = AUTO,
    system: str | None = None,
    runs: Path = Path("runs"),
    forks: Sequence[str] = (),
    base: bool = True,
    progress: Progress = nobody,
) -> Replayed:
    """Play a run again, judge it, and say how near it came.

    `source`: its folder, or the ``latest`` in a folder of runs, or a bundle. `runtime_name` auto:
    the original's. `system` says where the system under test is now. `forks` are changes, each of
    which is played by itself; `base`: whether the replay without a change is, too. Raises
    BadFileError, UsageError before anything starts where one of them cannot be played, and what a
    run raises.
    """
    with opened(source) as found:
        first = checked(found, system, runtime_name)
        played = {BASE: first} if base or not forks else {}
        played |= {words: checked(fork.made(found, words), system, runtime_name) for words in forks}
        runtime_name = first.runtime if runtime_name == AUTO else runtime_name
        _require_fit(cluster, runtime_name, [one.scenario.topology for one in played.values()])
        answers = cache(partial(_first_answers, first.folder))
        judged: dict[str, Judged] = {}
        nearness: dict[str, Any] | None = None
        with _telling(judged):
            for words, one in played.items():
                judged[words] = run.play(
                    made(one, None if words == BASE else words),
                    cluster=cluster,
                    runtime_name=runtime_name,
                    runs=runs,
                    workers=first.workers,
                    progress=_named(words, progress) if len(played) > 1 else progress,
                )
                if words == BASE:
                    nearness = compared(first, answers(), judged[BASE].run)
                    told = {**judged[BASE].facts, "fidelity": nearness}
                    judged[BASE] = replace(judged[BASE], facts=told)
                    judged[BASE].write()  # its report says how near it came
        return Replayed(
            of=identity(first),
            runs=judged,
            answers=answers(),
            as_kept=comparable.is_left_out(first.folder),
            fidelity=nearness,
        )


@contextmanager
def _telling(judged: Mapping[str, Judged]) -> Iterator[None]:
    """Have what ends this say which runs were played and judged before, which it does not undo."""
    try:
        yield
    except HarnessError as error:
        if not judged:
            raise
        said = ", ".join(f"{words} ({one.run})" for words, one in judged.items())
        raise type(error)(f"{error}; played and judged before: {said}") from error


@contextmanager
def opened(source: Path) -> Iterator[Original]:
    """Read an original from its folder, or from a bundle, which is unpacked as long as this lasts.

    Raises BadFileError.
    """
    if not source.is_file():
        yield original.read(original.find(source))
        return
    with bundle.opened(source) as folder:
        yield replace(original.read(folder), source=source.resolve())


def compared(first: Original, answers: Sequence[Answered] | None, again: Path) -> dict[str, Any]:
    """Compare a replay's folder with its original, of which these are the answers; return what is
    kept there as fidelity.json.
    """
    was = replace(comparable.read(first.folder), answers=answers)
    found = fidelity.compare(was, comparable.read(again), first.remarks)
    with translated(again / fidelity.FILE):
        replace_text(again / fidelity.FILE, json.dumps(found, indent=1) + "\n")
    return found


def _first_answers(folder: Path) -> Sequence[Answered] | None:
    """Return the verdict of the original as its record is judged now: no manifest holds the one
    that lies in its folder. Where a bundle has left the record out, it is the one that it keeps;
    None where that cannot be read.
    """
    if comparable.is_left_out(folder):
        return comparable.answers(folder)
    return _answers(judge.judge(folder, write=False))


def _answers(judged: Judged) -> list[Answered]:
    return [
        Answered(one.phase, one.name, str(one.answer), one.measured)
        for one in judged.verdict.findings
    ]


def _named(words: str, progress: Progress) -> Progress:
    def say(stage: str, done: int, total: int) -> None:
        progress(f"{words}: {stage}", done, total)

    return say


def made(of: Original, forked: str | None = None) -> Play:
    """Make what is played of an original; `forked`: the change that was made of it."""
    load = json.dumps(of.workload.as_json(), indent=1) + "\n"
    return Play(
        scenario=of.scenario,
        timeline=of.timeline,
        source=of.folder,
        files={**of.files, workload.FILE: load},
        facts={"replay": {"of": identity(of), "fork": forked}},
    )


def identity(of: Original) -> dict[str, Any]:
    """Say which run an original is, also where its folder is not: when it began, and the hash of
    its manifest, which holds those of all its files.
    """
    sealed = of.folder / manifest.FILE
    return {
        "run": str(of.source),
        "name": of.facts["name"],
        "started": of.facts.get("started", ""),
        "t0_ns": of.facts["t0_ns"],
        "manifest_sha256": hashlib.sha256(sealed.read_bytes()).hexdigest()
        if sealed.is_file()
        else None,
    }


def checked(of: Original, system: str | None = None, runtime_name: str = AUTO) -> Original:
    """Return the original on the system that is there now.

    Raises BadFileError where the system's file is gone, or the budget cannot be measured, and
    UsageError where the system cannot do what is asked, a check cannot be had, or a bundle names
    what is none of the harness's own.
    """
    foreign.require_none(of, system, runtime_name)
    topology = adapters.with_system(of.scenario.topology, system)
    adapter = Path(topology.adapter)
    if adapter.suffix == ".toml" and not adapter.is_file():
        raise BadFileError(
            f"the system under test was {adapter}, which is gone; expected it there, or --system "
            f"FILE, where it is now{_kept_as(of)}"
        )
    scenario = abilities.meant_now(replace(of.scenario, topology=topology))
    abilities.require(scenario)
    selection.require(of.scenario.checks)
    if of.scenario.budget is not None:
        budget_rows.validate(files.read_budget(of.scenario.budget).rows, None)
    return replace(of, scenario=scenario)


def _kept_as(of: Original) -> str:
    kept = of.folder / "system" / Path(of.scenario.topology.adapter).name
    if kept.is_file():
        return f" (the run kept it, with the files that it names, as {kept})"
    kept = of.folder / "system.toml"
    return f" (the run kept its text as {kept})" if kept.is_file() else ""


def _require_fit(cluster: str | None, runtime_name: str, wanted: Sequence[Topology]) -> None:
    """Raise, where a cluster is up, UsageError if it has faults that are none of the replay's, and
    NameTakenError if one of these topologies is another than its own.
    """
    name = state.cluster_name(cluster)
    if not state.is_alive(name):
        return
    with Client.connect(name) as client:
        status: Mapping[str, Any] = client.status()
    if status["faults"]:
        raise UsageError(
            f"cluster {name!r} is up with faults in force ({', '.join(status['faults'])}), which "
            "no replay has; expected none: `harness fault clear`, or another cluster (--cluster)"
        )
    for topology in wanted:
        run.same(name, topology, runtime_name)
