"""What came of a search for the smallest scenario that still fails: its files, and what is said of
it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checks.verdict import Answer
from harness.errors import InterruptedByUserError
from harness.experiments import case as cases
from harness.experiments import reductions
from harness.experiments.case import Case, Documents
from harness.experiments.delta_debugging import Drop, Lower, Search, Trials
from harness.experiments.failure import Failure, Key, names
from harness.experiments.sequential_test import Decision, Estimate, Outcome, SequentialTest
from harness.history.folder import translated
from harness.kernel.files import replace_text, replace_texts
from harness.topology.quantities import percent

VERSION = 1
FILE = "shrink.json"
SMALLEST = "smallest"


@dataclass(slots=True, kw_only=True)
class Shrunk:
    """What is known of one search, while it goes on and at its end."""

    run: Path
    failure: Failure
    original: Case
    folder: Path
    estimated: Estimate | None = None
    test: SequentialTest | None = None  # of the candidates
    search: Search[Case] | None = None
    last: Decision | None = None  # of the smallest one's own file; None: it was not played
    failed: Collection[Key] = ()  # the findings by which the smallest one was seen to fail
    runs: int = 0
    seconds: float = 0.0
    is_interrupted: bool = False
    file: Path | None = None  # the smallest one's that was written last; None: none was

    @property
    def best(self) -> Case:
        """The smallest case that was found to fail."""
        return self.original if self.search is None else self.search.best

    @property
    def is_minimal(self) -> bool:
        """Whether no single part of it can be left out, as far as the runs tell."""
        return self.search is not None and self.search.is_minimal

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
            did = "does not fail" if self.last.outcome is Outcome.PASSES else "is not decided"
            return f"{said}; but its own file {did}: {self.last}"
        more = "" if self.is_minimal else "; a smaller one may fail too: not all was decided"
        return f"{said}; played by its own file: {self.last}{more}"

    def facts(self) -> dict[str, Any]:
        """Return what shrink.json holds."""
        dropped, changed = cases.differences(self.original, self.best)
        test, found = self.test, self.estimated
        return {
            "version": VERSION,
            "run": str(self.run),
            "findings": _keys(self.failure.findings),
            "failed": _keys(self.failed),
            "sentence": self.sentence(),
            "original": {
                **self.original.documents().counts(),
                "fails": found and found.fails,
                "passes": found and found.passes,
                "unresolved": found and found.unresolved,
            },
            "test": test and {"p1": test.p1, "p0": test.p0, "alpha": test.alpha, "beta": test.beta},
            "smallest": {
                **self.best.documents().counts(),
                "fails": self.last and self.last.fails,
                "passes": self.last and self.last.passes,
                "unresolved": self.last and self.last.unresolved,
            },
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
        self.write_as(self.folder / f"{SMALLEST}{cases.FILE}")
        with translated(self.folder / FILE):
            if self.best.documents().budget is None:  # of a larger one
                (self.folder / f"{SMALLEST}{cases.BUDGET}").unlink(missing_ok=True)
            replace_text(self.folder / FILE, json.dumps(self.facts(), indent=1) + "\n")

    def write_as(self, file: Path) -> None:
        """Write the smallest scenario to this file, with topology and budget beside it. Raises
        StorageError.
        """
        with translated(file):
            texts = self.written(file.stem).items()
            replace_texts({file.with_name(name): text for name, text in texts})
        self.file = file

    def written(self, stem: str) -> dict[str, str]:
        """Return the files of the smallest scenario, with comments that say how it came about."""
        return self._commented().written(stem, "\n".join(self._header()))

    def _header(self) -> list[str]:
        dropped, changed = cases.differences(self.original, self.best)
        does = "Fails" if self.is_verified else "Failed" if self.failed else "Searched for"
        lines = [f"{does}: {names(self.failed or self.failure.findings)}"]
        if self.failed and (others := self.failure.findings - set(self.failed)):
            lines.append(f"Failed in the original, and was not seen to in this: {names(others)}")
        lines += [f"Made by `harness shrink` from {self.run}", self.sentence()]
        if (test := self.test) is not None:
            p1, p0, *errors = map(percent, (test.p1, test.p0, test.alpha, test.beta))
            lines += [
                f"The original failed in {self.estimated}. By a sequential test a candidate fails",
                f"if {p1} or more of its runs do, and does not if {p0} or fewer do (errors:",
                f"{' and '.join(errors)}).",
            ]
        if self.search is not None:
            lines.append(_tried(self.search.trials, self.runs, self.seconds))
        for what, some in (
            ("Left out:", dropped),
            ("Changed:", changed),
            ("Tried beyond that:", list(self._beyond())),
        ):
            lines += [what, *(f"  {one}" for one in some)] if some else []
        return lines

    def _commented(self) -> Documents:
        """The smallest one's documents; what was found to be needed says so in a comment."""
        found = self.best.documents()
        if self.search is None:
            return found
        for one in reductions.passes(self.failure.phases):
            if not isinstance(one, Drop) or one.name not in reductions.TABLES:
                continue
            tables = reductions.TABLES[one.name](found)
            for part, table in zip(one.parts(self.best), tables, strict=False):
                without = one.without(self.best, {part})
                decision = None if without is None else self.search.trials.decided.get(without)
                if decision is not None:
                    table[cases.COMMENT] = f"without this: {decision.outcome} ({decision})"
        return found

    def _beyond(self) -> Iterator[str]:
        """Say of each number that was lowered as far as it goes how the next value did. Of one that
        was being lowered when the runs were used up nobody knows it.
        """
        if self.search is None:
            return
        for one in reductions.passes(self.failure.phases):
            for number in one.numbers(self.best) if isinstance(one, Lower) else ():
                low = self.search.lows.get(number.name, number.value)
                further = number.put(self.best, low) if number.is_ahead(low) else None
                made = None if further is None else self.search.trials.decided.get(further)
                if further is None or made is None or further == self.best:
                    continue
                _, changed = cases.differences(self.best, further)
                yield f"{', '.join(changed)}: {made.outcome} ({made})"


def _keys(findings: Collection[Key]) -> list[dict[str, str]]:
    return [{"name": name, "phase": phase} for name, phase in sorted(findings)]


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
