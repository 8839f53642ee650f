"""A session's folder: the run folders of its parts, and a suite's folder for each verdict.

    runs/session/<time>/  load-1/<time>/  wait-2/<time>/  verdict-1/{suite.json,budget.toml,…}

A verdict's folder names the parts relative to itself, so `harness judge` says the same of it, also
where the whole was moved.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from harness.experiments import suite
from harness.experiments.judge import Judged
from harness.history.folder import new_folder, point_latest, translated


class SessionFolder:
    """What a session has recorded until now."""

    def __init__(self, runs: Path, name: str) -> None:
        """Nothing is made before the first part is recorded."""
        self._runs, self._name = runs, name
        self._path: Path | None = None
        self._names: list[str] = []  # of the parts, those that broke too
        self._parts: dict[str, Path] = {}
        self._failures: dict[str, str] = {}
        self._verdicts = 0

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
            self._path = new_folder(self._runs.resolve(), self._name)
        return self._path

    def next_name(self, kind: str) -> str:
        """Name a part, which is known from now on: one that never comes is UNKNOWN."""
        name = f"{kind}-{len(self._names) + 1}"
        self._names.append(name)
        self._failures[name] = "it was asked for and has not ended"
        return name

    def recorded(self, name: str, run: Path) -> None:
        """Take a part that was recorded."""
        self._parts[name] = run
        del self._failures[name]

    def broke(self, name: str, why: str) -> None:
        """Say why there is no record of a part."""
        self._failures[name] = why

    def judge(self, budget: Path | None, unproven: Mapping[str, str]) -> Judged:
        """Judge all parts by a budget, in a new folder; `unproven`: what else nobody can tell, by a
        name. Raises BadFileError, StorageError.
        """
        self._verdicts += 1
        folder = self.make() / f"verdict-{self._verdicts}"
        with translated(folder):
            folder.mkdir()
            if budget is not None:
                shutil.copyfile(budget, folder / suite.BUDGET)
        played = {name: os.path.relpath(run, folder) for name, run in self._parts.items()}
        failures = {**self._failures, **unproven}
        suite.write(folder, self._name, self._names, played, failures)
        for latest_in in (self._runs.resolve(), self.make()):
            point_latest(latest_in, folder)
        return suite.judge(folder)
