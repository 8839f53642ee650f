"""Comparing two sides, base and head: run folders, folders of runs, or baselines."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from harness.checks import changes
from harness.checks.changes import Compared, Level, Pair, Thresholds, Told
from harness.checks.verdict import Answer
from harness.choices import one_of
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, UsageError
from harness.experiments import agreement, baseline, side
from harness.experiments.side import Played, RowOfRun
from harness.history import metadata, regression
from harness.scenario import files
from harness.scenario.budget import Row
from harness.topology.quantities import number

VERSION = 1
DEPTH_MOST = 3  # of run folders below a folder of runs
SUITE = "suite.json"
NOWHERE = "not told: the run has no such row"


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side: as it was named, and its runs."""

    named: str
    runs: tuple[Played, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of comparing two sides. `differs`: what they were played on differs in, part by
    part; `despite`: the parts of which the user said that they may. `remarks`: what else a reader
    should know.
    """

    base: Side
    head: Side
    thresholds: Thresholds
    rows: tuple[Compared, ...]
    differs: dict[str, list[str]]
    despite: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def answer(self) -> Answer:
        """PASS, FAIL or UNKNOWN."""
        return changes.answer(self.rows)

    def as_json(self) -> dict[str, Any]:
        """Return what `harness compare --json` prints (docs/interfaces.md)."""
        return {
            "version": VERSION,
            "answer": str(self.answer),
            "exit_code": self.answer.exit_code,
            "sentence": self.sentence(),
            "base": _side_json(self.base),
            "head": _side_json(self.head),
            "thresholds": asdict(self.thresholds),
            "confidence": regression.CONFIDENCE,
            "differs": self.differs,
            "despite": list(self.despite),
            "remarks": list(self.remarks),
            "rows": [asdict(row) for row in self.rows],
        }

    def sentence(self) -> str:
        """Say what came of it, in one sentence."""
        count = Counter((row.level, row.is_worse) for row in self.rows)
        said = [
            f"{count[level, True]} {words}"
            for level, words in (
                (Level.FAILED, f"worse by more than {_percent(self.thresholds.failed)}"),
                (Level.WARNED, f"worse by more than {_percent(self.thresholds.warned)}"),
                (Level.SAID, f"worse by more than {_percent(self.thresholds.said)}"),
            )
            if count[level, True]
        ]
        better = sum(
            not row.is_worse and row.level is not Level.NONE and row.answer is not Answer.MEASURED
            for row in self.rows
        )
        said += [f"{better} better"] if better else []
        unknown = sum(row.answer is Answer.UNKNOWN for row in self.rows)
        said += [f"{unknown} UNKNOWN"] if unknown else []
        found = f"of {len(self.rows)} rows " + ", ".join(said or ["none is said to have changed"])
        if agreed := [part for part in self.despite if part in self.differs]:
            found += f"; although the sides differ in {', '.join(agreed)}"
        return found


def _percent(share: float) -> str:
    return f"{number(share * 100)} %"


def _side_json(of: Side) -> dict[str, Any]:
    return {
        "named": of.named,
        "scenario": of.runs[0].scenario,
        "runs": [
            {key: getattr(run, key) for key in ("run", "started", "answer", "others")}
            for run in of.runs
        ],
    }


def compare(
    base: str,
    head: str,
    *,
    runs: Path = Path("runs"),
    budget: Path | None = None,
    scenario: str | None = None,
    rows: Sequence[str] = (),
    despite: Sequence[str] = (),
    thresholds: Thresholds | None = None,
    as_judged: bool = False,
    progress: Progress = nobody,
) -> Comparison:
    """Compare two sides, each a run folder, a folder of runs, a baseline's name in `runs`, or its
    file.

    `budget`: its rows instead of the runs' own. `scenario`: the one whose runs are meant. `rows`:
    patterns of names; only these are compared. `despite`: parts of agreement.PARTS that may differ.
    Judges run folders anew, unless they are believed `as_judged`, and writes nothing. Raises
    UsageError, BadFileError.
    """
    if as_judged and budget is not None:
        raise UsageError("--budget: what is believed as it was judged is judged by no other one")
    known = (*agreement.PARTS, agreement.OTHERS)
    for part in despite:
        if part not in known:
            raise UsageError(f"--despite: {one_of(part, known)}")
    wanted = None if budget is None else files.read_budget(budget).rows
    sides = [
        resolve(named, runs, wanted, scenario, as_judged=as_judged, progress=progress)
        for named in (base, head)
    ]
    return of_sides(*sides, rows=rows, despite=despite, thresholds=thresholds or Thresholds())


def of_sides(
    base: Side,
    head: Side,
    *,
    rows: Sequence[str] = (),
    despite: Sequence[str] = (),
    thresholds: Thresholds,
) -> Comparison:
    """Compare two sides that have been read. Raises UsageError where no row is to be compared, or
    a run is on both sides.
    """
    _require_different((*base.runs, *head.runs))
    pairs = _pairs(base.runs, head.runs)
    known = list(dict.fromkeys(pair.name for pair in pairs))
    chosen = [pair for pair in pairs if not rows or any(fnmatchcase(pair.name, o) for o in rows)]
    for pattern in rows:
        if not any(fnmatchcase(name, pattern) for name in known):
            raise UsageError(f"--row: {one_of(pattern, known)}")
    if not chosen:
        raise UsageError(
            f"{base.named} and {head.named}: no run measured a row: expected a budget of their "
            "own, or --budget"
        )
    every = [*base.runs, *head.runs]
    differs = agreement.differences([one.surroundings for one in every])
    blocking = [part for part in differs if part not in (*despite, agreement.SUBJECT)]
    doubt = ""
    if blocking:
        doubt = f"not comparable: they differ in {', '.join(blocking)}"
    host = changes.host_differs(*([one.others for one in some.runs] for some in (base, head)))
    felt = "" if agreement.OTHERS in despite else host
    compared = changes.compare(chosen, thresholds, doubt=doubt, host=felt)
    return Comparison(
        base=base,
        head=head,
        thresholds=thresholds,
        rows=tuple(compared),
        differs=differs,
        despite=tuple(dict.fromkeys(despite)),
        remarks=tuple(_remarks(base, head, host, is_felt=bool(felt))),
    )


def _require_different(runs: Sequence[Played]) -> None:
    """Raise UsageError where a run is there twice, or with a copy of it: it tells nothing of how
    runs differ.
    """
    first: dict[str, Played] = {}
    for run in runs:
        if (other := first.get(run.identity)) is not None:
            where = "twice" if other.run == run.run else f"also as {other.run}"
            raise UsageError(f"{run.run} is there {where}: one run would count as two")
        first[run.identity] = run


def _pairs(base: Sequence[Played], head: Sequence[Played]) -> list[Pair]:
    """Each row of any run, and what each run says of it; one that is another row under the same
    name is not known there.
    """
    found: dict[tuple[str, str], RowOfRun] = {}
    for run in (*head, *base):  # the head's is the one that is meant
        for row in run.rows:
            found.setdefault((row.phase, row.name), row)
    by_run = [{(row.phase, row.name): row for row in run.rows} for run in (*base, *head)]
    pairs = []
    for key, row in found.items():
        told = [_told(of.get(key), row) for of in by_run]
        pairs.append(
            Pair(
                phase=row.phase,
                name=row.name,
                unit=row.unit,
                better=row.better,
                base=tuple(told[: len(base)]),
                head=tuple(told[len(base) :]),
                feels_host=row.feels_host,
            )
        )
    return pairs


def _told(row: RowOfRun | None, wanted: RowOfRun) -> Told:
    if row is None:
        return Told(value=None, why=NOWHERE)
    if row.definition != wanted.definition:
        return Told(value=None, why=f"another row: {row.definition}, not {wanted.definition}")
    return row.told


def _remarks(base: Side, head: Side, host: str, *, is_felt: bool) -> Iterator[str]:
    """What else a reader should know."""
    if host:
        yield f"{host}{': rows that feel it are UNKNOWN' if is_felt else ', which may be so'}"
    starts = [[one.started for one in side.runs] for side in (base, head)]
    is_one = len(base.runs) == 1 and len(head.runs) == 1
    if is_one:
        yield (
            "one run a side: how runs differ from one another is not seen, and no false-alarm rate "
            "can be told; intervals are of blocks of time within each run, drawn again"
        )
    if not is_one and all(map(all, starts)):
        first, second = sorted(starts)
        if max(first) < min(second):
            yield (
                "one side was played after the other: what changed on the host meanwhile is part "
                "of every change; runs in turns are free of it"
            )
    for name, some in (("base", base), ("head", head)):
        bad = Counter(one.answer for one in some.runs if one.answer != Answer.PASS)
        if bad:
            told = ", ".join(f"{number} {answer}" for answer, number in bad.items())
            yield f"runs of {name} whose verdict is not PASS: {told} of {len(some.runs)}"


def resolve(
    named: str,
    runs: Path,
    rows: Sequence[Row] | None = None,
    scenario: str | None = None,
    *,
    as_judged: bool = False,
    progress: Progress = nobody,
) -> Side:
    """Read the side that is meant: a run folder, a folder of runs, a baseline's file, or its name.
    Raises UsageError, BadFileError.
    """
    path = Path(named)
    kept = runs / baseline.FOLDER / f"{named}.json"
    if baseline.NAME.fullmatch(named) and kept.is_file():
        if path.exists():
            raise UsageError(f"{named!r} is a baseline, and a file or folder here: write ./{named}")
        path = kept
    if path.is_file():
        if rows is not None:
            raise UsageError(f"--budget: {named} is a baseline, whose rows were judged before")
        _, played = baseline.read(path)
        return Side(named=named, runs=_of_scenario(played, named, scenario))
    if not path.is_dir():
        known = baseline.names(runs)
        has = f"; baselines in {runs}: {', '.join(known)}" if known else ""
        raise UsageError(
            f"{named}: expected a run folder, a folder of runs, or a baseline; found none{has}"
        )
    folders = run_folders(path)
    if not folders:
        raise BadFileError(f"{named}: expected run folders (metadata.json) in it, found none")
    wanted = [one for one in folders if scenario is None or _name(one) == scenario]
    names = sorted(set(map(_name, folders)))
    if not wanted:
        raise UsageError(f"--scenario: {one_of(scenario, names)}")
    if scenario is None and len(names) > 1:
        raise UsageError(
            f"{named}: has runs of {len(names)} scenarios ({', '.join(names)}): pick one by "
            "--scenario, or name its folder"
        )
    return Side(named=named, runs=side.read(wanted, rows, as_judged=as_judged, progress=progress))


def gathered(
    folders: Sequence[str],
    *,
    runs: Path,
    budget: Path | None = None,
    scenario: str | None = None,
    as_judged: bool = False,
    progress: Progress = nobody,
) -> tuple[Played, ...]:
    """Read the runs of several folders as one side, which has to be of one scenario. Raises
    UsageError, BadFileError.
    """
    wanted = None if budget is None else files.read_budget(budget).rows
    found: list[Played] = []
    for folder in folders:
        if not Path(folder).is_dir():
            raise UsageError(f"{folder}: expected a run folder, or a folder of runs; found none")
        found += resolve(
            os.path.join(folder, ""),
            runs,
            wanted,
            scenario,
            as_judged=as_judged,
            progress=progress,
        ).runs
    names = sorted({one.scenario for one in found})
    if len(names) > 1:
        raise UsageError(f"expected runs of one scenario, found those of {', '.join(names)}")
    _require_different(found)
    if not any(one.rows for one in found):
        raise UsageError("no run measured a row: expected a budget of their own, or --budget")
    return tuple(found)


def _of_scenario(
    played: tuple[Played, ...], named: str, scenario: str | None
) -> tuple[Played, ...]:
    if scenario is not None and any(one.scenario != scenario for one in played):
        raise UsageError(f"--scenario: {named} has runs of {played[0].scenario}, not of {scenario}")
    return played


def _name(folder: Path) -> str:
    return str(metadata.read(folder)["name"])


def run_folders(path: Path) -> list[Path]:
    """Return the run folders that a folder is or has, in order of their names; links in it (such
    as `latest`) lead to runs that are counted where they are. Raises UsageError for a suite's.
    """
    path = path.resolve()
    if (path / SUITE).is_file():
        raise UsageError(f"{path} is of a suite: compare the folders of its parts")
    if (path / "metadata.json").is_file():
        return [path]
    return list(_below(path, DEPTH_MOST))


def _below(path: Path, depth: int) -> Iterator[Path]:
    for one in sorted(path.iterdir()):
        if one.is_symlink() or not one.is_dir():
            continue
        if (one / "metadata.json").is_file():
            yield one
        elif depth > 1 and not (one / SUITE).is_file():
            yield from _below(one, depth - 1)
