"""Judge a run folder: a pure function of what is in it.

So the same verdict comes out later and elsewhere.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Group

from harness import checks
from harness.checks import rows as budget_rows
from harness.checks.verdict import Verdict
from harness.history import reader
from harness.history.folder import translated
from harness.history.history import History
from harness.reports import FORMATS, render, text
from harness.scenario import files
from harness.scenario.budget import Budget

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A run and its verdict."""

    run: Path
    verdict: Verdict
    facts: Mapping[str, Any]
    history: History | None = None  # None: of several runs (a suite)

    @property
    def exit_code(self) -> int:
        """The exit code: 0 PASS, 1 FAIL, 2 UNKNOWN."""
        return self.verdict.answer.exit_code

    def report(self) -> Group:
        """Return the one-screen report."""
        return text.render(self.verdict, self.facts, str(self.run))

    def write(self) -> None:
        """Write verdict.json and the reports into the run folder. Raises StorageError."""
        with translated(self.run):
            (self.run / "verdict.json").write_text(json.dumps(self.as_json(), indent=1) + "\n")
            (self.run / "summary.txt").write_text(text.to_text(self.report()))
            for name, (_, file) in FORMATS.items():
                (self.run / file).write_text(self.rendered(name))

    def rendered(self, format_: str) -> str:
        """Return the verdict in one of reports.FORMATS, or as ``text`` or ``json``.

        Raises UsageError for another format.
        """
        if format_ == "text":
            return text.to_text(self.report())
        if format_ == "json":
            return json.dumps(self.as_json(), indent=1) + "\n"
        return render(format_, self.verdict, self.facts, str(self.run), self.history)

    def as_json(self) -> dict[str, Any]:
        """Return what verdict.json holds (docs/run-folder.md)."""
        return {
            "version": VERSION,
            "run": str(self.run),
            "answer": str(self.verdict.answer),
            "exit_code": self.exit_code,
            "findings": [asdict(finding) for finding in self.verdict.findings],
        }


def judge(run: Path, budget: Path | None = None, *, write: bool = True) -> Judged:
    """Judge a run folder (or the ``latest`` in a folder of runs) by its own budget, or another one.

    Writes verdict.json, summary.txt and the other reports into the folder unless told not to; a
    judgement by another budget never does. Raises BadFileError where it is no run folder, or a
    budget names what cannot be measured.
    """
    run = reader.find(run)
    rows = files.read_budget(budget) if budget else budget_of(run)
    wanted = rows.rows if rows else ()
    budget_rows.validate(wanted)
    history = reader.read(run)
    judged = Judged(
        run=run, verdict=checks.judge(history, wanted), facts=reader.metadata(run), history=history
    )
    if write and budget is None:
        judged.write()
    return judged


def budget_of(path: Path) -> Budget | None:
    """Return the budget of a run folder, None where the run had none."""
    file = path / "budget.toml"
    if not file.is_file():
        return None
    return files.budget_from(tomllib.loads(file.read_text()), str(file), "budget")
