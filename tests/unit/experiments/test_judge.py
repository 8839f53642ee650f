"""The judge on a run folder that was damaged: it never breaks, never accuses, and never praises
what is gone; what the damage left whole keeps its answer.

`HARNESS_DAMAGES` sets how many (`make evidence`: 500).
"""

from __future__ import annotations

import os
import random
import shutil
import tomllib

import pytest
from kit import damage, run_folders
from kit.damage import Damage

from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError
from harness.experiments import judge
from harness.history import manifest
from harness.history.gaps import ALWAYS, Part
from harness.scenario import files

COUNT = int(os.environ.get("HARNESS_DAMAGES", "44"))
BUDGET = files.budget_from(tomllib.loads(run_folders.BUDGET), "budget.toml", "budget")
FOUNDATIONS = ALWAYS | {Part.BUDGET}
# Asked only where a row was missed, and none of these is.
UNASKED = {Part.HOST}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return run_folders.good(tmp_path_factory.mktemp("runs"))


def judged(folder, *, with_reports: bool = False) -> Verdict | None:
    """None: it is no run folder any more."""
    try:
        found = judge.judge(folder, write=False)
    except BadFileError:
        return None
    if with_reports:
        found.rendered("html")
    return found.verdict


def test_the_good_one_is_good(good):
    verdict = judged(good, with_reports=True)
    assert {finding.answer for finding in verdict.findings} == {Answer.PASS}
    assert {finding.name for finding in verdict.findings} > {row.name for row in BUDGET.rows}


def assert_true(verdict: Verdict, done: Damage, node: str | None) -> None:
    """Hold a verdict against what was done; `node`: the only one whose record it touched."""
    answers = {finding.name: finding.answer for finding in verdict.findings}
    assert Answer.FAIL not in answers.values(), done
    if not done.parts <= UNASKED:
        assert verdict.answer is Answer.UNKNOWN, done
    if done.parts & FOUNDATIONS:
        return
    for row in BUDGET.rows:
        metric, named = METRICS[row.metric], row.conditions.node
        others = metric.by_node and None not in (node, named) and named != node
        if others or not damage.needs_of(row) & done.parts:
            assert answers[row.name] is Answer.PASS, (done, row.name)


@pytest.mark.parametrize("seed", range(COUNT))
def test_damage(good, tmp_path, seed):
    folder = tmp_path / "run"
    shutil.copytree(good, folder)
    done = damage.ACTS[seed % len(damage.ACTS)](random.Random(seed), folder)
    found = judged(folder, with_reports=True)
    if found is None:
        assert Part.METADATA in done.parts, done
        return
    assert_true(found, done, done.node if done.parts == {Part.JOURNAL} else None)
    manifest.write(folder)
    again = judged(folder)
    if done.shows and again is not None:
        assert_true(again, done, done.node)
