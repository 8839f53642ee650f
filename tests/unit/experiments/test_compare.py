"""Comparing run folders, folders of runs and baselines."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
from kit.run_folders import good

from harness.checks.changes import Level, Thresholds
from harness.checks.verdict import Answer
from harness.errors import BadFileError, NameTakenError, UsageError
from harness.experiments import baseline, side
from harness.experiments.compare import Side, compare, gathered, of_sides, run_folders
from harness.experiments.judge import judge
from harness.reports import comparison
from harness.scenario.budget import Conditions, Row

JITTER = (0.99, 1.0, 1.01, 0.995, 1.005)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Runs of 2 ms, again, and of 3 ms, five each, which vary by a percent."""
    root = tmp_path_factory.mktemp("sides")
    for name, took_ms in (("base", 2), ("same", 2.001), ("slow", 3)):
        for jitter in JITTER:
            good(root / name, took_ms * jitter)
    return root


def row_of(found, name):
    return next(row for row in found.rows if row.name == name)


def test_a_slower_side_fails_and_says_by_how_much(folders):
    found = compare(str(folders / "base"), str(folders / "slow"))
    assert found.answer is Answer.FAIL
    worse = [row for row in found.rows if row.answer is Answer.FAIL]
    assert worse
    for row in worse:
        assert row.change == pytest.approx(0.5, abs=0.05)
        assert row.p <= 0.01
    assert found.as_json()["exit_code"] == 1


def test_the_same_side_again_does_not(folders):
    found = compare(str(folders / "base"), str(folders / "same"))
    assert not [row for row in found.rows if row.level is not Level.NONE]
    assert found.answer is not Answer.FAIL
    assert "none is said to have changed" in found.sentence() or "UNKNOWN" in found.sentence()


def test_nothing_is_written(folders):
    before = sorted(folders.rglob("*"))
    compare(str(folders / "base"), str(folders / "same"))
    assert sorted(folders.rglob("*")) == before


def test_a_baseline_stands_for_its_runs(folders, tmp_path):
    played = gathered([str(folders / "base")], runs=tmp_path)
    baseline.save(tmp_path, "v1", played)
    by_name = compare("v1", str(folders / "slow"), runs=tmp_path).as_json()
    by_file = compare(str(tmp_path / "baselines/v1.json"), str(folders / "slow")).as_json()
    direct = compare(str(folders / "base"), str(folders / "slow")).as_json()
    assert by_name["rows"] == by_file["rows"] == direct["rows"]
    assert baseline.names(tmp_path) == ["v1"]
    assert baseline.listed(tmp_path)[0]["runs"] == 5
    with pytest.raises(NameTakenError, match="--replace"):
        baseline.save(tmp_path, "v1", played)
    baseline.save(tmp_path, "v1", played[:1], replace=True)
    assert baseline.listed(tmp_path)[0]["runs"] == 1
    baseline.remove(tmp_path, "v1")
    assert baseline.listed(tmp_path) == []
    with pytest.raises(UsageError, match="expected one of none"):
        baseline.remove(tmp_path, "v1")


def test_a_run_has_a_json_form(folders):
    for one in side.read(run_folders(folders / "base")[:1]):
        again = side.Played.from_json(json.loads(json.dumps(one.as_json())))
        assert again == one
        infinite = replace(one.rows[0], told=replace(one.rows[0].told, value=float("inf")))
        lost = replace(one, rows=(infinite,))
        assert side.Played.from_json(json.loads(json.dumps(lost.as_json()))) == lost


@pytest.mark.parametrize(
    "text", ["", "{}", '{"version": 9}', '{"version": 1, "runs": [{}]}', '{"version": 1}', "[]"]
)
def test_what_is_no_baseline_is_refused(folders, tmp_path, text):
    (tmp_path / "torn.json").write_text(text)
    with pytest.raises(BadFileError):
        compare(str(tmp_path / "torn.json"), str(folders / "base"))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("rows", 0, "told", "value"), float("nan")),
        (("rows", 0, "told", "value"), -1),
        (("rows", 0, "told", "value"), "12"),
        (("rows", 0, "told", "why"), 5),
        (("rows", 0, "better"), "upper"),
        (("rows", 0, "phase"), None),
        (("rows",), 5),
        (("surroundings",), []),
        (("surroundings", "host"), "k"),
        (("others",), "much"),
        (("answer",), 1),
    ],
)
def test_a_baseline_that_somebody_changed_is_refused(folders, tmp_path, path, value):
    kept = side.read(run_folders(folders / "base")[:1])[0].as_json()
    *way, last = path
    inner = kept
    for key in way:
        inner = inner[key]
    inner[last] = value
    file = tmp_path / "b.json"
    file.write_text(json.dumps({"version": 1, "runs": [kept]}))
    with pytest.raises(BadFileError, match="expected a baseline, found what is none"):
        baseline.read(file)


def test_a_baseline_without_runs_is_refused(tmp_path):
    (tmp_path / "none.json").write_text('{"version": 1, "runs": []}')
    with pytest.raises(BadFileError, match="at least 1 run"):
        baseline.read(tmp_path / "none.json")


@pytest.fixture
def sides(folders):
    return [
        Side(named=name, runs=side.read(run_folders(folders / name))) for name in ("base", "slow")
    ]


def elsewhere(some: Side, part="kernel", **facts) -> Side:
    return replace(
        some,
        runs=tuple(
            replace(run, surroundings={**run.surroundings, part: facts}) for run in some.runs
        ),
    )


def test_another_kernel_leaves_all_open_unless_it_is_named(sides):
    base, head = sides[0], elsewhere(sides[1], release="other")
    found = of_sides(base, head, thresholds=Thresholds())
    assert found.answer is Answer.UNKNOWN
    assert {row.answer for row in found.rows} == {Answer.UNKNOWN}
    assert "not comparable: they differ in kernel" in {row.sentence for row in found.rows}
    assert found.differs == {"kernel": ["release: k / other"]}
    told = of_sides(base, head, despite=["kernel"], thresholds=Thresholds())
    assert told.answer is Answer.FAIL
    assert told.sentence().endswith("although the sides differ in kernel")
    text = comparison.as_text(told.as_json())
    assert "differs, and may: kernel: release: k / other" in text


def test_one_run_of_a_side_that_differs_is_enough(sides):
    base, head = sides
    runs = (*elsewhere(Side(named="", runs=head.runs[:1]), release="x").runs, *head.runs[1:])
    assert of_sides(base, replace(head, runs=runs), thresholds=Thresholds()).answer is (
        Answer.UNKNOWN
    )


def test_the_program_under_test_may_differ_and_is_told(sides):
    base, head = sides[0], elsewhere(sides[1], "subject", meshnode="2")
    found = of_sides(base, head, thresholds=Thresholds())
    assert found.answer is Answer.FAIL
    assert "compared: subject: meshnode: – / 2" in comparison.as_text(found.as_json())


def test_another_row_of_the_same_name_is_not_compared(sides):
    base, head = sides
    first = base.runs[0].rows[0]
    runs = tuple(
        replace(run, rows=(replace(run.rows[0], definition="p99 of x"), *run.rows[1:]))
        for run in base.runs
    )
    found = of_sides(replace(base, runs=runs), head, thresholds=Thresholds())
    row = row_of(found, first.name)
    assert row.answer is Answer.UNKNOWN
    assert "another row: p99 of x" in row.sentence


def test_a_row_of_one_side_alone_is_unknown(sides):
    base, head = sides
    runs = tuple(replace(run, rows=run.rows[1:]) for run in head.runs)
    found = of_sides(base, replace(head, runs=runs), thresholds=Thresholds())
    assert "the run has no such row" in row_of(found, base.runs[0].rows[0].name).sentence


def test_others_on_the_host_are_seen_and_may_be_named(sides):
    base, head = (
        replace(one, runs=tuple(replace(run, others=share) for run in one.runs))
        for one, share in zip(sides, (0.1, 0.6), strict=True)
    )
    found = of_sides(base, head, thresholds=Thresholds())
    assert found.answer is Answer.UNKNOWN
    assert "others took 10% of the host beside base, 60% beside head" in found.remarks[0]
    assert of_sides(base, head, despite=["others"], thresholds=Thresholds()).answer is Answer.FAIL


def test_sides_that_were_not_played_in_turns_are_told(sides):
    base, head = (
        replace(one, runs=tuple(replace(run, started=at) for run in one.runs))
        for one, at in zip(sides, ("2026-01-01", "2026-01-02"), strict=True)
    )
    found = of_sides(base, head, thresholds=Thresholds())
    assert any("runs in turns are free of it" in one for one in found.remarks)


def test_rows_are_picked_by_pattern(sides):
    name = sides[0].runs[0].rows[0].name
    found = of_sides(*sides, rows=[f"{name[:4]}*"], thresholds=Thresholds())
    assert {row.name[:4] for row in found.rows} == {name[:4]}
    with pytest.raises(UsageError, match="--row: expected one of"):
        of_sides(*sides, rows=["nothing*"], thresholds=Thresholds())


def test_a_run_is_not_held_against_itself(sides):
    with pytest.raises(UsageError, match="is there twice: one run would count as two"):
        of_sides(sides[0], sides[0], thresholds=Thresholds())


def test_a_copy_of_a_run_is_that_run(folders, tmp_path):
    first = run_folders(folders / "base")[0]
    shutil.copytree(first, tmp_path / "copy")
    with pytest.raises(UsageError, match=f"is there also as {first}"):
        compare(str(folders / "base"), str(tmp_path / "copy"))
    with pytest.raises(UsageError, match="is there also as"):
        gathered([str(first), str(tmp_path / "copy")], runs=tmp_path)


def test_a_run_named_twice_does_not_count_twice(folders):
    one = str(run_folders(folders / "base")[0])
    with pytest.raises(UsageError, match="is there twice"):
        gathered([one, one], runs=folders)


def test_what_is_no_side_is_refused(folders, tmp_path):
    (tmp_path / "empty").mkdir()
    for wrong, error in (("nowhere", UsageError), ("empty", BadFileError)):
        with pytest.raises(error, match="expected"):
            compare(str(tmp_path / wrong), str(folders / "base"))
    with pytest.raises(UsageError, match=r"--despite: expected one of host, .*did you mean"):
        compare("a", "b", despite=["kernle"])


def test_runs_of_several_scenarios_have_to_be_picked(folders, tmp_path):
    for folder in (good(tmp_path), good(tmp_path)):
        facts = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**facts, "name": "other"}))
    with pytest.raises(UsageError, match="runs of 2 scenarios"):
        compare(str(tmp_path), str(folders / "base"))
    with pytest.raises(UsageError, match="--scenario: expected one of other, small"):
        compare(str(tmp_path), str(folders / "base"), scenario="thrid")


def test_a_run_without_a_budget_is_measured(folders, tmp_path):
    found = []
    for name in ("a", "b"):
        folder = good(tmp_path / name)
        (folder / "budget.toml").unlink()
        facts = json.loads((folder / "metadata.json").read_text())
        facts["inputs"].remove("budget.toml")
        (folder / "metadata.json").write_text(json.dumps(facts))
        found += [row.name for row in side.read([folder])[0].rows]
    assert "private_message.end_to_end p50" in found
    assert "rss max" in found


def test_a_damaged_run_is_unknown_and_no_value(folders, tmp_path):
    folder = good(tmp_path)
    (folder / "load" / "operations-0.arrow").unlink()
    [played] = side.read([folder])
    lost = [row.told for row in played.rows if "broadcast" in row.definition]
    assert lost
    assert all(one.value is None and one.why for one in lost)


def test_what_was_judged_is_believed_where_all_else_is_gone(folders, tmp_path):
    for name in ("base", "slow"):
        shutil.copytree(folders / name, tmp_path / name, symlinks=True)
        for run in run_folders(tmp_path / name):
            judge(run)
            for bulk in ("load", "journal"):
                shutil.rmtree(run / bulk)
    sides = [str(tmp_path / name) for name in ("base", "slow")]
    assert compare(*sides).answer is Answer.UNKNOWN
    believed = compare(*sides, as_judged=True)
    anew = compare(str(folders / "base"), str(folders / "slow"))
    assert believed.rows == anew.rows
    (run_folders(tmp_path / "slow")[0] / "verdict.json").write_text('{"findings": [{}]}')
    with pytest.raises(BadFileError, match="expected a verdict, found none"):
        compare(*sides, as_judged=True)
    with pytest.raises(UsageError, match="--budget"):
        compare(*sides, as_judged=True, budget=tmp_path / "b.toml")


def test_links_are_no_runs_of_their_own(folders):
    assert len(run_folders(folders / "base")) == len(JITTER)  # and `latest`, which is one of them
    assert (folders / "base" / "latest").is_symlink()


def test_a_row_with_another_condition_is_another_row():
    """Shares of what came within a second, and of what came ever, were held against each other."""
    row = Row(name="r", metric="private_message.delivered", statistic="mean", unit="%", bound=99)
    of = [
        side._definition(one)
        for one in (
            row,
            replace(row, within_ms=1000.0),
            replace(row, factor=3.0),
            replace(row, conditions=Conditions(phase="", process="supervisor")),
            replace(row, conditions=Conditions(phase="", under="slow")),
        )
    ]
    assert len(set(of)) == len(of)
    assert side._definition(replace(row, bound=50)) == of[0]
