"""A gate plays what its criteria ask for, one after another, and says MET, NOT MET or PARTIAL.

Its folder, ``runs/gate-NAME/<time>/``, has ``gate.json``: what each criterion asks for, and the run
folders that were made for it, written before the first and after each, so that what was judged
stays whatever happens then. MET is the answer PASS of its verdict, NOT MET is FAIL, PARTIAL is
UNKNOWN.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import runtimes
from harness.checks import gate as check
from harness.checks.gate import Played
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.control import state
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, HarnessError, InterruptedByUserError, NameTakenError
from harness.experiments import seals, suite, validation
from harness.experiments.judge import Judged
from harness.experiments.kinds import GATE, is_gate
from harness.experiments.soak import play
from harness.history import run_folders
from harness.history.folder import new_folder, point_latest, require_writable, translated
from harness.host.facts import host_facts
from harness.kernel import commands
from harness.kernel.files import replace_text
from harness.reports import gate as report
from harness.scenario import gate as gates
from harness.scenario.gate import Criterion, Gate
from harness.scenario.soak import WINDOW_S

VERSION = 1
PAGE = "gate.md"
INTERRUPTED = "interrupted"  # of a soak, which has its verdict all the same
SHORT_WINDOW_S = 60.0
VERDICTS = (0, 1, 2)  # exit codes
LOST = Finding(
    name="record: whole",
    answer=Answer.UNKNOWN,
    promised="no gap",
    measured="1 gap",
    sentence=f"the criteria in {GATE}, or their runs, are not as they were",
    cause=Cause.GAP,
)


@dataclass(slots=True, kw_only=True)
class Tried:
    """A criterion and the runs that were made for it, as gate.json has it."""

    name: str
    rows: list[str]
    planned: int
    takes_s: float = 0.0
    skipped: str = ""  # why the rest was not played
    runs: list[dict[str, str]] = field(default_factory=list)  # {"folder": …} or {"failure": …}


def run(
    file: Path,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    runs: Path = Path("runs"),
    workers: int = 1,
    for_s: float | None = None,
    progress: Progress = nobody,
    told: Callable[[str], None] = lambda _: None,
) -> Judged:
    """Play a gate and judge it. `for_s`: its time in seconds; a criterion of which a run would take
    longer than what is left is skipped, and that is said. `told` hears a sentence a criterion. Its
    clusters are its own, named after `cluster`; one that is up is left alone.

    A run that breaks is said in the verdict, and the next criterion is played; Ctrl-C ends it all,
    and what was judged stays in the folder. Raises BadFileError before anything starts where the
    gate or something that it names cannot be played, UsageError, NameTakenError, StorageError;
    InterruptedByUserError.
    """
    validation.validate(file)
    runtimes.choose(runtime_name)
    planned, own = gates.read(file), _own_cluster(cluster)
    require_writable(runs)
    settings = {"cluster": own, "runtime_name": runtime_name, "runs": runs, "workers": workers}
    deadline = None if for_s is None else time.monotonic() + for_s
    return _run(planned, settings, deadline, for_s, progress, told)


def _own_cluster(cluster: str | None) -> str:
    """Name the cluster of a gate's runs. Raises NameTakenError where another gate has it up."""
    name = f"{state.cluster_name(cluster)}-gate"
    if state.is_alive(name):
        raise NameTakenError(
            f"a cluster named {name!r} is up, which another gate has: expected none; name another "
            "cluster (--cluster)"
        )
    return name


def _run(
    planned: Gate,
    settings: dict[str, Any],
    deadline: float | None,
    for_s: float | None,
    progress: Progress,
    told: Callable[[str], None],
) -> Judged:
    runs: Path = settings["runs"]
    folder = new_folder(runs, f"gate-{planned.name}")
    with run_folders.held(folder):  # nobody prunes it meanwhile
        return _tried(planned, folder, settings, deadline, for_s, progress, told)


def _tried(
    planned: Gate,
    folder: Path,
    settings: dict[str, Any],
    deadline: float | None,
    for_s: float | None,
    progress: Progress,
    told: Callable[[str], None],
) -> Judged:
    """Play the criteria one after another, and judge what came of them, whatever ends it."""
    runs: Path = settings["runs"]
    tried = [_planned(one) for one in planned.criteria]
    _write(folder, planned.name, tried)
    try:
        for criterion, one in zip(planned.criteria, tried, strict=True):
            for _ in range(criterion.repeats):
                one.skipped = _no_time(criterion, deadline, for_s)
                if one.skipped:
                    break
                said = _play(criterion, folder, settings, deadline, for_s, progress, told)
                interrupted = said.pop(INTERRUPTED, None)
                one.runs.append(said)
                _write(folder, planned.name, tried)
                if interrupted:
                    raise InterruptedByUserError("interrupted")
            _write(folder, planned.name, tried)
            finding = _finding(folder, one)
            told(f"{criterion.name}: {check.WORDS[finding.answer]} {finding.sentence}".rstrip())
    except InterruptedByUserError:
        point_latest(runs, folder)
        judge(folder)
        raise
    point_latest(runs, folder)  # each run has pointed it at itself
    return judge(folder)


def judge(folder: Path, budget: Path | None = None, *, write: bool = True) -> Judged:
    """Judge a gate's folder by its runs, each judged anew. Raises BadFileError where it is none."""
    if budget is not None:
        raise BadFileError(f"{folder}: a gate is judged by its criteria, not by {budget}")
    try:
        found = json.loads((folder / GATE).read_text())
        tried = [Tried(**one) for one in found["criteria"]]
        name, started, host = found["name"], found["started"], found["host"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BadFileError(f"{folder / GATE}: cannot be read: {error}") from None
    lost = () if seals.is_whole(found) else (LOST,)
    verdict = Verdict(findings=(*(_finding(folder, one) for one in tried), *lost))
    result = Judged(
        run=folder.resolve(),
        verdict=verdict,
        facts={
            "name": name,
            "topology": "a gate",
            "adapter": "",
            "runtime": {"name": "its runs' own"},
            "host": host,
            "started": started,
            "nodes": [],
            "criteria": [*(one.runs for one in tried), *([] for _ in lost)],
        },
    )
    if write:
        result.write()
        with translated(folder):
            runs = [(one.name, one.runs) for one in tried] + [(one.name, []) for one in lost]
            page = report.render(name, started, verdict, runs)
            replace_text(folder / PAGE, page)
    return result


def _planned(one: Criterion) -> Tried:
    return Tried(name=one.name, rows=list(one.rows), planned=one.repeats, takes_s=one.takes_s)


def _no_time(one: Criterion, deadline: float | None, for_s: float | None) -> str:
    """Say why a run of the criterion is not begun; empty where there is time."""
    if deadline is None or for_s is None:
        return ""
    left_s, takes_s = deadline - time.monotonic(), one.run_s(for_s)
    if left_s >= max(takes_s, 1e-3):
        return ""
    takes = f"a run takes about {takes_s:,.0f} s, " if takes_s else ""
    return f"skipped: {takes}{max(0.0, left_s):,.0f} s of {for_s:,.0f} were left"


def _play(
    one: Criterion,
    folder: Path,
    settings: dict[str, Any],
    deadline: float | None,
    for_s: float | None,
    progress: Progress,
    told: Callable[[str], None],
) -> dict[str, str]:
    """Play one run; return what gate.json says of it."""
    runs: Path = settings["runs"]
    try:
        if one.scenario is not None:
            made = suite.run(one.scenario, **settings, progress=_named(one.name, progress)).run
        elif one.soak is not None:
            return _soak(one, folder, settings, one.run_s(for_s), told)
        elif one.gate is not None:
            left_s = None if deadline is None else deadline - time.monotonic()
            inner = gates.read(one.gate)
            made = _run(inner, settings, deadline, left_s, progress, told).run
        else:
            made = _command(one, folder, runs)
    except InterruptedByUserError:
        raise
    except HarnessError as error:
        return {"failure": f"{type(error).__name__}: {error}"}
    return _played(made, folder)


def _played(made: Path, folder: Path) -> dict[str, str]:
    return {"folder": os.path.relpath(made, folder), "seal": seals.of_folder(made)}


def _soak(
    one: Criterion,
    folder: Path,
    settings: dict[str, Any],
    seconds: float,
    told: Callable[[str], None],
) -> dict[str, str]:
    """Play a soak, in windows of ten minutes, or of a third of it where it is short."""
    assert one.soak is not None
    window_s = min(WINDOW_S, max(SHORT_WINDOW_S, seconds / 3))

    def say(of: play.Told) -> None:
        if of.news is not None:
            told(f"{one.name}: window {of.number} of {of.windows}: {of.news['answer']}")

    made = play.begin(str(one.soak), for_s=seconds, window_s=window_s, **settings)
    judged = play.soak(made, told=say)
    return _played(judged.run, folder) | (
        {INTERRUPTED: "yes"} if "interrupted" in (made.ended or "") else {}
    )


def _command(one: Criterion, folder: Path, runs: Path) -> Path:
    """Run a command, with its output in the gate's folder; return the run folder that it wrote.

    Raises HarnessError where it wrote none, or more than one (one of them, or another process's, is
    not what was asked for), and where it broke: `make` ends with 2 of any failure, and so do runs.
    """
    place = runs / one.run
    before = set(_folders(place))
    log = folder / f"{one.run}.log"
    environment = {**os.environ, "HARNESS_RUNS": str(runs.resolve())}
    with translated(folder), log.open("ab") as output:
        code = commands.run(one.command, output, environment)
    new = sorted(set(_folders(place)) - before)
    if len(new) != 1:
        wrote = f"{len(new)} runs, and nobody says which is meant," if new else "no run"
        raise HarnessError(
            f"{' '.join(one.command)} ended with {code} and wrote {wrote} below {place}: "
            f"see {log.name}"
        )
    if code not in VERDICTS:
        raise HarnessError(
            f"{' '.join(one.command)} ended with {code}, which is no verdict's: see {log.name}"
        )
    return new[0]


def _folders(place: Path) -> list[Path]:
    return [one for one in place.glob("*") if one.is_dir() and not one.is_symlink()]


def _finding(folder: Path, one: Tried) -> Any:
    played = [_judged(folder, each) for each in one.runs]
    return check.judge(one.name, one.rows, one.planned, played, one.skipped)


def _judged(folder: Path, said: dict[str, str]) -> Played:
    """Judge a run of a criterion anew."""
    if "folder" not in said:
        return Played(failure=said.get("failure", ""))
    place = (folder / said["folder"]).resolve()
    try:
        if said.get("seal") != seals.of_folder(place):
            raise BadFileError("it is not as it was played")
        found = judge(place) if is_gate(place) else suite.judge(place, write=False)
    except HarnessError as error:
        return Played(folder=said["folder"], failure=f"its run folder: {error}")
    return Played(folder=said["folder"], verdict=found.verdict)


def _write(folder: Path, name: str, tried: Sequence[Tried]) -> None:
    """Write gate.json as it is now."""
    kept = folder / GATE
    with translated(folder):
        earlier = json.loads(kept.read_text()) if kept.is_file() else {}
        found = {
            "version": VERSION,
            "name": name,
            "started": earlier.get("started") or datetime.now(UTC).isoformat(),
            "host": earlier.get("host") or host_facts(),
            "criteria": [{key: getattr(one, key) for key in Tried.__slots__} for one in tried],
        }
        replace_text(kept, json.dumps(seals.sealed(found), indent=1) + "\n")


def _named(name: str, progress: Progress) -> Progress:
    return lambda stage, done, total: progress(f"{name}: {stage}", done, total)
