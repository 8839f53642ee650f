"""A soak on ten nodes: three windows with a partition, Ctrl-C, kill -9 of who plays it and of its
cluster, and going on. However it ends, what was played has a verdict, and nothing is left.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from kit.desk import PROMISES, TEN, Desk, wait_for

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]
SOAK = """
topology = "ten.toml"
budget = "promises.toml"
seed = 2
[soak]
window_s = 14
warm_s = 1
settle_s = 3
chaos = 0.6
gap_s = 30
[[soak.stream]]
operation = "private_message"
rate_per_s = 20
timeout_ms = 2000
[[soak.fault]]
cut = "random-halves"
for_s = [2, 3]
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "soak")
    made.write("ten.toml", TEN)
    made.write("promises.toml", PROMISES.replace('"load"', '"steady"'))
    made.write("soak-ten.toml", SOAK)
    yield made
    made.close()


def folder_of(desk: Desk) -> Path:
    return wait_for(lambda: next(iter(desk.runs.glob("soak-ten/*/soak.json")), None)).parent


def window(folder: Path, number: int) -> dict:
    file = folder / "windows" / f"{number:04}" / "window.json"
    return json.loads(file.read_text()) if file.is_file() else {}


def verdict(folder: Path) -> dict:
    return json.loads((folder / "verdict.json").read_text())


def windows_of(said: dict) -> dict:
    return next(one for one in said["findings"] if one["name"] == "soak: windows")


def is_in_load(desk: Desk, folder: Path, number: int) -> bool:
    return window(folder, number).get("stage") == "playing" and desk.doing() == "phase chaos"


def play_until(desk: Desk, number: int):
    """Play until a window is in its chaos: who plays, and the folder."""
    process = desk.start("soak", "soak-ten.toml", "--for", "42s", "--json")
    folder = folder_of(desk)
    wait_for(lambda: is_in_load(desk, folder, number), desk.doing, 150)
    return process, folder


def test_three_windows_are_played_judged_and_summarised(desk):
    done = desk.harness("soak", "soak-ten.toml", "--for", "42s", "--json", "--raw", "0s")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one.get("window") for one in lines] == [1, 2, 3, None], done.stderr
    assert done.returncode == lines[-1]["exit_code"]
    desk.assert_nothing_left()
    folder = folder_of(desk)
    said = verdict(folder)
    assert windows_of(said)["measured"] == "3 played, 3 judged"
    assert {one["stage"] for one in said["soak"]["windows"]} == {"played"}
    assert all("cut random-halves" in one["faults"] for one in said["soak"]["windows"])
    delivered = next(one for one in said["findings"] if one["name"] == "delivered")
    assert delivered["answer"] in ("PASS", "UNKNOWN")
    pauses = [one["pause_s"] for one in said["soak"]["windows"]]
    assert pauses[0] is None
    assert all(2 < one < 120 for one in pauses[1:])  # until all has arrived, and Locust's start
    for row in said["soak"]["windows"]:
        own = folder / "windows" / f"{row['number']:04}"
        assert row["raw"] == (row["answer"] in ("FAIL", "UNKNOWN"))
        assert (own / "latest").exists() == row["raw"]
        assert {"summary.json", "verdict.json", "samples.arrow"} <= {
            path.name for path in own.iterdir()
        }
    assert desk.harness("judge", str(folder), "--json").returncode == done.returncode
    assert verdict(folder)["answer"] == said["answer"]


def test_ctrl_c_ends_it_with_a_verdict(desk):
    process, folder = play_until(desk, 2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors
    desk.assert_nothing_left()
    said = verdict(folder)
    finding = windows_of(said)
    assert finding["answer"] == "UNKNOWN"
    assert "ended early: it was interrupted in window 2" in finding["sentence"]
    assert "1 of 3 windows were not begun" in finding["sentence"]
    assert [one["stage"] for one in said["soak"]["windows"]] == ["played", "cut short"]
    assert finding["measured"] == "1 played, 2 judged"


def test_kill_of_who_plays_it_and_going_on(desk):
    """What was judged stays, what was being played is judged as far as it was recorded, the rest is
    played on a new cluster, and the verdict says what is missing.
    """
    process, folder = play_until(desk, 2)
    before = (folder / "windows" / "0001" / "verdict.json").read_bytes()
    process.kill()
    process.communicate(timeout=60)
    desk.assert_nothing_left()
    judged = desk.harness("judge", str(folder), "--json")
    assert judged.returncode == 2, judged.stderr
    sentence = windows_of(json.loads(judged.stdout))["sentence"]
    assert "whoever played it was killed" in sentence
    assert "window 2: cut short" in sentence
    assert "1 of 3 windows were not begun" in sentence
    done = desk.harness("soak", "--resume", str(folder), "--json")
    assert done.returncode == 2, done.stderr
    desk.assert_nothing_left()
    said = verdict(folder)
    assert [one["stage"] for one in said["soak"]["windows"]] == ["played", "cut short", "played"]
    assert "window 2: cut short" in windows_of(said)["sentence"]
    assert windows_of(said)["measured"] == "2 played, 3 judged"
    assert (folder / "windows" / "0001" / "verdict.json").read_bytes() == before
    assert window(folder, 1)["cluster"] != window(folder, 3)["cluster"]


def test_kill_of_its_cluster(desk):
    process, folder = play_until(desk, 1)
    os.kill(desk.supervisor(), signal.SIGKILL)
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 2, errors
    assert "Traceback" not in errors
    sentence = windows_of(json.loads(out.splitlines()[-1]))["sentence"]
    assert "the cluster died in window 1" in sentence
    assert "2 of 3 windows were not begun" in sentence
    assert window(folder, 1)["stage"] == "cut short"
    desk.assert_nothing_left()
