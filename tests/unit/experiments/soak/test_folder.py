from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, replace

import pytest
from kit.soaks import ASKED, SCENARIO

from harness.checks.verdict import Answer, Cause, Finding
from harness.errors import BadFileError, NameTakenError
from harness.experiments import seals
from harness.experiments.soak import folder as folders
from harness.experiments.soak import judge, retention, series, status
from harness.experiments.soak import window as windows
from harness.experiments.soak.folder import SoakFolder, Stage, Window


@pytest.fixture
def folder(tmp_path) -> SoakFolder:
    return SoakFolder.made(tmp_path, ASKED, {"inputs/scenarios/x.toml": SCENARIO})


def played(folder: SoakFolder, number: int, answer: Answer, ended_s: float = 0.0) -> Window:
    """A window that was played and judged, with raw values."""
    run = folder.window_folder(number) / "soak-x" / "time"
    run.mkdir(parents=True)
    (run / "metadata.json").write_text("{}")
    (run.parent.parent / "latest").symlink_to("soak-x/time")
    made = Window(number=number, seconds=600.0, stage=Stage.PLAYED, run="soak-x/time")
    made = replace(made, ended_s=ended_s)
    folder.write(made)
    findings = [Finding(name="x", answer=answer, promised="", measured="", sentence="")]
    if answer is Answer.UNKNOWN:
        findings = [replace(findings[0], cause=Cause.HOST_LIMITED)]
    text = json.dumps({"findings": [asdict(one) for one in findings]})
    (folder.window_folder(number) / "verdict.json").write_text(text)
    said = {"answer": str(answer), "counts": {}, "faults": [], "t0_ns": 1, "over_ns": 2}
    said |= {"raw_bytes": 1.0, "kept_bytes": 1.0}
    said["verdict_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    series.write(folder.window_folder(number) / "samples.arrow", [], 600.0)
    (folder.window_folder(number) / "harness.jsonl").touch()
    said["samples_sha256"] = seals.of_file(folder.window_folder(number) / "samples.arrow")
    (folder.window_folder(number) / "summary.json").write_text(json.dumps(said))
    return made


def test_what_was_written_is_read(folder, tmp_path):
    asked = SoakFolder(folder.path).asked
    assert replace(asked, inputs={}) == ASKED
    assert folder.changed_inputs() == []
    assert folders.find(tmp_path) == tmp_path / "latest"
    assert folders.find(tmp_path / "nothing") is None
    window = played(folder, 2, Answer.PASS)
    assert folder.windows() == [window]
    assert folder.left() == [1, 3]
    assert folder.found_run(2) == "soak-x/time"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"version": 2}',
        json.dumps({"version": 1, "name": "x"}),
    ],
)
def test_what_is_no_soak_is_refused(folder, text):
    (folder.path / "soak.json").write_text(text)
    with pytest.raises(BadFileError, match=r"soak\.json"):
        SoakFolder(folder.path)


def test_a_wrong_type_is_refused(folder):
    said = json.loads((folder.path / "soak.json").read_text())
    (folder.path / "soak.json").write_text(json.dumps({**said, "for_s": "long"}))
    with pytest.raises(BadFileError, match="for_s"):
        SoakFolder(folder.path)
    (folder.path / "soak.json").write_text(json.dumps({**said, "lengths_s": []}))
    with pytest.raises(BadFileError, match="at least 1 window"):
        SoakFolder(folder.path)


@pytest.mark.parametrize("text", ["", '{"number": 2', '{"number": 1}', '{"number": "2"}'])
def test_a_window_whose_note_is_broken_is_there_all_the_same(folder, text):
    played(folder, 2, Answer.PASS)
    (folder.window_folder(2) / "window.json").write_text(text)
    [window] = folder.windows()
    assert (window.number, window.stage) == (2, Stage.CUT)
    assert "window.json" in window.problem
    assert folder.left() == [1, 3]


def test_two_cannot_play_it(folder):
    held = folder.lock()
    assert folder.is_played
    with pytest.raises(NameTakenError, match="being played"):
        SoakFolder(folder.path).lock()
    folder.unlock(held)
    assert not folder.is_played


def test_a_run_outside_of_its_window_is_none(folder, tmp_path):
    """Whoever writes that into window.json has nothing removed."""
    (tmp_path / "precious").mkdir()
    for run in ("../../../../precious", str(tmp_path / "precious"), ".", "..", "soak-x/../.."):
        window = replace(played(folder, 1, Answer.PASS), run=run)
        assert folder.run_of(window) is None
        retention.let_go(folder, window)
        assert (tmp_path / "precious").is_dir()
        assert folder.window_folder(1).is_dir()
        (folder.window_folder(1) / "soak-x" / "time" / "metadata.json").unlink()
        (folder.window_folder(1) / "soak-x" / "time").rmdir()
        (folder.window_folder(1) / "soak-x").rmdir()


def test_raw_values_of_the_last_hour_and_of_findings_stay(folder):
    played(folder, 1, Answer.PASS, ended_s=100.0)
    played(folder, 2, Answer.FAIL, ended_s=100.0)
    played(folder, 3, Answer.PASS, ended_s=3000.0)
    answers = status.answers_of(folder)
    [gone] = retention.to_let_go(folder.windows(), answers, 4000.0, 3600.0)
    assert gone.number == 1
    assert retention.to_let_go(folder.windows(), {}, 4000.0, 3600.0) == []  # none was judged
    retention.let_go(folder, gone)
    first = folder.windows()[0]
    assert not first.raw
    assert folder.run_of(first) is None
    assert not (folder.window_folder(1) / "latest").is_symlink()
    assert (folder.window_folder(1) / "summary.json").is_file()


def test_who_was_killed_while_it_removed_is_followed_up(folder):
    window = played(folder, 1, Answer.PASS)
    folder.write(replace(window, raw=False))
    retention.let_go_leftovers(folder)
    assert folder.run_of(window) is None


def test_on_a_full_disk_a_fail_goes_never():
    some = [Window(number=n, seconds=600.0, stage=Stage.PLAYED) for n in (1, 2, 3)]
    answers = {1: Answer.FAIL, 2: Answer.UNKNOWN, 3: Answer.PASS}
    assert retention.least_wanted(some, answers).number == 3
    assert retention.least_wanted(some[:2], answers).number == 2
    assert retention.least_wanted(some[:1], answers) is None


def test_samples_that_are_gone_or_were_changed_are_missed(folder):
    """Whose memory grew in them was said to be flat."""
    window = played(folder, 1, Answer.PASS)
    assert folder.changed_samples(window) == []
    samples, own = (folder.window_folder(1) / name for name in ("samples.arrow", "harness.jsonl"))
    line = {"at_s": 1.0, "process": "soak", "pid": 3, "rss_bytes": 1e6, "fds": 8, "threads": 2}
    series.write(samples, series.of_own([line]), 600.0)
    changed = f"{samples} is not as it was when the window was judged"
    assert series.of_soak(folder) == ([], [changed])
    samples.unlink()
    own.unlink()
    told = [f"{samples} is missing", f"{own} is missing"]
    assert series.of_soak(folder) == ([], told)
    named = {one.name: one for one in judge.judge(folder, write=False).verdict.findings}
    said = named["soak: record"]
    assert (said.answer, said.cause) == (Answer.UNKNOWN, Cause.GAP)
    assert said.sentence == "; ".join(told)


def test_a_verdict_that_was_changed_is_no_verdict(folder):
    """A window's verdict is held against its hash: an edited PASS is not believed."""
    played(folder, 1, Answer.PASS)
    (folder.window_folder(1) / "verdict.json").write_text('{"findings": []}')
    found = judge.judge(folder, write=False)
    assert found.verdict.answer is Answer.UNKNOWN
    assert "is not as it was" in found.verdict.findings[0].sentence


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"answer": "PASS"}', '{"answer": 3, "verdict_sha256": ""}']
)
def test_a_summary_that_is_broken_is_none(folder, text):
    played(folder, 1, Answer.PASS)
    (folder.window_folder(1) / "summary.json").write_text(text)
    found = judge.judge(folder, write=False)
    assert found.verdict.answer is Answer.UNKNOWN
    assert "summary.json" in found.verdict.findings[0].sentence
    assert status.answers_of(folder) == {}


def test_a_soak_of_which_nothing_was_played_can_be_judged(folder):
    found = judge.judge(folder)
    assert found.verdict.answer is Answer.UNKNOWN
    assert "3 of 3 windows were not begun" in found.verdict.findings[0].sentence
    assert (folder.path / "report.html").is_file()
    assert json.loads((folder.path / "verdict.json").read_text())["soak"]["windows"] == []


@pytest.mark.parametrize("text", ["", "x", SCENARIO + "# shorter\n"])
def test_an_input_that_was_changed_is_a_gap(folder, text):
    """A row of the budget that was taken out afterwards is no promise kept."""
    for number in (1, 2, 3):
        played(folder, number, Answer.PASS)
    (folder.path / "inputs" / "scenarios" / "x.toml").write_text(text)
    found = judge.judge(folder, write=False).verdict
    [record] = [one for one in found.findings if one.name == "soak: record"]
    assert record.answer is Answer.UNKNOWN
    assert "inputs/scenarios/x.toml is not as it was" in record.sentence


def test_the_page_escapes_what_others_wrote(folder):
    bad = Window(number=1, seconds=1.0, stage=Stage.BROKEN, problem="<script>x</script>")
    folder.write(bad)
    judge.judge(folder)
    assert "<script>x" not in (folder.path / "report.html").read_text()


def test_the_judgement_of_another_window_is_none(folder):
    """The one that failed had that of a good one put in its place: PASS, and all hashes fit."""
    played(folder, 1, Answer.PASS)
    played(folder, 2, Answer.FAIL)
    for number in (1, 2):
        file = folder.window_folder(number) / "summary.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "number": number}))
    assert folder.summary(2)["answer"] == "FAIL"
    for name in ("summary.json", "verdict.json", "samples.arrow"):
        shutil.copyfile(folder.window_folder(1) / name, folder.window_folder(2) / name)
    with pytest.raises(BadFileError, match="is of window 1"):
        folder.summary(2)
    assert not folder.is_judged(2)
    seen = judge.judge(folder, write=False, late=False).verdict.findings[0]
    assert (seen.measured, seen.answer) == ("2 played, 1 judged", Answer.UNKNOWN)


def test_a_soak_that_went_on_elsewhere_is_in_doubt(folder):
    """On another kernel, after an upgrade of the node: its windows are of two soaks."""
    first = {
        "host": {"kernel": "6.18", "cores": 2, "versions": {"meshnode": "1"}, "calibration": {}},
        "runtime": {"name": "netns"},
        "adapter": "meshnode",
    }
    file = folder.path / windows.FACTS_FILE
    file.write_text(json.dumps(first))
    assert windows.elsewhere(file, {**first, "name": "x"}) == []
    host = {**first["host"], "kernel": "6.19", "versions": {"meshnode": "2"}, "calibration": None}
    said = windows.elsewhere(file, {**first, "host": host})
    assert said == [
        "host kernel: 6.18 in the first window, 6.19 in this one",
        "versions meshnode: 1 in the first window, 2 in this one",
    ]
    for number, of in ((1, []), (2, said), (3, [])):
        played(folder, number, Answer.PASS)
        summary = folder.window_folder(number) / "summary.json"
        summary.write_text(json.dumps({**json.loads(summary.read_text()), "elsewhere": of}))
    folder.write_ended("")
    found = judge.judge(folder, write=False, late=False).verdict
    record = next(one for one in found.findings if one.name == "soak: record")
    assert (found.answer, record.answer) == (Answer.UNKNOWN, Answer.UNKNOWN)
    assert "window 2 was played elsewhere: host kernel: 6.18" in record.sentence


def test_windows_that_somebody_took_away_are_missed(folder):
    """The one that failed, out of soak.json and the folder: as many were played as it asked for."""
    for number, answer in ((1, Answer.PASS), (2, Answer.PASS), (3, Answer.FAIL)):
        played(folder, number, answer)
    folder.write_ended("")
    file = folder.path / "soak.json"
    said = json.loads(file.read_text())
    assert SoakFolder(folder.path).changed_inputs() == []
    file.write_text(json.dumps({**said, "lengths_s": said["lengths_s"][:2]}))
    edited = SoakFolder(folder.path)
    assert judge.judge(edited, write=False, late=False).verdict.answer is Answer.UNKNOWN
    assert edited.changed_inputs() == ["soak.json is not as it was when the soak began"]
    older = {key: one for key, one in said.items() if key != seals.OWN}
    file.write_text(json.dumps(older))
    assert SoakFolder(folder.path).changed_inputs() == []
