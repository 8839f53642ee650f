"""Shrinking a failure: the smallest scenario that still fails, found by real runs.

Its folder, ``runs/<scenario>-shrink/<time>/``, has `smallest.toml` with its topology and budget
beside it (the smallest that failed so far, at any moment), `trials.jsonl` with a line for each run
and each candidate that was decided, `shrink.json`, and below `tries/` each run with its files.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from harness.checks.verdict import Answer
from harness.control import state
from harness.control.progress import Progress, nobody
from harness.errors import InterruptedByUserError, NameTakenError, UsageError
from harness.experiments import case as cases
from harness.experiments import judge, reductions
from harness.experiments.case import Case, Documents
from harness.experiments.delta_debugging import Drop, Search, SpentError, Trials
from harness.experiments.failure import Failure
from harness.experiments.laboratory import OVERHEAD_S, Bounds, Laboratory
from harness.experiments.sequential_test import (
    FAILURES_WANTED,
    Decision,
    Estimate,
    Outcome,
    SequentialTest,
    estimate,
)
from harness.history import metadata
from harness.history.folder import new_folder, translated
from harness.kernel.files import replace_text
from harness.topology.quantities import percent

VERSION = 1
FILE = "shrink.json"
SMALLEST = "smallest"
# Passes whose parts are tables of the scenario, below these keys.
TABLES = {"phases": None, "faults": "fault", "streams": "stream"}


@dataclass(slots=True, kw_only=True)
class Shrunk:
    """What is known of one search, while it goes on and at its end."""

    run: Path
    failure: Failure
    original: Case
    best: Case
    folder: Path
    estimated: Estimate | None = None
    test: SequentialTest | None = None
    trials: Trials[Case] | None = None
    last: Decision | None = None  # of the smallest one's own file; None: it was not played
    runs: int = 0
    seconds: float = 0.0
    is_minimal: bool = False
    is_interrupted: bool = False

    @property
    def is_verified(self) -> bool:
        """Whether the smallest one failed again when its own file was played."""
        return self.last is not None and self.last.outcome is Outcome.FAILS

    @property
    def exit_code(self) -> int:
        """0 where the smallest one is known to fail; else 2, or 130 where Ctrl-C ended it."""
        if self.is_interrupted:
            return InterruptedByUserError.exit_code
        return (Answer.PASS if self.is_verified else Answer.UNKNOWN).exit_code

    def sentence(self) -> str:
        """Say what came of it."""
        if self.estimated is None:
            return "it ended before it was known how often the original fails"
        if self.test is None:
            return f"the original failed in {self.estimated}: there is nothing to go by"
        size = self.best.documents().size()
        if self.best == self.original:
            said = "no smaller scenario was found to fail than the original"
        else:
            said = f"{size} fail, of {self.original.documents().size()}"
        if self.last is None:
            return f"{said}; that is not verified: its own file was not played at the end"
        if not self.is_verified:
            return f"{said}; but its own file did not fail when it was played: {self.last}"
        more = "" if self.is_minimal else "; it ended early, so a smaller one may fail too"
        return f"{said}; played by its own file: {self.last}{more}"

    def facts(self) -> dict[str, Any]:
        """Return what shrink.json holds."""
        dropped, changed = cases.differences(self.original, self.best)
        test, found = self.test, self.estimated
        return {
            "version": VERSION,
            "run": str(self.run),
            "findings": [{"name": name, "phase": of} for name, of in sorted(self.failure.findings)],
            "sentence": self.sentence(),
            "original": {
                **self.original.documents().counts(),
                "fails": found and found.fails,
                "passes": found and found.passes,
                "unresolved": found and found.unresolved,
            },
            "test": test and {"p1": test.p1, "p0": test.p0, "alpha": test.alpha, "beta": test.beta},
            "smallest": self.best.documents().counts(),
            "dropped": dropped,
            "changed": changed,
            "minimal": self.is_minimal,
            "verified": self.is_verified,
            "interrupted": self.is_interrupted,
            "runs": self.runs,
            "seconds": round(self.seconds, 1),
            "file": str(self.folder / f"{SMALLEST}{cases.FILE}"),
        }

    def write(self) -> None:
        """Write shrink.json, and the smallest scenario with its comments. Raises StorageError."""
        for name, text in self.written(SMALLEST).items():
            with translated(self.folder / name):
                replace_text(self.folder / name, text)
        with translated(self.folder / FILE):
            replace_text(self.folder / FILE, json.dumps(self.facts(), indent=1) + "\n")

    def written(self, stem: str) -> dict[str, str]:
        """Return the files of the smallest scenario, with comments that say how it came about."""
        return self._commented().written(stem, "\n".join(self._header()))

    def _header(self) -> list[str]:
        dropped, changed = cases.differences(self.original, self.best)
        lines = [
            f"Fails: {self.failure}",
            f"Made by `harness shrink` from {self.run}",
            self.sentence(),
        ]
        if (test := self.test) is not None:
            p1, p0, *errors = map(percent, (test.p1, test.p0, test.alpha, test.beta))
            lines += [
                f"The original failed in {self.estimated}. By a sequential test a candidate fails",
                f"if {p1} or more of its runs do, and does not if {p0} or fewer do (errors:",
                f"{' and '.join(errors)}).",
            ]
        if self.trials is not None:
            lines.append(_tried(self.trials, self.runs, self.seconds))
        for what, some in (("Left out:", dropped), ("Changed:", changed)):
            lines += [what, *(f"  {one}" for one in some)] if some else []
        return lines

    def _commented(self) -> Documents:
        """The smallest one's documents; what was found to be needed says so in a comment."""
        found = self.best.documents()
        if self.trials is None:
            return found
        for one in reductions.passes(self.failure.phases):
            if not isinstance(one, Drop) or one.name not in TABLES:
                continue
            for part, table in zip(one.parts(self.best), _tables(found, one.name), strict=False):
                without = one.without(self.best, {part})
                decision = None if without is None else self.trials.decided.get(without)
                if decision is not None:
                    table[cases.COMMENT] = f"without this: {decision.outcome} ({decision})"
        return found


def _tables(found: Documents, kind: str) -> list[cases.Document]:
    """The tables that the parts of a pass are, in their order."""
    if kind == "phases":
        return found.phases
    rows = found.faults() if kind == "faults" else found.streams()
    return [table for _, _, table in rows]


def _tried(trials: Trials[Case], runs: int, seconds: float) -> str:
    """Say how many candidates came out how, by how many runs."""
    outcomes = [one.outcome for one in trials.decided.values()]
    counts = ", ".join(
        f"{outcomes.count(one)} {word}"
        for one, word in (
            (Outcome.FAILS, "failed"),
            (Outcome.PASSES, "did not"),
            (Outcome.UNRESOLVED, "stayed unresolved"),
        )
    )
    return (
        f"{len(outcomes)} candidates were tried: {counts}; {len(trials.refused)} more could not be "
        f"played; {runs} runs in {seconds / 60:.1f} minutes"
    )


def shrink(
    run: Path,
    finding: str | None = None,
    *,
    cluster: str | None = None,
    runs: Path = Path("runs"),
    for_s: float = 900.0,
    tries: int | None = None,
    jobs: int = 1,
    out: Path | None = None,
    progress: Progress = nobody,
    told: Callable[[str], None] = lambda _: None,
) -> Shrunk:
    """Search for the smallest scenario in which a finding of a run is FAIL again; return what is
    known of it.

    `finding`: its name; None: any that failed. `for_s` and `tries`: how long all runs together may
    take, and how many there may be. `out`: where the smallest scenario is written too. `told` hears
    a sentence about each candidate. Ctrl-C ends with what is known. Raises UsageError, BadFileError
    and NameTakenError before anything starts.
    """
    names = _clusters(cluster, jobs)
    run = metadata.find(run)
    failure = Failure.of(judge.judge(run, write=False).verdict, finding, str(run))
    original = cases.of_run(run, failure.names)
    bounds = Bounds(for_s=for_s, runs=tries)
    _require_possible(original, bounds, out)
    facts = metadata.read(run)
    settings = {
        "runtime_name": facts["runtime"]["name"],
        "workers": facts["load"].get("shares", 1),
    }
    folder = new_folder(runs, f"{facts['name'][:25]}-shrink")
    found = Shrunk(run=run, failure=failure, original=original, best=original, folder=folder)
    lab = Laboratory(folder, failure, bounds, names, settings, progress, told)
    with ThreadPoolExecutor(jobs) as executor:
        try:
            _search(found, lab, executor, jobs)
        except (KeyboardInterrupt, InterruptedByUserError):
            found.is_interrupted = True
        finally:
            lab.stop()
            found.runs, found.seconds = lab.runs, lab.seconds
    found.write()
    if out is not None and found.test is not None:
        for name, text in found.written(out.stem).items():
            with translated(out.parent / name):
                replace_text(out.parent / name, text)
    return found


def _search(found: Shrunk, lab: Laboratory, executor: ThreadPoolExecutor, jobs: int) -> None:
    """Estimate how often the original fails, make it smaller, and play the result's own file."""
    size = found.original.documents().size()
    lab.told(f"the original is played until it failed {FAILURES_WANTED} times: {size}")
    try:
        found.estimated = estimate(lambda: lab.play(found.original))
    except SpentError:
        return
    if not found.estimated.rate:
        return
    found.test = SequentialTest(rate=found.estimated.rate)
    lab.told(f"the original failed in {found.estimated}")
    lab.keep(found.original, found.test.rate)

    def told(what: str, candidate: Case, decision: Decision) -> None:
        lab.decided(what, candidate, decision)
        if decision.outcome is Outcome.FAILS:
            found.best = candidate
            found.runs, found.seconds = lab.runs, lab.seconds
            lab.keep(candidate, decision.fails / (decision.fails + decision.passes))
            found.write()

    found.trials = Trials(
        lab.play, found.test, refusal=lab.refusal, executor=executor, jobs=jobs, told=told
    )
    search = Search(found.original, found.trials)
    try:
        search.run(reductions.passes(found.failure.phases))
    finally:
        found.best, found.is_minimal = search.best, search.is_minimal
    _verify(found, search, lab)


def _verify(found: Shrunk, search: Search[Case], lab: Laboratory) -> None:
    """Play the smallest one by its own file; where it does not fail, the one before it."""
    lab.keep(None)
    assert found.test is not None
    for candidate in reversed(search.found):
        found.is_minimal = found.is_minimal and candidate == found.best
        found.best, found.last = candidate, None
        found.runs, found.seconds = lab.runs, lab.seconds
        found.write()
        file = found.folder / f"{SMALLEST}{cases.FILE}"
        try:
            found.last = found.test.decide(partial(lab.play, candidate, file))
        except SpentError:
            return
        lab.decided("its own file", candidate, found.last)
        if found.is_verified:
            return


def _require_possible(original: Case, bounds: Bounds, out: Path | None) -> None:
    """Raise UsageError for bounds in which nothing can be found, and a file that cannot be."""
    seconds = original.documents().seconds
    if out is not None and (out.suffix != cases.FILE or not out.absolute().parent.is_dir()):
        raise UsageError(f"--out: expected a .toml file in a folder that is there, found {out}")
    least = FAILURES_WANTED + 2  # the original, a candidate, and the result's own file
    if bounds.runs is not None and bounds.runs < least:
        raise UsageError(
            f"--tries: expected at least {least}: the original is played {FAILURES_WANTED} times "
            f"first, and the result once at the end; found {bounds.runs}"
        )
    if bounds.for_s < least * seconds:
        raise UsageError(
            f"--for: expected at least {least * seconds:,.0f} s: the run lasts {seconds:g} s (and "
            f"some {OVERHEAD_S:g} to start), and is played {FAILURES_WANTED} times first; found "
            f"{bounds.for_s:g} s"
        )


def _clusters(cluster: str | None, jobs: int) -> list[str]:
    """The names of the clusters, one for each job. Raises NameTakenError."""
    base = state.cluster_name(cluster)[:20].rstrip("-")
    names = [f"{base}-s{number}" for number in range(1, jobs + 1)]
    for name in names:
        if state.is_alive(name):
            raise NameTakenError(
                f"a cluster named {name!r} is up, which another `harness shrink` may be using: "
                "choose another name (HARNESS_CLUSTER, --cluster)"
            )
    return names
