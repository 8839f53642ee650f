"""Runs that may not be compared are never in one series, and what got worse is called out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from kit import judged_folders as folders

from harness.history.entry import of_folder
from harness.history.series import RUNS_MOST, as_json, series, told, worse


def entries(root, values, *, first=0, answer="PASS", **changes):
    facts = {key: changes.pop(key) for key in ("host", "runtime", "name") if key in changes}
    made = []
    for number, value in enumerate(values, first):
        path = folders.run(root, number, [folders.row(value, answer, **changes)], **facts)
        made.append(of_folder(path, root))
    return made


def drift(runs=10, share=0.02):
    rng = np.random.default_rng(1)
    return (20 * (1 + share) ** np.arange(runs) * (1 + 0.01 * rng.normal(0, 1, runs))).tolist()


@pytest.mark.parametrize(
    "facts",
    [
        {"host": {**folders.HOST, "kernel": "6.19"}},
        {"host": {**folders.HOST, "cpu": "other"}},
        {"runtime": {"name": "docker"}},
    ],
    ids=["kernel", "host", "runtime"],
)
def test_what_differs_is_a_series_of_its_own(tmp_path, facts):
    """Mixed they would show a change; apart nothing changes in either."""
    rng = np.random.default_rng(2)
    here = entries(tmp_path, (20 + 0.1 * rng.normal(0, 1, 10)).tolist())
    there = entries(tmp_path, (30 + 0.1 * rng.normal(0, 1, 10)).tolist(), first=20, **facts)
    found = series([*here, *there])
    assert [len(one.points) for one in found] == [10, 10]
    assert [one.changes for one in found] == [(), ()]
    later = entries(tmp_path, (30 + 0.1 * rng.normal(0, 1, 10)).tolist(), first=40)
    together = series([*here, *later])
    assert [len(one.changes) for one in together] == [1]


def test_a_drift_to_the_worse_is_called_out(tmp_path):
    [one] = series(entries(tmp_path, drift()))
    [called] = one.degraded()
    assert told(one, called).startswith("drifts +2.")
    assert "over 10 runs" in told(one, called)


def test_one_to_the_better_is_marked_and_not_called_out(tmp_path):
    [one] = series(entries(tmp_path, drift()[::-1]))
    assert one.changes
    assert one.degraded() == ()


def test_a_small_one_is_not_called_out(tmp_path):
    [one] = series(entries(tmp_path, [20 + 0.05 * number for number in range(10)]))
    assert one.changes
    assert one.degraded() == ()
    assert one.degraded(0.01) == one.changes


def test_what_went_back_is_not_called_out(tmp_path):
    rng = np.random.default_rng(3)
    level = np.repeat([20.0, 26.0, 20.0], 12) + rng.normal(0, 0.3, 36)
    [one] = series(entries(tmp_path, level.tolist()))
    assert len(one.changes) == 2
    assert one.degraded() == ()
    [still] = series(entries(tmp_path / "b", level[:24].tolist()))
    assert len(still.degraded()) == 1


def test_what_is_unknown_is_shown_and_not_counted(tmp_path):
    """Ten values of a host that was busy would make a drift."""
    steady = entries(tmp_path, [20.0, 20.1, 19.9, 20.0, 20.2, 19.8, 20.1])
    unknown = entries(tmp_path, drift(10, 0.1), first=7, answer="UNKNOWN")
    [one] = series([*steady, *unknown])
    assert len(one.points) == 17
    assert len(one.known) == 7
    assert one.changes == ()


def test_versions_that_changed_are_marked(tmp_path):
    before = entries(tmp_path, [20.0, 20.0])
    host = {**folders.HOST, "versions": {"meshnode": "0.2.0"}}
    after = entries(tmp_path, [20.0, 20.0], first=2, host=host)
    [one] = series([*before, *after])
    assert [point.news for point in one.points] == [(), (), ("meshnode 0.1.0 → 0.2.0",), ()]


def test_only_the_newest_runs_are_looked_at(tmp_path):
    [one] = series(entries(tmp_path, [20.0] * 12), last=5)
    assert len(one.points) == 5
    assert RUNS_MOST == 100


def test_two_findings_of_one_name_are_two_rows(tmp_path):
    rows = [folders.row(20.0), folders.row(90.0)]
    made = [of_folder(folders.run(tmp_path, number, rows), tmp_path) for number in range(3)]
    found = series(made)
    assert sorted(one.key.name for one in found) == ["p95", "p95 (2)"]
    assert [len(one.points) for one in found] == [3, 3]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"promised": "< 50 ms"}, 1),
        ({"promised": "<= 50 ms"}, 1),
        ({"promised": "> 50 ms"}, -1),
        ({"promised": ">= 50 ms"}, -1),
        ({"promised": "== 50 ms"}, 0),
        ({"promised": "–", "bound": None}, 1),
        ({"bound": None, "unit": "%", "metric": "broadcast.coverage"}, -1),
        ({"bound": None, "unit": "KB/s", "metric": "file_transfer.goodput"}, -1),
        ({"bound": None, "unit": "1", "metric": "node.links"}, 0),
        ({"bound": None, "unit": "%", "metric": "cpu"}, 0),
    ],
)
def test_which_way_is_worse(tmp_path, row, expected):
    path = folders.run(tmp_path, 0, [folders.row(1.0, **row)])
    assert worse(of_folder(path, tmp_path).rows[0]) == expected


def test_of_a_share_that_should_be_whole_the_missing_part_counts(tmp_path):
    """From 99.9 to 99.5 % is 0.4 % less delivered, and five times as much lost."""
    rng = np.random.default_rng(4)
    values = np.repeat([99.9, 99.5], 10) + rng.normal(0, 0.01, 20)
    share = {"unit": "%", "promised": ">= 90 %", "bound": 90.0}
    [one] = series(entries(tmp_path, values.tolist(), **share))
    assert len(one.degraded()) == 1


def test_what_never_comes_any_more_is_called_out_and_has_its_word_in_json(tmp_path):
    steady = entries(tmp_path, [20.0 + n % 3 for n in range(12)])
    gone = entries(tmp_path, [math.inf] * 8, first=12, answer="FAIL")
    [one] = series([*steady, *gone])
    [called] = one.degraded()
    assert "→ ∞" in told(one, called)
    said = as_json(one)
    assert said["changes"][0]["after"] == "inf"
    assert said["points"][-1]["value"] == "inf"
    assert said["changes"][0]["is_degradation"]
