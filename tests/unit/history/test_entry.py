"""An entry of the history is read of verdict.json and metadata.json, and survives JSON."""

from __future__ import annotations

import json
import math
import shutil

import pytest
from kit import judged_folders as folders

from harness.checks.verdict import Answer
from harness.errors import BadFileError
from harness.history import entry
from harness.history.entry import from_json, of_folder


def test_it_holds_every_finding(tmp_path):
    path = folders.run(tmp_path, 0, [folders.row(3.0), folders.row(None, "UNKNOWN", name="x")])
    found = of_folder(path, tmp_path)
    assert (found.run, found.kind, found.scenario, found.answer) == (
        "small/2026-03-01T02-00-00",
        "run",
        "small",
        "PASS",
    )
    assert [(one.name, one.answer, one.value, one.cause) for one in found.rows] == [
        ("p95", "PASS", 3.0, None),
        ("x", "UNKNOWN", None, "host limited"),
    ]


def test_a_value_that_never_came_is_endless(tmp_path):
    """JSON of Python's own says Infinity, and that of the history "inf"."""
    path = folders.run(tmp_path, 0, [folders.row(math.inf, "FAIL")])
    found = of_folder(path, tmp_path)
    assert found.rows[0].value == math.inf
    text = json.dumps(found.as_json(), allow_nan=False)
    assert from_json(json.loads(text)) == found


def test_a_copy_of_a_run_is_the_same_run(tmp_path):
    first = folders.run(tmp_path / "a", 0, [folders.row(3.0)])
    shutil.copytree(tmp_path / "a", tmp_path / "b", symlinks=True)
    copy = tmp_path / "b" / first.relative_to(tmp_path / "a")
    assert of_folder(copy, tmp_path / "b").id == of_folder(first, tmp_path / "a").id
    other = folders.run(tmp_path / "a", 1, [folders.row(3.0)])
    assert of_folder(other, tmp_path / "a").id != of_folder(first, tmp_path / "a").id


@pytest.mark.parametrize(
    "facts",
    [
        {"host": {**folders.HOST, "kernel": "6.19"}},
        {"host": {**folders.HOST, "cpu": "another"}},
        {"runtime": {"name": "docker"}},
        {"adapter": "serf"},
        {"network": {"tcp_congestion_control": "reno"}},
        {"nodes": [{}] * 4},
        {"load": {"streams": [{**folders.STREAMS[0], "rate_per_s": 20.0}]}},
        {"plan": [{"name": "load", "begin_s": 0.0, "end_s": 20.0}]},
    ],
    ids=lambda facts: next(iter(facts)),
)
def test_what_runs_must_have_in_common(tmp_path, facts):
    plain = of_folder(folders.run(tmp_path, 0, []), tmp_path)
    other = of_folder(folders.run(tmp_path, 1, [], **facts), tmp_path)
    again = of_folder(folders.run(tmp_path, 2, []), tmp_path)
    assert plain.environment == again.environment != other.environment


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("scenario.toml", '[[phase]]\nname = "load"\n[[phase.fault]]\ndelay = "10ms"'),
        ("scenario.toml", '[[phase]]\nname = "load"\n[[phase.fault]]\ndelay = "90ms"'),
        ("topology.toml", '[nodes]\ncount = 3\n[link]\ndelay = "10ms"'),
        ("topology.toml", '[nodes]\ncount = 3\n[shape]\nkind = "ring"'),
    ],
)
def test_faults_and_links_keep_runs_apart(tmp_path, file, text):
    """They were one series: the day on which a delay was put into the file, a row *got worse*."""
    made = [folders.run(tmp_path, number, []) for number in range(3)]
    plain = '[nodes]\ncount = 3\n[shape]\nkind = "full-mesh"\n[[phase]]\nname = "load"\n'
    for path in made[:2]:
        (path / file).write_text(plain.partition("[[")[0] if file[0] == "t" else plain)
    (made[2] / file).write_text(text)
    first, second, other = (of_folder(path, tmp_path).environment for path in made)
    assert first == second != other


def test_faults_that_were_set_by_hand_keep_runs_apart(tmp_path):
    slow = {"name": "slow", "words": "all delay 40ms", "from_s": 0.1, "to_s": None}
    by_hand = ([], [slow], [{**slow, "from_s": 0.2}], [{**slow, "to_s": 3.0}])
    plain, one, again, other = (
        of_folder(folders.run(tmp_path, number, [], by_hand=of), tmp_path).environment
        for number, of in enumerate(by_hand)
    )
    assert one == again
    assert len({*map(str, (plain, one, other))}) == 3
    assert plain == of_folder(folders.run(tmp_path, 9, []), tmp_path).environment


def test_other_versions_are_told_and_keep_runs_together(tmp_path):
    host = {**folders.HOST, "versions": {"meshnode": "0.2.0"}}
    plain = of_folder(folders.run(tmp_path, 0, []), tmp_path)
    other = of_folder(folders.run(tmp_path, 1, [], host=host), tmp_path)
    assert plain.environment == other.environment
    assert other.versions == {"meshnode": "0.2.0", "python": "3.11"}


def test_a_suite_is_what_its_parts_were_on(tmp_path):
    part = folders.run(tmp_path, 0, [folders.row(3.0)])
    path = folders.suite(tmp_path, 0, {"small": part})
    found = of_folder(path, tmp_path)
    assert (found.kind, found.scenario) == ("suite", "all")
    assert found.environment["kernel"] == "6.18"
    assert [one.phase for one in found.rows] == ["small/load"]


def test_a_window_of_a_soak_is_no_run_by_itself(tmp_path):
    """Their run folders may be gone: what the soak keeps of them tells what they were on."""
    path = folders.soak(tmp_path, 0, [3.0, 4.0])
    soak = of_folder(path, tmp_path)
    first, second = (of_folder(path / "windows" / f"000{n}", tmp_path) for n in (1, 2))
    assert (soak.kind, soak.scenario, soak.run) == ("soak", "steady", "steady/2026-03-01T02-00-00")
    assert (first.kind, first.scenario) == ("window", "steady")
    assert first.started == "2026-03-01T02:10:00+00:00"
    assert len({soak.id, first.id, second.id}) == 3
    assert first.environment == second.environment
    assert first.environment["kernel"] == "6.18"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '"x"',
        "[" * 100_000,
        '{"answer": "PASS"}',
        '{"answer": "GOOD", "findings": []}',
        '{"answer": "PASS", "findings": [1]}',
        '{"answer": "PASS", "findings": [{"name": "x"}]}',
        '{"answer": "PASS", "findings": [{"name": "x", "answer": "FINE"}]}',
        '{"answer": "PASS", "findings": [{"name": 1, "answer": "PASS"}]}',
        '{"answer": "PASS", "findings": [{"name": "x", "answer": "PASS", "value": "3"}]}',
        '{"answer": "PASS", "findings": [{"name": "x", "answer": "PASS", "value": NaN}]}',
        '{"answer": "PASS", "findings": [{"name": "x", "answer": "PASS", "value": true}]}',
    ],
)
def test_what_is_no_verdict_is_said(tmp_path, text):
    path = folders.run(tmp_path, 0, [])
    (path / "verdict.json").write_text(text)
    with pytest.raises(BadFileError, match=r"verdict\.json"):
        of_folder(path, tmp_path)


@pytest.mark.parametrize("lie", [5, "x", None, [], {}, [[]], {"a": 1}, -1.5, True])
@pytest.mark.parametrize(
    "key",
    ["name", "started", "t0_ns", "host", "nodes", "runtime", "load", "plan", "network", "adapter"],
)
def test_metadata_that_lie_break_nothing(tmp_path, key, lie):
    path = folders.run(tmp_path, 0, [folders.row(3.0)])
    said = json.loads((path / "metadata.json").read_text())
    (path / "metadata.json").write_text(json.dumps({**said, key: lie}))
    found = of_folder(path, tmp_path)
    assert from_json(json.loads(json.dumps(found.as_json()))) == found


def test_without_metadata_nobody_knows_what_it_was_of(tmp_path):
    path = folders.run(tmp_path, 0, [])
    (path / "metadata.json").unlink()
    with pytest.raises(BadFileError, match=r"metadata\.json"):
        of_folder(path, tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"kind": "other"},
        {"answer": "FINE"},
        {"started": "yesterday"},
        {"judged_ns": "1"},
        {"environment": {"kernel": 6}},
        {"rows": [{"name": "x"}]},
        {"rows": None},
        {"more": 1},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_no_entry_is_refused(tmp_path, changes):
    good = of_folder(folders.run(tmp_path, 0, [folders.row(3.0)]), tmp_path).as_json()
    assert from_json(good).rows
    with pytest.raises(BadFileError):
        from_json({**good, **changes})


def test_the_answers_are_those_of_verdicts():
    assert set(map(str, Answer)) == entry.ANSWERS
