"""Judge a run folder: a pure function of what is in it.

So the same verdict comes out later and elsewhere.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from harness import checks
from harness.checks import rows as budget_rows
from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError
from harness.experiments import fidelity
from harness.history import metadata, reader, store
from harness.history.folder import translated
from harness.history.gaps import Gap, Part
from harness.history.history import History
from harness.kernel.files import replace_text
from harness.reports import FORMATS, headline, render, text
from harness.reports.suite_part import SuitePart
from harness.reports.terminal import plain
from harness.scenario import files
from harness.scenario.budget import Budget, Row

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class Judged:
    """A run and its verdict."""

    run: Path
    verdict: Verdict
    facts: Mapping[str, Any]
    history: History | None = None  # None: of several runs (a suite)
    parts: tuple[SuitePart, ...] = ()  # of a suite

    def __bool__(self) -> bool:
        """Refuse to be a truth: there are three answers, and UNKNOWN is none of both."""
        raise TypeError(
            "a judged run is neither true nor false: ask `passed`, which is False for UNKNOWN too, "
            "or `answer`"
        )

    def __eq__(self, other: object) -> bool:
        """Refuse to be compared with a truth, or an answer, which it never is."""
        if isinstance(other, (bool, str)):
            raise TypeError(f"a judged run is never {other!r}: ask its `passed`, or its `answer`")
        return self is other

    __hash__ = object.__hash__

    def __repr__(self) -> str:
        """Say the answer, and why it is not PASS: what a failed assertion shows, which cuts it
        short.
        """
        first = headline.first(self.verdict)
        said = headline.counts(self.verdict) if first is None else headline.told(first)
        return f"<{self.answer}: {said}>"

    @property
    def answer(self) -> Answer:
        """PASS, FAIL or UNKNOWN: compare it, for it is neither true nor false."""
        return self.verdict.answer

    @property
    def passed(self) -> bool:
        """Whether the answer is PASS; False for UNKNOWN, as for FAIL."""
        return self.answer is Answer.PASS

    @property
    def why(self) -> str:
        """Why the answer is not PASS, in one sentence; empty where it is."""
        return headline.why(self.verdict)

    @property
    def exit_code(self) -> int:
        """The exit code: 0 PASS, 1 FAIL, 2 UNKNOWN."""
        return self.verdict.answer.exit_code

    def report(self) -> Group:
        """Return the one-screen report."""
        told = text.render(self.verdict, self.facts, str(self.run))
        unsealed = headline.unsealed(self.history, self.parts)
        return Group(told, Text.assemble(plain(unsealed), style="dim")) if unsealed else told

    def write(self) -> None:
        """Write verdict.json and the reports into the run folder, and its rows into the history
        beside it, where there is one. Raises StorageError.
        """
        with translated(self.run):
            replace_text(self.run / "verdict.json", json.dumps(self.as_json(), indent=1) + "\n")
            replace_text(self.run / "summary.txt", text.to_text(self.report()))
            for name, (_, file) in FORMATS.items():
                replace_text(self.run / file, self.rendered(name))
        store.note(self.run)

    def rendered(self, format_: str) -> str:
        """Return the verdict in one of reports.FORMATS, or as ``text`` or ``json``.

        Raises UsageError for another format.
        """
        if format_ == "text":
            return text.to_text(self.report())
        if format_ == "json":
            return json.dumps(self.as_json(), indent=1) + "\n"
        return render(format_, self.verdict, self.facts, str(self.run), self.history, self.parts)

    def as_json(self) -> dict[str, Any]:
        """Return what verdict.json holds (docs/run-folder.md)."""
        return {
            "version": VERSION,
            "run": str(self.run),
            "answer": str(self.verdict.answer),
            "exit_code": self.exit_code,
            **{key: self.facts[key] for key in (headline.JUDGED_BY,) if key in self.facts},
            "rows": self.verdict.rows(),
            "findings": [asdict(finding) for finding in self.verdict.findings],
        }


def judge(run: Path, budget: Path | None = None, *, write: bool = True) -> Judged:
    """Judge a run folder (or the ``latest`` in a folder of runs) by its own budget, or another one.

    Writes verdict.json, summary.txt and the other reports into the folder unless told not to; a
    judgement by another budget never does. Raises BadFileError where it is no run folder, or a
    budget names what cannot be measured.
    """
    run = reader.find(run)
    if budget:
        judged = judge_by(run, files.read_budget(budget).rows)
        return replace(judged, facts={**judged.facts, headline.JUDGED_BY: str(budget.resolve())})
    judged = _judged(run, *own_rows(run, reader.read(run)))
    if write:
        judged.write()
    return judged


def judge_by(run: Path, rows: Sequence[Row]) -> Judged:
    """Judge a run folder by these rows, whatever its own budget is; writes nothing.

    Raises BadFileError as `judge` does.
    """
    budget_rows.validate(rows, metadata.words_of(reader.metadata(run)))
    return _judged(run, rows, _without_budget(reader.read(run)))


def _judged(run: Path, rows: Sequence[Row], history: History) -> Judged:
    verdict = checks.judge(history, rows)
    return Judged(run=run, verdict=verdict, facts=_facts(run), history=history)


def _facts(run: Path) -> dict[str, Any]:
    """What is said of a run beside its verdict; of a replay also how near it came, as far as that
    was compared.
    """
    facts = reader.metadata(run)
    return {**facts, "fidelity": fidelity.kept(run)} if facts.get("replay") else facts


def own_rows(run: Path, history: History) -> tuple[tuple[Row, ...], History]:
    """Return the rows of a run's own budget; one that cannot be used is a gap of the history."""
    try:
        budget = budget_of(run)
        rows = budget.rows if budget else ()
        budget_rows.validate(rows, None)
    except BadFileError as error:
        lost = Gap(what=frozenset({Part.BUDGET}), why=str(error))
        return (), replace(history, gaps=(*history.gaps, lost))
    return rows, history


def _without_budget(history: History) -> History:
    """The history for a judgement by another budget, which the run's own does not touch."""
    gaps = (replace(gap, what=gap.what - {Part.BUDGET}) for gap in history.gaps)
    return replace(history, gaps=tuple(gap for gap in gaps if gap.what))


def budget_of(path: Path) -> Budget | None:
    """Return the budget of a run folder, None where the run had none. Raises BadFileError."""
    file = path / "budget.toml"
    if not file.is_file():
        return None
    try:
        read = tomllib.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    return files.budget_from(read, str(file), "budget")
