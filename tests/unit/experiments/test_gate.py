"""A gate of real commands: what it says of what was played, skipped, broken and cut short."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from html import unescape
from pathlib import Path

import pytest
from kit.nodes import wait_until

import harness
from harness.errors import BadFileError, InterruptedByUserError
from harness.experiments import gate, validation
from harness.history import run_folders, store
from harness.kernel import commands

BENCH = """
import os, sys, time
from pathlib import Path
from harness.experiments import bench
bench.record("mine", {{"project.wheel": [{size}]}}, budget=Path({budget!r}),
             runs=Path(os.environ["HARNESS_RUNS"]), begun_ns=time.monotonic_ns(),
             runtime={{"name": "host"}})
"""
ROW = """[[row]]
name = "wheel"
metric = "project.wheel"
statistic = "max"
bound = 10
unit = "MB"
phase = "bench"
"""


@pytest.fixture
def made(tmp_path):
    """Write a gate of criteria (name, size of the wheel in MB or a command) and play it."""
    budget = tmp_path / "b.toml"
    budget.write_text(ROW)

    def command(what):
        if isinstance(what, list):
            return what
        return [sys.executable, "-c", BENCH.format(size=what * 1e6, budget=str(budget))]

    def write(criteria, more=""):
        file = tmp_path / "mine.toml"
        file.write_text(
            "".join(
                f"[[criterion]]\nname = {json.dumps(name)}\nrun = 'mine'\n"
                f"command = {json.dumps(command(what))}\n{more}"
                for name, what in criteria.items()
            )
        )
        return file

    return write


def play(file, tmp_path, **settings):
    return gate.run(file, runs=tmp_path / "runs", **settings)


def answers(judged):
    return {one.name: str(one.answer) for one in judged.verdict.findings}


def test_met_not_met_and_partial(made, tmp_path):
    judged = play(made({"small": 1, "large": 11, "none": ["true"]}), tmp_path)
    assert answers(judged) == {"small": "PASS", "large": "FAIL", "none": "UNKNOWN"}
    assert judged.exit_code == 1
    page = unescape((judged.run / gate.PAGE).read_text().replace("\\", ""))
    assert "NOT MET · gate mine" in page
    assert "3 criteria: 1 MET, 1 NOT MET, 1 PARTIAL" in page
    assert "11 MB (n=1), promised < 10 MB" in page
    assert "true ended with 0 and wrote no run" in page
    html = (judged.run / "report.html").read_text()
    assert html.count('/report.html">run 1</a>') == 2
    assert html.count("run 1 broke") == 1
    assert '<span class="answer FAIL">NOT MET</span>' in html
    assert 'failures="1"' in (judged.run / "junit.xml").read_text()
    assert play(made({"small": 1}), tmp_path).exit_code == 0


def test_of_two_runs_that_a_command_wrote_none_is_taken_for_the_one(made, tmp_path):
    """The later one was: a command that tries again until it is good, or somebody else's run."""
    bench = BENCH.format(size=11e6, budget=str(tmp_path / "b.toml"))
    again = bench.replace("11000000.0", "1e6")
    judged = play(made({"twice": [sys.executable, "-c", bench + again]}), tmp_path)
    assert answers(judged) == {"twice": "UNKNOWN"}
    assert "wrote 2 runs, and nobody says which is meant" in judged.verdict.findings[0].sentence


def test_a_command_that_broke_after_its_run_has_no_run(made, tmp_path):
    """It was killed, or the harness broke in it: what it wrote until then was MET."""
    bench = BENCH.format(size=1e6, budget=str(tmp_path / "b.toml"))
    killed = f"{bench}\nimport signal\nos.kill(os.getpid(), signal.SIGKILL)"
    broke = f"{bench}\nsys.exit(70)"
    for what, code in ((killed, -signal.SIGKILL), (broke, 70)):
        judged = play(made({"it": [sys.executable, "-c", what]}), tmp_path)
        assert answers(judged) == {"it": "UNKNOWN"}
        assert f"ended with {code:d}, which is no verdict's" in judged.verdict.findings[0].sentence
    failed = f"{bench}\nsys.exit(2)"  # as make does, for another row
    assert answers(play(made({"it": [sys.executable, "-c", failed]}), tmp_path)) == {"it": "PASS"}


def test_it_is_judged_anew_from_its_folder(made, tmp_path):
    judged = play(made({"small": 1}), tmp_path)
    assert (tmp_path / "runs" / "latest").resolve() == judged.run
    assert answers(harness.judge(tmp_path / "runs")) == {"small": "PASS"}
    (run,) = (tmp_path / "runs" / "mine").glob("2*")
    (run / "measurements.json").unlink()
    assert answers(harness.judge(judged.run)) == {"small": "UNKNOWN"}
    with pytest.raises(BadFileError, match="judged by its criteria"):
        harness.judge(judged.run, tmp_path / "b.toml")
    (judged.run / gate.GATE).write_text("{")
    with pytest.raises(BadFileError, match="cannot be read"):
        harness.judge(judged.run)


def test_criteria_that_somebody_took_away_are_missed(made, tmp_path):
    """The one that was not met, out of gate.json: MET."""
    judged = play(made({"small": 1, "large": 11}), tmp_path)
    file = judged.run / gate.GATE
    said = json.loads(file.read_text())
    del said["criteria"][1]
    file.write_text(json.dumps(said))
    found = harness.judge(judged.run)
    assert answers(found) == {"small": "PASS", "record: whole": "UNKNOWN"}
    assert "not as they were" in (judged.run / gate.PAGE).read_text()


def test_a_run_that_took_another_s_place_is_missed(made, tmp_path):
    """A better one, as gate.json and as a folder: MET."""
    judged = play(made({"small": 1}), tmp_path)
    other = play(made({"small": 1}), tmp_path)
    file = judged.run / gate.GATE
    kept, better = file.read_text(), json.loads((other.run / gate.GATE).read_text())
    file.write_text(json.dumps({**json.loads(kept), "criteria": better["criteria"]}))
    assert answers(harness.judge(judged.run))["record: whole"] == "UNKNOWN"
    file.write_text(kept)
    run, instead = sorted((tmp_path / "runs" / "mine").glob("2*"))
    shutil.rmtree(run)
    shutil.copytree(instead, run)
    assert answers(harness.judge(judged.run)) == {"small": "UNKNOWN"}


def test_it_is_a_folder_among_the_others_and_its_runs_are_the_history(made, tmp_path):
    judged = play(made({"small": 1}), tmp_path)
    listed = {one.kind: one for one in run_folders.listed(tmp_path / "runs")}
    assert set(listed) == {"gate", "run"}
    assert (listed["gate"].answer, listed["gate"].is_latest) == ("PASS", True)
    brought = store.rebuild(tmp_path / "runs")
    assert (brought.unread, judged.run.name) == ((), Path(listed["gate"].name).name)


def test_nobody_prunes_it_while_it_is_played(made, tmp_path):
    seen = tmp_path / "seen"
    look = (
        "import sys, pathlib; from harness.history import run_folders as r; "
        f"pathlib.Path({str(seen)!r}).write_text(str([o.busy for o in r.listed(pathlib.Path("
        "__import__('os').environ['HARNESS_RUNS']))]))"
    )
    play(made({"looks": [sys.executable, "-c", look]}), tmp_path)
    assert "is being written" in seen.read_text()


def test_what_takes_longer_than_is_left_is_skipped_and_said(made, tmp_path):
    judged = play(made({"small": 1}, 'takes = "10m"\n'), tmp_path, for_s=60.0)
    (found,) = judged.verdict.findings
    assert judged.exit_code == 2
    assert found.sentence == "skipped: a run takes about 600 s, 60 s of 60 were left"


def test_a_run_that_was_there_before_is_not_taken_for_new(made, tmp_path):
    assert play(made({"small": 1}), tmp_path).exit_code == 0
    assert play(made({"small": ["false"]}), tmp_path).exit_code == 2


def test_a_program_that_is_not_there_is_said(made, tmp_path):
    (found,) = play(made({"x": ["/no/such"]}), tmp_path).verdict.findings
    assert "/no/such: No such file" in found.sentence


def test_what_was_judged_stays_when_it_is_interrupted(made, tmp_path, monkeypatch):
    real, played = gate._play, []

    def once(*args):
        played.append(args)
        if len(played) == 2:
            raise InterruptedByUserError("interrupted")
        return real(*args)

    monkeypatch.setattr(gate, "_play", once)
    with pytest.raises(InterruptedByUserError):
        play(made({"first": 1, "second": 1}), tmp_path)
    found = harness.judge(tmp_path / "runs")
    assert answers(found) == {"first": "PASS", "second": "UNKNOWN"}
    assert "not played" in found.verdict.findings[1].sentence


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_that_a_command_started_outlives_the_gate(made, tmp_path, number):
    told = tmp_path / "pid"
    script = f"(sleep 600 & echo $! > {told}.new; mv {told}.new {told}; wait); true"
    file = made({"long": ["sh", "-c", script]})
    command = [sys.executable, "-m", "harness", "gate", str(file), "--runs", str(tmp_path / "r")]
    environment = {**os.environ, "HARNESS_STATE": str(tmp_path / "s")}
    gate_ = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    wait_until(told.exists, "the command runs", 60)
    pid = int(told.read_text())
    gate_.send_signal(number)
    gate_.wait()
    wait_until(lambda: is_ended(pid), "what it started has ended", 60)


def test_a_command_does_not_begin_before_it_is_watched(tmp_path, monkeypatch):
    """kill -9 of the gate between the two, on a host that others had: a `sleep` lived on."""
    real, started = subprocess.Popen, []

    def once(argv, **how):
        if started:
            raise KeyboardInterrupt
        started.append(real(argv, **how))
        return started[0]

    monkeypatch.setattr(subprocess, "Popen", once)
    with (tmp_path / "output").open("wb") as output, pytest.raises(KeyboardInterrupt):
        commands.run(["touch", str(tmp_path / "began")], output, dict(os.environ))
    started[0].wait(60)
    assert not (tmp_path / "began").exists()


def is_ended(pid):
    """Whether it is a zombie, which nobody here has to reap."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def test_a_command_that_leaves_something_behind_is_cleaned_up_after(made, tmp_path):
    told = tmp_path / "pid"
    play(made({"leaves": ["sh", "-c", f"sleep 600 & echo $! > {told}"]}), tmp_path)
    pid = int(told.read_text())
    wait_until(lambda: is_ended(pid), "what it started has ended", 60)


def test_what_a_gate_names_is_checked_before_anything_starts(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[criterion]]\nname = "a"\nscenario = "small-10"\nrows = ["RSSS"]\n')
    with pytest.raises(BadFileError, match="did you mean 'RSS'"):
        play(file, tmp_path)
    assert not (tmp_path / "runs").exists()
    file.write_text('[[criterion]]\nname = "a"\nscenario = "small-10"\nrows = ["RSS"]\n')
    assert validation.validate(file).sentence == "1 criteria"


def test_a_soak_wants_a_scenario_that_has_one(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text('[[criterion]]\nname = "a"\nsoak = "small-10"\n')
    with pytest.raises(BadFileError, match=r"expected a scenario with \[soak\]"):
        validation.validate(file)
    file.write_text('[[criterion]]\nname = "a"\nsoak = "soak-10"\n')
    assert validation.validate(file).sentence == "1 criteria"


def test_a_gate_in_a_gate_answers_as_a_whole(made, tmp_path):
    inner = made({"large": 11})
    outer = tmp_path / "outer.toml"
    outer.write_text(f'[[criterion]]\nname = "inner"\ngate = "{inner.name}"\n')
    judged = play(outer, tmp_path)
    assert answers(judged) == {"inner": "FAIL"}
    assert "large" in judged.verdict.findings[0].sentence


def test_the_folder_of_runs_is_no_gate(tmp_path):
    assert not gate.is_gate(Path(tmp_path))
