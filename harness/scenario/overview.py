"""An overview of the scenarios that there are: what each asks of whom, for how long, and why."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.faults.spec import FaultSpec
from harness.scenario import files, shipped
from harness.scenario.scenario import Phase, Scenario, Suite


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """One scenario, or a suite of them.

    `sentence`: the comment that its file begins with. `nodes`: of a suite, those of its largest
    part. `seconds`: of its phases, without starting nodes. `rows`: how many of its budget are about
    it. `parts`: of a suite, its scenarios.
    """

    name: str
    file: Path
    sentence: str
    nodes: int
    seconds: float
    system: str
    operations: tuple[str, ...]
    faults: tuple[str, ...]
    rows: int
    parts: tuple[str, ...] = ()


def overviews(folder: Path | None = None) -> list[Overview]:
    """Return those of a folder, or all that `harness run` finds by name; sorted by name.

    Raises BadFileError for a file that is none.
    """
    if folder is not None:
        return [overview(file) for file in sorted(folder.glob("*.toml"))]
    return [overview(shipped.find(name, "scenarios")) for name in shipped.names("scenarios")]


def overview(file: Path) -> Overview:
    """Return what a scenario's file, or a suite's, asks for. Raises BadFileError."""
    suite = files.read_suite(file)
    if suite is not None:
        return _of_suite(file, suite)
    planned = files.read_scenario(file)
    return Overview(
        name=file.stem,
        file=file,
        sentence=_sentence(file),
        nodes=len(planned.topology.nodes),
        seconds=sum(phase.duration_s or 0.0 for phase in planned.phases),
        system=planned.topology.adapter,
        operations=_each(
            stream.operation.word for phase in planned.phases for stream in phase.streams
        ),
        faults=_each(what for phase in planned.phases for what in _wrong(phase)),
        rows=_rows(planned),
    )


def _wrong(phase: Phase) -> list[str]:
    """What goes wrong in a phase, churn last."""
    faults = [what for one in phase.faults for what in does(one)]
    return faults + [f"churn, {churn.how}" for churn in phase.churn]


def does(spec: FaultSpec) -> tuple[str, ...]:
    """Say what kinds of wrong a fault is: ``cut halves``, ``loss``, ``stopped``."""
    if spec.condition is not None:
        return (str(spec.condition),)
    if spec.limits.kinds:
        return tuple(spec.limits.kinds)
    found = list(spec.impairment.kinds)
    if spec.up is not None or spec.down is not None:
        found.append("rate")
    if spec.impairment.is_clear and spec.cut is not None:
        found.append(f"cut {spec.cut}{' one-way' if spec.one_way else ''}")
    elif not found:
        found.append("half-open")
    return tuple(dict.fromkeys(found))


def _of_suite(file: Path, suite: Suite) -> Overview:
    parts = [overview(part) for part in suite.parts]
    return Overview(
        name=file.stem,
        file=file,
        sentence=_sentence(file),
        nodes=max((part.nodes for part in parts), default=0),
        seconds=sum(part.seconds for part in parts),
        system=", ".join(_each(part.system for part in parts)),
        operations=_each(one for part in parts for one in part.operations),
        faults=_each(one for part in parts for one in part.faults),
        rows=len(files.read_budget(suite.budget).rows),
        parts=tuple(part.name for part in parts),
    )


def _rows(planned: Scenario) -> int:
    if planned.budget is None:
        return 0
    rows = files.read_budget(planned.budget).rows
    return sum(row.conditions.scenario in (None, planned.name) for row in rows)


def _each(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(words))


def _sentence(file: Path) -> str:
    """Return the comment that a file begins with, in one line; empty where it has none."""
    said = []
    for line in file.read_text().splitlines():
        if not line.startswith("#"):
            break
        said.append(line.removeprefix("#").strip())
    return " ".join(said)
