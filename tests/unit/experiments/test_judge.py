"""The judge on a run folder that was damaged: it never breaks, never accuses, and never praises
what is gone; what the damage left whole keeps its answer.

`HARNESS_DAMAGES` sets how many (`make evidence`: 500).
"""

from __future__ import annotations

import html
import json
import os
import random
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from dataclasses import replace

import pytest
from kit import damage, run_folders
from kit.damage import Damage

from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError
from harness.experiments import judge, original, replay
from harness.history import manifest
from harness.history.gaps import ALWAYS, Part
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


def test_who_judges_a_run_loads_nothing_that_plays_one(good):
    """It was four tenths of the CPU that `harness judge` took of a short run."""
    code = (
        "import sys, harness; from pathlib import Path; "
        "harness.judge(Path(sys.argv[1]), write=False); "
        "print(*{'docker', 'pyroute2', 'requests', 'scipy'} & {*sys.modules})"
    )
    said = subprocess.check_output([sys.executable, "-c", code, str(good)], text=True)
    assert said.split() == []


def test_a_judgement_by_another_budget_says_how_to_say_it_again(good, tmp_path):
    other = tmp_path / "an other.toml"
    other.write_text(run_folders.BUDGET)
    page = html.unescape(judge.judge(good, other).rendered("html"))
    assert f"harness judge {good} --budget '{other}'" in page


def test_a_judgement_by_another_budget_says_so_in_every_form(good, tmp_path):
    """A comment of CI, and its JUnit, said PASS by a lax one as if it were the run's own."""
    other = tmp_path / "lax.toml"
    other.write_text(run_folders.BUDGET)
    mine, lax = judge.judge(good, write=False), judge.judge(good, other)
    for form in ("json", "junit", "markdown", "text", "html"):
        assert str(other.resolve()) in lax.rendered(form).replace("\\", ""), form
        assert str(other.resolve()) not in mine.rendered(form)
    assert lax.as_json()["judged_by"] == str(other.resolve())
    assert "judged_by" not in mine.as_json()


def test_the_report_of_a_replay_says_how_near_it_came_once_that_was_compared(good, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(good, again)
    facts = json.loads((again / "metadata.json").read_text())
    facts["replay"] = {"of": {"run": str(good), "name": "small"}, "fork": None}
    (again / "metadata.json").write_text(json.dumps(facts))
    manifest.write(again)
    unknown = "How near it came is not known"
    assert unknown in judge.judge(again, write=False).rendered("html")
    replay.compared(original.read(good), replay._first_answers(good), again)
    page = judge.judge(again, write=False).rendered("html")
    assert "Fidelity 1 of 1: the least of its parts" in page
    assert os.path.relpath(good / "report.html", again) in page
    (again / "fidelity.json").write_text("{" * 100_000)
    assert unknown in judge.judge(again, write=False).rendered("html")


def assert_true(verdict: Verdict, gone: list[Damage], touched: list[Damage]) -> Counter:
    """Hold a verdict against what is `gone`, of all that was `touched`. Count the rows that had to
    be PASS, and those that had to be UNKNOWN.
    """
    answers = {finding.name: finding.answer for finding in verdict.findings}
    parts = frozenset[Part]().union(*(one.gone for one in touched))
    assert Answer.FAIL not in answers.values(), gone
    if not parts <= UNASKED:
        assert verdict.answer is Answer.UNKNOWN, gone
    held = Counter(rows=len(BUDGET.rows))
    if any(Part.BUDGET in one.gone for one in gone):
        return held
    for row in BUDGET.rows:
        if damage.rests_on(row, gone):
            assert answers[row.name] is Answer.UNKNOWN, (gone, row.name)
            held["refused"] += 1
        elif not parts & FOUNDATIONS and not damage.rests_on(row, touched):
            assert answers[row.name] is Answer.PASS, (gone, row.name)
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
    touched = damage.touched(changed)
    found = judged(folder, with_reports=True)
    if found is None:
        assert any(Part.METADATA in one.gone for one in touched), done
        return
    tally.update(assert_true(found, damage.disbelieved(folder, changed), touched))
    manifest.write(folder)
    again = judged(folder)
    if done.shows and again is not None:
        of_it = [replace(one, phase=done.phase, nodes=done.nodes or one.nodes) for one in touched]
        tally.update(assert_true(again, [done], of_it))


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
