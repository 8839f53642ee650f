"""A session's folder: a suite's, whose parts lie in it, and come one after the other.

    runs/session/<time>/  suite.json  budget.toml  verdict.json  report.html …  the last verdict
                          load-1/<time>/  wait-2/<time>/                        a run folder each
                          verdict-1/{suite.json,budget.toml,verdict.json,…}     each verdict

Each names the parts relative to itself, so `harness judge` says the same of it later, also where
the whole was moved.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.experiments import suite
from harness.experiments import suite_folder as suites
from harness.experiments.judge import Judged
from harness.history import run_folders
from harness.history.folder import new_folder, point_latest, translated


class SessionFolder:
    """What a session has recorded until now."""

    def __init__(self, runs: Path, name: str) -> None:
        """Nothing is made before the first part is recorded."""
        self._runs, self._name = runs.resolve(), name
        self._path: Path | None = None
        self._names: list[str] = []  # of the parts, those that broke too
        self._parts: dict[str, Path] = {}
        self._failures: dict[str, str] = {}
        self._verdicts = 0
        self._held: int | None = None  # nobody prunes it while it is written

    @property
    def path(self) -> Path | None:
        """Where it is; None where nothing was recorded."""
        return self._path

    @property
    def name(self) -> str:
        """What the session is called."""
        return self._name

    @property
    def is_empty(self) -> bool:
        """Whether nothing was recorded, or broke."""
        return not self._names

    @property
    def parts(self) -> Mapping[str, Path]:
        """The run folder of each part."""
        return dict(self._parts)

    @property
    def report(self) -> Path | None:
        """The page of the last verdict; without one, of the last part; None without any."""
        parts = list(self._parts.values())
        if self._path is not None and self._verdicts:
            parts.append(self._path / f"verdict-{self._verdicts}")
        found = [part / "report.html" for part in parts]
        return next((one for one in reversed(found) if one.is_file()), None)

    def make(self) -> Path:
        """Return where parts are recorded, which is there from now on. Raises StorageError."""
        if self._path is None:
            self._path = new_folder(self._runs, self._name)
            self._held = run_folders.hold(self._path)
            self._write(self._path, {})
        return self._path

    def close(self) -> None:
        """Nothing is recorded any more."""
        run_folders.let_go(self._held)
        self._held = None

    def next_name(self, kind: str) -> str:
        """Name a part, which is known from now on: one that never comes is UNKNOWN."""
        name = f"{kind}-{len(self._names) + 1}"
        self._names.append(name)
        self._failures[name] = f"{name}: it was asked for and has not ended"
        self._write(self.make(), {})
        return name

    def began(self, name: str, run: Path) -> None:
        """Take where a part is recorded from now on."""
        self._parts[name] = run
        self._failures[name] = suites.not_ended(name)
        self._write(self.make(), {})

    def ended(self, name: str) -> None:
        """Take a part that was recorded to its end."""
        del self._failures[name]
        self._write(self.make(), {})

    def broke(self, name: str, why: str) -> None:
        """Say why a part has no record, or one that has no end."""
        self._failures[name] = f"{name}: {why}"
        self._write(self.make(), {})

    def judge(self, budget: Path | None, unproven: Mapping[str, str]) -> Judged:
        """Judge all parts by a budget, in a new folder, and in the session's own; `unproven`: what
        else nobody can tell, by a name. Raises BadFileError, StorageError.
        """
        self._verdicts += 1
        own, new = self.make(), self.make() / f"verdict-{self._verdicts}"
        with translated(new):
            new.mkdir()
            for folder in (own, new):
                (folder / suites.BUDGET).unlink(missing_ok=True)
                if budget is not None:
                    shutil.copyfile(budget, folder / suites.BUDGET)
        for folder in (own, new):
            self._write(folder, unproven)
        suite.judge(own)
        point_latest(self._runs, own)
        return suite.judge(new)

    def _write(self, folder: Path, unproven: Mapping[str, str]) -> None:
        played = {name: os.path.relpath(run, folder) for name, run in self._parts.items()}
        suites.write(folder, self._name, self._names, played, {**self._failures, **unproven})
