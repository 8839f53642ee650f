"""Folders of a verdict: of one run, of a suite, of a gate; each is judged by who made it."""

from __future__ import annotations

from pathlib import Path

from harness.experiments import kinds, suite
from harness.experiments.judge import Judged


def judge(run: Path, budget: Path | None = None, *, write: bool = True) -> Judged:
    """Judge a run's, a suite's or a gate's folder, or the ``latest`` in a folder of them: by its
    own budget, or a run by another one. Raises BadFileError where it is none of them.
    """
    for folder in (run, run / "latest"):
        if kinds.is_gate(folder):
            from harness.experiments import gate  # late: it also plays, half a second to import

            return gate.judge(folder, budget, write=write)
    return suite.judge(run, budget, write=write)
