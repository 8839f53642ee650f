"""What is played of an original, and what is refused before anything starts."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from kit import run_folders

from harness.checks.verdict import Answer, Finding, Verdict
from harness.cli import main
from harness.control import state
from harness.errors import BadFileError, InterruptedByUserError, UsageError
from harness.experiments import bundle, judge, original, replay
from harness.experiments.judge import Judged
from harness.experiments.replay import BASE, Replayed
from harness.load import request
from harness.reports import replay as reports
from harness.reports import text
from harness.supervisor.server import Server

SYSTEM = """
name = "mine"
[start]
argv = ["/bin/true"]
[ready]
tcp = "{address}:7000"
[send.private_message]
http = "http://{address}:7000/"
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    return run_folders.good(tmp_path / "runs")


def on_system(folder: Path, adapter: str) -> original.Original:
    found = original.read(folder)
    topology = replace(found.scenario.topology, adapter=adapter)
    return replace(found, scenario=replace(found.scenario, topology=topology))


def test_what_is_played(folder):
    """The supervisor is told the timeline, the load its workload, the metadata whose it is."""
    of = original.read(folder)
    made = replay.made(replay.checked(of), "rate x2")
    assert (made.scenario, made.timeline) == (of.scenario, of.timeline)
    assert [*made.files] == ["workload.json"]
    told = made.facts["replay"]
    assert told["fork"] == "rate x2"
    sealed = (folder / "manifest.json").read_bytes()
    assert told["of"] == {
        "run": str(folder),
        "name": "small",
        "started": "",
        "t0_ns": run_folders.T0,
        "manifest_sha256": hashlib.sha256(sealed).hexdigest(),
    }


def test_the_load_of_a_run_with_a_workload_is_that(folder, tmp_path, monkeypatch):
    """Whatever Locust's own options say."""
    of = replace(original.read(folder), left_out=("connect",))
    (tmp_path / "workload.json").write_text(replay.made(of).files["workload.json"])
    monkeypatch.setenv(request.RUN, str(tmp_path))
    asked = request.made(None, [], {}, dict)
    assert asked.phases == tuple(replace(one, iperf3=None) for one in of.scenario.phases)
    assert (asked.seed, asked.run, asked.left_out) == (1, str(tmp_path), ("connect",))
    planned = json.loads((folder / "metadata.json").read_text())["load"]["streams"]
    assert asked.facts(["worker"], 1)["streams"] == planned


def test_a_system_whose_file_is_gone(folder, tmp_path):
    of = on_system(folder, str(tmp_path / "mine.toml"))
    with pytest.raises(BadFileError, match=r"mine\.toml, which is gone; expected .* --system"):
        replay.checked(of)
    (folder / "system.toml").write_text(SYSTEM)
    with pytest.raises(BadFileError, match=r"the run kept its text as .*system\.toml"):
        replay.checked(of)


def test_a_system_that_cannot_do_what_was_asked(folder):
    with pytest.raises(UsageError, match="serf has no private_message"):
        replay.checked(on_system(folder, "serf"))


@pytest.mark.parametrize("adapter", ["os:system", "/etc/mine.toml"])
def test_a_bundle_does_not_say_what_is_run_here(folder, tmp_path, adapter):
    of = replace(on_system(folder, adapter), source=tmp_path / "b.tar.gz")
    with pytest.raises(UsageError, match="none of the harness's own; expected `harness replay"):
        replay.checked(of)
    assert replay.checked(of, "meshnode").scenario.topology.adapter == "meshnode"


def test_a_bundle_is_named_as_the_original(folder, tmp_path):
    made = bundle.write(folder, tmp_path / "b.tar.gz").path
    with replay.opened(made) as of:
        assert replay.identity(of)["run"] == str(made)
        assert replay.identity(of)["manifest_sha256"]
        assert of.folder != of.source


def test_a_cluster_with_faults_is_refused(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    lock = state.Lock("main")
    socket = tmp_path / "state" / "main" / "control.sock"
    server = Server(socket, {"status": lambda *_: {"faults": ["wan"]}})
    try:
        with pytest.raises(UsageError, match=r"faults in force \(wan\), which no replay has"):
            replay.replay(folder, cluster="main")
    finally:
        server.close()
        lock.remove()


def judged(*answers: tuple[str, Answer]) -> Judged:
    findings = tuple(
        Finding(name=name, answer=answer, promised="–", measured="1 ms", sentence="")
        for name, answer in answers
    )
    return Judged(run=Path("/run"), verdict=Verdict(findings=findings), facts={})


def test_the_exit_code_is_the_worst_forks():
    good, bad = judged(("row", Answer.PASS)), judged(("row", Answer.FAIL))
    of = Replayed(of={}, runs={BASE: bad}, answers=None)
    assert of.exit_code == 1
    assert replace(of, runs={BASE: bad, "seed 7": good}).exit_code == 0
    assert replace(of, runs={BASE: good, "seed 7": good, "seed 8": bad}).exit_code == 1


def test_verdicts_side_by_side():
    good, bad = judged(("row", Answer.PASS)), judged(("row", Answer.FAIL), ("more", Answer.PASS))
    of = Replayed(of={}, runs={BASE: good, "seed 7": bad}, answers=None)
    names, rows = of.side_by_side()
    assert names == [BASE, "seed 7"]
    assert [(row[0].name, *(one.answer for one in row)) for row in rows] == [
        ("row", "PASS", "FAIL"),
        ("more", "–", "PASS"),
    ]
    names, [row] = Replayed(
        of={}, runs={BASE: good}, answers=replay._answers(bad)[:1]
    ).side_by_side()
    assert (names, [one.answer for one in row]) == (["original", BASE], ["FAIL", "PASS"])


def compared(of: original.Original, again: Path) -> dict:
    """The part of the findings, of a replay whose verdict is that of this folder."""
    return replay.compared(of, replay._first_answers(of.folder), again)["parts"]["findings"]


def change_by_hand(folder: Path) -> None:
    """Its verdict.json, which no manifest holds: what was PASS is FAIL, and a row is gone."""
    file = folder / "verdict.json"
    said = json.loads(file.read_text())
    for one in said["findings"]:
        one["answer"] = one["answer"].replace("PASS", "FAIL")
    file.write_text(json.dumps({**said, "findings": said["findings"][1:]}))


def test_of_a_folder_the_record_says_what_the_answers_were(folder, tmp_path):
    shutil.copytree(folder, again := tmp_path / "again")
    for one in (folder, again):
        judge.judge(one)
    change_by_hand(folder)
    found = compared(original.read(folder), again)
    assert (found["score"], found["changed"], found["as_kept"]) == (1.0, [], False)
    assert "as its bundle keeps" not in reports._findings(found)


def test_of_a_bundle_without_its_record_the_answers_are_as_it_keeps_them(folder, tmp_path):
    """And it is said: nobody can judge them again."""
    shutil.copytree(folder, again := tmp_path / "again")
    for one in (folder, again):
        judge.judge(one)
    change_by_hand(folder)
    for everything in (False, True):
        made = bundle.write(folder, tmp_path / "b", everything=everything).path
        with replay.opened(made) as of:
            found = compared(of, again)
        assert found["as_kept"] is not everything
        assert ("as its bundle keeps them" in reports._findings(found)) is not everything
        assert (found["score"] == 1.0) is everything
    kept = Replayed(of={}, runs={}, answers=[], as_kept=True)
    assert kept.side_by_side()[0] == ["original (as kept)"]


def test_what_was_played_before_is_not_lost_by_what_ends_it():
    """As by Ctrl-C in a fork: the replay is over, and its folder is there."""
    before = {BASE: judged(("row", Answer.PASS))}
    said = r"cut; played and judged before: replay \(/run\)"
    with pytest.raises(InterruptedByUserError, match=said), replay._telling(before):
        raise InterruptedByUserError("cut")
    with pytest.raises(InterruptedByUserError, match=r"^cut$"), replay._telling({}):
        raise InterruptedByUserError("cut")


def test_what_only_tells_is_no_other_answer():
    """As in the fidelity: one run measured it, the other one did not."""
    tells = judged(("row", Answer.PASS), ("second by second", Answer.MEASURED))
    of = Replayed(of={}, runs={BASE: judged(("row", Answer.PASS)), "seed 7": tells}, answers=None)
    told = text.to_text(reports.side_by_side(*of.side_by_side()))
    assert "0 of 2 findings have another answer" in told
    of = replace(of, runs={**of.runs, "rate x2": judged(("row", Answer.FAIL))})
    told = text.to_text(reports.side_by_side(*of.side_by_side()))
    assert "1 of 2 findings have another answer" in told


# ---- the command line ----------------------------------------------------------------------------


def harness(*words: str) -> SimpleNamespace:
    done = CliRunner().invoke(main, words)
    return SimpleNamespace(code=done.exit_code, said=done.output)


def test_a_dry_run_lists_faults_by_number(folder):
    done = harness("replay", str(folder), "--dry-run", "--fork", "drop fault 1")
    assert done.code == 0, done.said
    base, forked = done.said.split("drop fault 1")
    assert "6.001 s 14.001 s fault 1, slow: delay 1 ms" in " ".join(base.split())
    assert "17.001 s 19.001 s fault 2, gone: stopped node-3" in " ".join(base.split())
    assert "slow" not in forked
    assert "17.001 s 19.001 s fault 1, gone: stopped" in " ".join(forked.split())


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--no-base"], 64, "there is no --fork"),
        (["--fork", "drop fault 9"], 64, "there is no fault 9"),
        (["--fork", "drop it", "--dry-run"], 64, "possible: drop fault N"),
    ],
)
def test_what_the_command_refuses(folder, words, code, says):
    done = harness("replay", str(folder), *words)
    assert (done.code, says in done.said) == (code, True), done.said


def test_what_is_no_run(tmp_path):
    (tmp_path / "file").write_text("no bundle")
    assert harness("replay", str(tmp_path / "file")).code == BadFileError.exit_code
    assert harness("replay", str(tmp_path)).code == BadFileError.exit_code
    assert harness("bundle", str(tmp_path)).code == BadFileError.exit_code


def test_help_lists_the_changes():
    said = harness("replay", "--help").said
    assert "drop fault N" in said
    assert "nodes COUNT" in said


def test_bundle(folder, tmp_path):
    done = harness("bundle", str(folder), "-o", str(tmp_path / "b.tar.gz"))
    assert done.code == 0
    assert done.said.startswith(f"{tmp_path / 'b.tar.gz'}: ")
    assert "left out (--all)" in done.said
