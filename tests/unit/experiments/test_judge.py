"""The judge on a run folder that was damaged: it never breaks, never accuses, and never praises
what is gone; what the damage left whole keeps its answer.

`HARNESS_DAMAGES` sets how many (`make evidence`: 500).
"""

from __future__ import annotations

import os
import random
import shutil
import tomllib
from collections import Counter
from dataclasses import replace

import pytest
from kit import damage, run_folders
from kit.damage import Damage

from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError
from harness.experiments import judge
from harness.history import manifest
from harness.history.gaps import ALWAYS, Part, Parts
from harness.scenario import files

COUNT = int(os.environ.get("HARNESS_DAMAGES", "48"))
BUDGET = files.budget_from(tomllib.loads(run_folders.BUDGET), "budget.toml", "budget")
FOUNDATIONS = ALWAYS | {Part.BUDGET}
# Asked only where a row was missed, and none of these is.
UNASKED = {Part.HOST}
KINDS = tuple(damage.ACTS)


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return run_folders.good(tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def tally():
    """How many damages of each kind were judged, and what was held of their rows."""
    return Counter()


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


def assert_true(verdict: Verdict, done: Damage, parts: Parts) -> Counter:
    """Hold a verdict against what was done, and touched `parts` of the record. Count the rows that
    had to be PASS, and those that had to be UNKNOWN.
    """
    answers = {finding.name: finding.answer for finding in verdict.findings}
    assert Answer.FAIL not in answers.values(), done
    if not parts <= UNASKED:
        assert verdict.answer is Answer.UNKNOWN, done
    held = Counter(rows=len(BUDGET.rows))
    if Part.BUDGET in done.gone:
        return held
    for row in BUDGET.rows:
        if damage.rests_on(row, done.gone, done.phase, done.nodes):
            assert answers[row.name] is Answer.UNKNOWN, (done, row.name)
            held["refused"] += 1
        elif not parts & FOUNDATIONS and not damage.rests_on(row, parts, done.phase, done.nodes):
            assert answers[row.name] is Answer.PASS, (done, row.name)
            held["kept"] += 1
    return held


@pytest.mark.parametrize("seed", range(COUNT))
def test_damage(good, tmp_path, tally, seed):
    folder = tmp_path / "run"
    shutil.copytree(good, folder)
    kind = KINDS[seed % len(KINDS)]
    done = damage.ACTS[kind](random.Random(seed), folder)
    changed = damage.changed(good, folder)
    assert changed, done
    tally[kind] += 1
    parts = frozenset[Part]().union(*map(damage.part_of, changed))
    found = judged(folder, with_reports=True)
    if found is None:
        assert Part.METADATA in parts, done
        return
    lost, nodes = damage.disbelieved(folder, changed), damage.nodes_of(changed)
    sealed = replace(done, gone=lost, phase=None, nodes=nodes)
    tally.update(assert_true(found, sealed, parts))
    manifest.write(folder)
    again = judged(folder)
    if done.shows and again is not None:
        tally.update(assert_true(again, done, parts))


def test_what_was_held(tally):
    """A judge that always says UNKNOWN, or never, does not come so far."""
    if sum(tally[kind] for kind in KINDS) < COUNT:
        pytest.skip("not all damages were judged")
    kept, refused = (tally[word] / tally["rows"] for word in ("kept", "refused"))
    counts = ", ".join(f"{tally[kind]} × {kind}" for kind in KINDS)
    print(
        f"\n{COUNT} damages ({counts}); of {tally['rows']:,} answers of rows {kept:.0%} had to "
        f"stay PASS and did, {refused:.0%} had to be UNKNOWN and were"
    )
    assert kept > 0.3
    assert refused > 0.2
