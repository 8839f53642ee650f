"""What was not recorded is found, is told in a sentence, and touches what rests on it alone."""

from __future__ import annotations

import json

import numpy as np
import pytest
from kit import run_folders
from kit.gaps import answers, facts, lines, unknown, write_lines
from kit.histories import SECOND
from kit.run_folders import T0

from harness.checks.verdict import Answer
from harness.errors import BadFileError
from harness.experiments import judge
from harness.history import journal, manifest, reader


def test_a_run_that_ended_in_the_middle_of_a_phase(folder):
    """Ctrl-C: all that was recorded until then came true."""
    happened_before = [
        one for one in lines(folder, "events.jsonl") if one["at_ns"] < T0 + 15 * SECOND
    ]
    over = {"at_ns": T0 + 15 * SECOND, "event": "phases-over"}
    write_lines(
        folder, "events.jsonl", [*happened_before, over, {**over, "event": "end", "failures": []}]
    )
    found = answers(folder)
    answer, sentence = found["latency"]
    assert (answer, sentence) == (Answer.UNKNOWN, "phase load ended after 11.0 of 12.0 s")
    assert found["load: private_message"][0] is Answer.UNKNOWN
    assert found["idle CPU"][0] is Answer.PASS


def test_a_run_that_somebody_ended(folder):
    facts(
        folder,
        load={**json.loads((folder / "metadata.json").read_text())["load"], "interrupted": True},
    )
    found = answers(folder)
    assert found["settled network"][0] is Answer.UNKNOWN
    assert found["idle CPU"][0] is Answer.PASS


def test_an_older_folder_says_that_it_is_one(folder):
    (folder / "manifest.json").unlink()
    facts(folder, manifest=False)
    judge.judge(folder)
    assert "no manifest" in (folder / "summary.txt").read_text()
    assert "no manifest" not in (folder / "verdict.json").read_text()


def test_a_manifest_that_is_gone(folder):
    """This version wrote one: nothing of the folder is believed."""
    (folder / "manifest.json").unlink()
    found = answers(folder, seal=False)
    assert {answer for answer, _ in found.values()} == {Answer.UNKNOWN}
    assert "manifest.json is missing" in found["record: whole"][1]


def test_a_run_whose_supervisor_was_killed(folder):
    """There is no end and no manifest: each row says first that the run was cut short."""
    said = [one for one in lines(folder, "events.jsonl") if one["event"] != "end"]
    write_lines(folder, "events.jsonl", [one for one in said if one["event"] != "phases-over"])
    (folder / "manifest.json").unlink()
    (folder / "load" / "operations-1.arrow").write_bytes(b"")
    found = answers(folder, seal=False)
    assert {answer for answer, _ in found.values()} == {Answer.UNKNOWN}
    why = "the run was cut short: manifest.json is missing"
    for name in ("latency", "idle CPU", "settled network", "record: whole"):
        assert found[name][1].startswith(why), name


@pytest.mark.parametrize("text", [None, "", run_folders.BUDGET[:-80], "[[row]]\nmetric = 3\n"])
def test_a_budget_that_was_deleted_or_changed(folder, text):
    """A row that is gone cannot be UNKNOWN: the verdict is."""
    if text is None:
        (folder / "budget.toml").unlink()
    else:
        (folder / "budget.toml").write_text(text)
    found = judge.judge(folder, write=False).verdict
    assert found.answer is Answer.UNKNOWN
    assert "budget.toml" in {one.name: one.sentence for one in found.findings}["record: whole"]


def test_another_budget_does_not_need_the_runs_own(folder, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text(run_folders.BUDGET)
    (folder / "budget.toml").unlink()
    assert judge.judge(folder, other).verdict.answer is Answer.PASS


@pytest.mark.parametrize(
    "bad",
    [
        b'{"at_ns": 5, "ev',
        b"\xff\xfe\n",
        b"[1, 2]\n",
        b'{"at_ns": "soon", "event": "phase", "phase": "load"}\n',
        b'{"at_ns": 5, "event": "node-ended", "node": ["a"]}\n',
        b'{"at_ns": 5, "event": ["phase"]}\n' + b"[" * 100_000 + b"\n",
        b'{"at_ns": 1e400, "event": "end", "failures": [3]}\n',
    ],
)
@pytest.mark.parametrize("name", ["events.jsonl", "proofs.jsonl", "histograms.jsonl"])
def test_a_line_that_cannot_be_read(folder, name, bad):
    with (folder / name).open("ab") as file:
        file.write(bad)
    assert {
        "events.jsonl": "record: whole",
        "proofs.jsonl": "faults: proven in force, and gone",
    }.get(name, "verify") in unknown(folder)


def down_across_two_phases(folder) -> None:
    """Have node-3 be stopped 1.5 s before phase settle begins, instead of 1 s after."""
    earlier_ns = int(2.5 * SECOND)
    stopped_ns = T0 + 17 * SECOND
    for name in ("events.jsonl", "proofs.jsonl"):
        said = lines(folder, name)
        for one in said:
            if stopped_ns <= one["at_ns"] < stopped_ns + SECOND // 10:
                one |= {key: one[key] - earlier_ns for key in one if key.endswith("_ns")}
        write_lines(folder, name, sorted(said, key=lambda one: one["at_ns"]))
    timeline = json.loads((folder / "timeline.json").read_text())
    for change in timeline["changes"]:
        change["at_s"] -= 2.5 * (change["at_s"] == 17)
    (folder / "timeline.json").write_text(json.dumps(timeline))
    path = folder / "journal" / "node-3.bin"
    data = path.read_bytes()
    records = np.frombuffer(data, journal.RECORD, offset=journal.HEADER_BYTES)
    ran = (records["at_ns"] < stopped_ns - earlier_ns) | (records["at_ns"] > stopped_ns)
    path.write_bytes(data[: journal.HEADER_BYTES] + records[ran].tobytes())


def test_an_event_that_cannot_be_read_told_of_a_state_that_lasts(folder):
    """A node was down through the next phase, and what it missed was FAIL; or, of one that ran
    again, all that it missed was PASS.
    """
    down_across_two_phases(folder)
    assert Answer.FAIL not in {answer for answer, _ in answers(folder).values()}
    whole = (folder / "events.jsonl").read_text().splitlines(keepends=True)
    for at, line in enumerate(whole):
        garbled = [*whole[:at], line[: len(line) // 2] + "\n", *whole[at + 1 :]]
        (folder / "events.jsonl").write_text("".join(garbled))
        open_rows = unknown(folder)
        assert {"settled coverage", "settled delivered", "routes"} <= open_rows, line
        # Of what was over ten seconds before the line before it, it tells nothing; a phase that
        # nobody tells of is a gap of its own.
        early = at == 0 or json.loads(whole[at - 1])["at_ns"] < T0 + 14 * SECOND
        assert ("idle CPU" in open_rows) == (early or '"phase"' in line), line


@pytest.mark.parametrize("seconds", [1e300, -1e300, 2e9])
@pytest.mark.parametrize("key", ["begin_s", "end_s", "duration_s"])
def test_a_phase_at_a_time_that_no_run_has_is_refused(folder, key, seconds):
    plan = json.loads((folder / "metadata.json").read_text())["plan"]
    facts(folder, plan=[{**plan[0], key: seconds}, *plan[1:]])
    with pytest.raises(BadFileError, match=f"plan: idle: {key}: expected at most 1e"):
        reader.read(folder)


def test_a_run_that_ended_before_its_first_phase(folder):
    said = [one for one in lines(folder, "events.jsonl") if one["event"] in ("begin", "end")]
    write_lines(folder, "events.jsonl", said)
    manifest.write(folder)
    judged = judge.judge(folder)
    assert judged.exit_code == 2
    assert (folder / "report.html").is_file()


def test_a_phase_of_which_no_event_tells(folder):
    """Its rows would be gone from the record, and with them what the harness did meanwhile."""
    said = [one for one in lines(folder, "events.jsonl") if one.get("phase") != "settle"]
    write_lines(folder, "events.jsonl", said)
    why = "no event tells of phase settle, which was planned"
    assert answers(folder)["record: whole"] == (Answer.UNKNOWN, why)


@pytest.mark.parametrize("name", ["budget.toml", "timeline.json", "topology.json"])
def test_an_input_that_is_gone(folder, name):
    """metadata.json names what the run was begun with: a manifest made anew hides none of it."""
    (folder / name).unlink()
    assert f"{name} is missing" in {sentence for _, sentence in answers(folder).values()}


def test_faults_that_nobody_looked_at(folder):
    begin, end = T0 + 6.5 * SECOND, T0 + 13.5 * SECOND
    said = lines(folder, "proofs.jsonl")
    write_lines(folder, "proofs.jsonl", [one for one in said if not begin < one["at_ns"] < end])
    found = answers(folder)
    assert found["latency under"][1] == "nobody looked at the faults for 8.0 s while slow stood"
    assert unknown(folder) == {"latency under", "faults: proven in force, and gone"}
