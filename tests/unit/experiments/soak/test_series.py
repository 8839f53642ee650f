from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from kit.soaks import ASKED, SCENARIO

from harness.checks import leaks
from harness.checks.leaks import Watched
from harness.checks.slope import Life
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.experiments.soak import growth, series
from harness.experiments.soak.folder import OWN, SAMPLES, SoakFolder, Stage, Window
from harness.experiments.soak.own import OwnProcess

BUDGET = """
[[row]]
name = "delivered"
metric = "private_message.delivered"
statistic = "mean"
unit = "%"
bound = 99
comparison = ">="
phase = "steady"
[[row]]
name = "memory"
metric = "rss"
statistic = "slope"
unit = "MB/h"
bound = 5
phase = "steady"
"""


def watched(begin_s: float, pid: int | None, *, per_h: float = 0.0, of: str = "node-1") -> Watched:
    """Ten minutes of a process, a sample a second."""
    at_s = begin_s + np.arange(600.0)
    noise = np.random.default_rng(round(begin_s)).uniform(0, 1e5, 600)
    life = Life(at_s=at_s, values=50e6 + per_h * at_s / 3600 + noise, process=pid)
    return Watched(of=of, resource="rss", lives=(life,), limit=1e9, is_node="harness" not in of)


def soak_of(folder: SoakFolder, parts) -> list[Watched]:
    for number, part in enumerate(parts, 1):
        folder.write(Window(number=number, seconds=600.0, stage=Stage.PLAYED))
        series.write(folder.window_folder(number) / SAMPLES, part, 600.0)
    found, wrong = series.of_soak(folder)
    assert wrong == []
    return found


@pytest.fixture
def folder(tmp_path) -> SoakFolder:
    asked = replace(ASKED, lengths_s=(600.0,) * 12)
    return SoakFolder.made(tmp_path, asked, {"inputs/scenarios/x.toml": SCENARIO})


def test_a_process_that_lives_on_is_one_life(folder):
    [one] = soak_of(folder, [[watched(610.0 * n, 7)] for n in range(6)])
    assert len(one.lives) == 1
    assert 6 * 50 <= len(one.lives[0].at_s) <= 6 * 62
    assert one.limit == 1e9


def test_another_process_is_another_life(folder):
    [one] = soak_of(folder, [[watched(610.0 * n, 7 + (n > 2))] for n in range(6)])
    assert [life.process for life in one.lives] == [7, 8]


def test_a_leak_that_no_window_shows_is_found_over_all(folder):
    """Two megabytes an hour are 330 kB a window, beside 100 kB of noise."""
    parts = [
        [watched(610.0 * n, 1, per_h=2e6), watched(610.0 * n, 2, of="node-2")] for n in range(12)
    ]
    trends = leaks.found(soak_of(folder, parts))
    assert "node-1" in {one.watched.of for one in trends if one.is_leak}
    assert "node-2" not in {one.watched.of for one in trends if one.is_leak}


def test_a_series_that_cannot_be_read_is_said(folder):
    soak_of(folder, [[watched(0.0, 7)], [watched(610.0, 7)]])
    data = (folder.window_folder(2) / SAMPLES).read_bytes()
    for broken in (b"", b"x" * 100, data[: len(data) // 2]):
        (folder.window_folder(2) / SAMPLES).write_bytes(broken)
        found, [wrong] = series.of_soak(folder)
        assert "0002/samples.arrow" in wrong
        assert len(found) == 1
        with pytest.raises(BadFileError):
            series.read(folder.window_folder(2) / SAMPLES)


def test_lines_of_who_plays_that_are_torn_are_left_out(folder):
    folder.write(Window(number=1, seconds=600.0, stage=Stage.PLAYED))
    line = {"at_s": 1.0, "process": "soak", "pid": 3, "rss_bytes": 1e6, "fds": 8, "threads": 2}
    text = "\n".join([json.dumps(line), json.dumps({**line, "at_s": 2.0}), '{"at_s": 3.0, "pro'])
    (folder.window_folder(1) / OWN).write_text(text)
    found, _ = series.of_soak(folder)
    assert {one.of for one in found} == {"harness: soak"}
    assert {one.resource for one in found} == {"rss", "fds", "threads"}
    assert all(len(one.lives[0].at_s) == 2 for one in found)


def test_what_who_plays_holds_is_looked_at(folder):
    folder.write(Window(number=1, seconds=600.0, stage=Stage.PLAYED))
    file = folder.window_folder(1) / OWN
    OwnProcess(file, "soak", 60.0, clock=itertools.count(0, 100).__next__).look()
    found, _ = series.of_soak(folder)
    held = {one.resource: one.lives[0].values[0] for one in found}
    assert 1e6 < held["memory"] < held["rss"]
    assert {one.watched.resource for one in leaks.found(found)} == {"memory", "fds", "threads"}


def test_rows_about_slopes_are_of_all_of_a_soak(tmp_path):
    (tmp_path / "b.toml").write_text(BUDGET)
    assert "slope" not in growth.without_slopes(tmp_path / "b.toml")
    assert "delivered" in growth.without_slopes(tmp_path / "b.toml")
    rising = watched(0.0, 1, per_h=60e6)
    [found] = growth.findings(tmp_path / "b.toml", [rising])
    assert found.answer is Answer.FAIL
    [found] = growth.findings(tmp_path / "b.toml", [replace(rising, is_node=False)])
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    [found] = growth.findings(tmp_path / "b.toml", [replace(rising, lives=())])
    assert found.answer is Answer.UNKNOWN
    assert "the soak is too short to tell" in found.sentence


def test_a_budget_of_slopes_alone_is_refused(tmp_path):
    (tmp_path / "b.toml").write_text("[[row]]" + BUDGET.split("[[row]]")[2])
    with pytest.raises(BadFileError, match="not about a slope"):
        growth.without_slopes(tmp_path / "b.toml")
