"""A laboratory plays cases for `shrink`: each in a run of its own on a cluster of its own, inside
the bounds, with a line of the log for each.
"""

from __future__ import annotations

import json
import math
import queue
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.control.progress import Progress
from harness.errors import (
    BadFileError,
    HarnessError,
    InterruptedByUserError,
    PermissionNeededError,
    StorageError,
    UsageError,
)
from harness.experiments import run as single_run
from harness.experiments.case import FILE, Case, differences
from harness.experiments.delta_debugging import SpentError
from harness.experiments.failure import Failure, Key, Said
from harness.experiments.sequential_test import Decision, Outcome
from harness.history.folder import translated
from harness.scenario import files

TRIALS = "trials.jsonl"
OVERHEAD_S = 8.0  # of a run beyond its phases, until the first is over and says
# What the next run would meet as well.
LASTING = (InterruptedByUserError, StorageError, PermissionNeededError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long all runs together may take, and how many there may be (None: any number)."""

    for_s: float
    runs: int | None = None


class Laboratory:
    """Plays cases until the bounds are reached. Several threads may ask at once, one a cluster."""

    def __init__(
        self,
        folder: Path,
        failure: Failure,
        bounds: Bounds,
        clusters: Sequence[str],
        settings: Mapping[str, Any],
        progress: Progress,
        told: Callable[[str], None],
    ) -> None:
        """`clusters`: names, each used by one run at a time. `settings`: of experiments.run.run.
        `told` hears sentences.
        """
        self._folder, self._failure, self._bounds = folder, failure, bounds
        self._settings, self._progress, self._say = dict(settings), progress, told
        self._free: queue.SimpleQueue[str] = queue.SimpleQueue()
        for name in clusters:
            self._free.put(name)
        self._begun_s = time.monotonic()
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._overheads_s: list[float] = []  # of the runs that are over
        self._kept: tuple[Case, int] | None = None
        self._whole: list[tuple[Case, Path]] = []  # runs that failed, whose folders are there
        self.failed: dict[Case, set[Key]] = {}  # the findings by which a case was seen to fail
        self.runs = 0

    @property
    def seconds(self) -> float:
        """How long it has gone on."""
        return time.monotonic() - self._begun_s

    def stop(self) -> None:
        """End the runs under way, and begin no other."""
        self._stopped.set()

    def keep(self, case: Case, runs: int) -> None:
        """Keep as much of the bounds free as so many runs of this case take, and the folder of its
        last run; those of other cases are removed.
        """
        with self._lock:
            self._kept = (case, runs)
            last = [run for of, run in self._whole if of == case][-1:]
            gone = [run for _, run in self._whole if run not in last]
            self._whole = [(case, run) for run in last]
        for run in gone:
            _remove(run)

    @staticmethod
    def refusal(case: Case) -> str | None:
        """Say why a case cannot be played; None: it can."""
        with tempfile.TemporaryDirectory() as scratch:
            try:
                single_run.check(files.read_scenario(_write(Path(scratch), case)))
            except (BadFileError, UsageError) as error:
                return str(error).replace(f"{scratch}/", "")
        return None

    def play(self, case: Case, file: Path | None = None) -> Outcome:
        """Play a case once; `file`: its own, where it has one.

        Raises SpentError where the bounds do not allow it, InterruptedByUserError once stopped.
        """
        number, cluster = self._begin(case), self._free.get()
        folder = self._folder / "tries" / str(number)
        begun_s = time.monotonic()
        try:
            played = file or _write(folder, case)
            said, run = self._run(played, number, cluster, folder)
        finally:
            self._free.put(cluster)
        took_s = time.monotonic() - begun_s
        is_whole = run is not None and said.outcome is Outcome.FAILS
        with self._lock:
            if run is not None:
                self._overheads_s.append(took_s - case.documents().seconds)
            if run is not None and is_whole:
                self._whole.append((case, run))
                self.failed.setdefault(case, set()).update(said.failed)
        if run is not None and not is_whole:
            _remove(run)
        self._log(
            {
                "run": number,
                "candidate": case.digest,
                "size": case.documents().size(),
                "outcome": str(said.outcome),
                "why": said.why,
                "failed": [{"name": name, "phase": phase} for name, phase in sorted(said.failed)],
                "took_s": round(took_s, 1),
                "folder": str(folder.relative_to(self._folder)),
            }
        )
        return said.outcome

    def decided(self, what: str, best: Case, case: Case, decision: Decision) -> None:
        """Log and tell what was found of a candidate. `what`: the pass that asked; `best`: the
        smallest then, of which the candidate is a reduction.
        """
        size = case.documents().size()
        dropped, changed = differences(best, case)
        self._log(
            {
                "decided": str(decision.outcome),
                "pass": what,
                "candidate": case.digest,
                "of": best.digest,
                "dropped": dropped,
                "changed": changed,
                "size": size,
                "fails": decision.fails,
                "passes": decision.passes,
                "unresolved": decision.unresolved,
            }
        )
        runs = f" ({decision})" if decision.runs > 1 else ""
        self.told(f"{what}: {size}: {decision.outcome}{runs}")

    def told(self, sentence: str) -> None:
        """Tell a sentence, with what is left of the bounds."""
        left_s = max(0, round(self._bounds.for_s - self.seconds))
        self._say(f"{left_s // 60}:{left_s % 60:02} left: {sentence}")

    def _begin(self, case: Case) -> int:
        """Count a run that may begin; return its number, from 1."""
        with self._lock:
            if self._stopped.is_set():
                raise InterruptedByUserError("interrupted")
            kept, runs = (case, 0) if self._kept is None else self._kept
            left_s = self._bounds.for_s - self.seconds - runs * self._expected_s(kept)
            most = math.inf if self._bounds.runs is None else self._bounds.runs - runs
            if self.runs >= most or left_s < self._expected_s(case):
                raise SpentError
            self.runs += 1
            return self.runs

    def _expected_s(self, case: Case) -> float:
        overhead_s = statistics.fmean(self._overheads_s) if self._overheads_s else OVERHEAD_S
        return case.documents().seconds + overhead_s

    def _run(self, file: Path, number: int, cluster: str, folder: Path) -> tuple[Said, Path | None]:
        """Play a file; return what it says, and the run's folder; None: the run broke."""

        def progress(stage: str, done: int, total: int) -> None:
            if self._stopped.is_set():
                raise InterruptedByUserError("interrupted")
            self._progress("seconds", round(self.seconds), round(self._bounds.for_s))
            self._progress(stage, done, total)

        try:
            judged = single_run.run(
                file, cluster=cluster, runs=folder, progress=progress, **self._settings
            )
        except LASTING:
            raise
        except HarnessError as error:
            if number == 1:
                raise  # nothing is known, and its kind says whose fault it is
            return Said(Outcome.UNRESOLVED, f"the run broke: {error}"), None
        return self._failure.outcome(judged.verdict), judged.run

    def _log(self, line: Mapping[str, object]) -> None:
        at = {"at_s": round(self.seconds, 1)}
        file = self._folder / TRIALS
        with translated(file), self._lock, file.open("a") as log:
            log.write(json.dumps({**at, **line}) + "\n")


def _write(folder: Path, case: Case) -> Path:
    """Write the files of a case; return the scenario's. Raises StorageError."""
    with translated(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in case.documents().written("case").items():
            (folder / name).write_text(text)
    return folder / f"case{FILE}"


def _remove(run: Path) -> None:
    """Remove a run's folder but for its verdict, which is put beside it: a search of a hundred runs
    would fill the disk.
    """
    trial = run.parent.parent
    with translated(run):
        (run / "verdict.json").replace(trial / "verdict.json")
        shutil.rmtree(run.parent)
        (trial / "latest").unlink()
