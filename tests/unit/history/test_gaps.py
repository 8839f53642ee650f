"""What was not recorded is found, is told in a sentence, and touches what rests on it alone."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from kit import run_folders
from kit.run_folders import END_NS, NODES, T0

from harness.checks.resource_metrics import cpu
from harness.checks.verdict import Answer
from harness.errors import BadFileError
from harness.experiments import judge
from harness.history import history as h
from harness.history import journal, manifest, reader
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
from harness.history.gaps import Part

SECOND = 1_000_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run_folders.good(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def folder(made, tmp_path):
    return shutil.copytree(made, tmp_path / "run")


def answers(folder, *, seal: bool = True) -> dict[str, tuple[Answer, str]]:
    """The answers by the findings' names, of a folder whose files are as they are meant to be."""
    if seal:
        manifest.write(folder)
    findings = judge.judge(folder, write=False).verdict.findings
    return {finding.name: (finding.answer, finding.sentence) for finding in findings}


def unknown(folder, *, seal: bool = True) -> set[str]:
    found = answers(folder, seal=seal)
    assert Answer.FAIL not in {answer for answer, _ in found.values()}
    return {name for name, (answer, _) in found.items() if answer is Answer.UNKNOWN}


def lines(folder, name: str) -> list[dict]:
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def write_lines(folder, name: str, said: list[dict]) -> None:
    (folder / name).write_text("".join(json.dumps(one) + "\n" for one in said))


def rewrite(folder, name: str, schema: pa.Schema, change) -> None:
    with pa.ipc.open_stream((folder / name).read_bytes()) as stream:
        table = change(stream.read_all())
    with pa.ipc.new_stream(str(folder / name), schema) as writer:
        writer.write_table(table.cast(schema))


def without(begin_s: float, end_s: float):
    """A table without the samples of those seconds."""
    begin_ns, end_ns = T0 + int(begin_s * SECOND), T0 + int(end_s * SECOND)
    return lambda table: table.filter(
        pc.or_(pc.less(table["at_ns"], begin_ns), pc.greater_equal(table["at_ns"], end_ns))
    )


def facts(folder, **changes) -> None:
    found = json.loads((folder / "metadata.json").read_text())
    (folder / "metadata.json").write_text(json.dumps({**found, **changes}))


def happened(folder, *more) -> None:
    """Add events."""
    said = lines(folder, "events.jsonl") + [event.as_json() for event in more]
    write_lines(folder, "events.jsonl", sorted(said, key=lambda one: one["at_ns"]))


OF_OPERATIONS = {
    "operations that came true: private_message",
    "operations that came true: broadcast",
    "latency",
    "latency under",
    "delivered",
    "settled delivered",
    "hops",
    "coverage",
    "settled coverage",
    "sent on time",
    "received",
    "private messages: acknowledged and delivered",
    "broadcasts: in the journals of all 3 other nodes",
    "load: private_message",
    "load: broadcast",
}
OF_JOURNALS = {
    "latency",
    "latency under",
    "coverage",
    "settled coverage",
    "private messages: acknowledged and delivered",
    "broadcasts: in the journals of all 3 other nodes",
}


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


def test_a_worker_that_left_no_record(folder):
    (folder / "load" / "operations-1.arrow").unlink()
    found = answers(folder)
    assert found["latency"] == (Answer.UNKNOWN, "load worker 1 of 2 left no record, and 2 more")
    assert unknown(folder) == OF_OPERATIONS


def test_a_worker_that_was_killed(folder):
    """Its stream lacks Arrow's end: what it had under way then is in no file."""
    path = folder / "load" / "operations-1.arrow"
    path.write_bytes(path.read_bytes()[:-8])
    found = answers(folder)
    why = "load/operations-1.arrow lacks Arrow's end of stream"
    assert found["settled delivered"] == (Answer.UNKNOWN, why)
    of_phase_load = {"latency", "latency under", "delivered", "received", "hops", "coverage"}
    of_phase_load |= {"sent on time"}
    assert unknown(folder) == OF_OPERATIONS - of_phase_load


def test_a_stalled_supervisor(folder):
    """No samples for 9 of 12 s: what was the most memory then is not known."""
    rewrite(folder, "samples.arrow", h.SAMPLES, without(6, 15))
    assert unknown(folder) == {"memory", "memory of one", "network"}
    assert "had 3 samples in 12 s of phase load" in answers(folder)["memory"][1]


def test_samples_far_apart(folder):
    """Of a long phase nine tenths were sampled, yet nobody looked for five seconds."""
    events = lines(folder, "events.jsonl")
    for one in events:
        if one["at_ns"] >= T0 + 22 * SECOND:
            one["at_ns"] += 60 * SECOND
    write_lines(folder, "events.jsonl", events)
    plan = json.loads((folder / "metadata.json").read_text())["plan"]
    facts(folder, plan=[*plan[:2], {**plan[2], "end_s": 82.0}])
    seconds = [second for second in range(24, 83) if not 50 <= second < 55]
    rewrite(
        folder,
        "samples.arrow",
        h.SAMPLES,
        lambda table: pa.concat_tables([table, *(later(table, second) for second in seconds)]),
    )
    manifest.write(folder)
    found = reader.read(folder)
    assert [gap.why for gap in found.gaps if "samples" in gap.what] == [
        "each of 4 of 4 nodes, node-0 for one, was not sampled for 6 s in phase settle"
    ]


def later(table: pa.Table, second: int) -> pa.Table:
    """The last sample of each node, taken so many seconds after T0."""
    last = table.slice(table.num_rows - len(NODES))
    at = pa.array([T0 + second * SECOND + SECOND // 10] * len(NODES), pa.int64())
    return last.set_column(0, h.SAMPLES.field("at_ns"), at)


def test_a_node_that_ended_by_itself(folder):
    """It is judged by what it did not deliver; of its resources nothing is known from then on."""
    happened(folder, NodeEnded(at_ns=T0 + 10 * SECOND, node="node-3"))
    rewrite(
        folder,
        "samples.arrow",
        h.SAMPLES,
        lambda t: t.filter(
            pc.or_(pc.not_equal(t["node"], 3), pc.less(t["at_ns"], T0 + 10 * SECOND))
        ),
    )
    write_lines(
        folder,
        "histograms.jsonl",
        [
            one
            for one in lines(folder, "histograms.jsonl")
            if one["node"] != 3 or one["phase"] == "idle"
        ],
    )
    found = answers(folder)
    assert found["memory"][1] == "node-3 ended by itself 10.0 s into the run"
    of_resources = {name for name, (answer, _) in found.items() if answer is Answer.UNKNOWN}
    assert of_resources == {"memory", "network", "settled network", "verify", "routes"}
    failed = {name for name, (answer, _) in found.items() if answer is Answer.FAIL}
    assert failed == {"nodes: alive throughout"}


def test_a_node_that_the_harness_restarted(folder):
    """Its clock begins anew: what it used is the sum of its lives, and no sample is missing."""
    stop_ns, start_ns = T0 + 8 * SECOND, T0 + 9 * SECOND
    happened(
        folder,
        NodeChanged(at_ns=stop_ns, node="node-3", condition="stopped"),
        NodeStarted(at_ns=start_ns, node="node-3"),
    )

    def restarted(table):
        rows = table.to_pylist()
        for row in rows:
            if row["node"] == 3 and row["at_ns"] > start_ns:
                row["cpu_ns"] = 500_000_000 + (row["at_ns"] - start_ns) // 100
        kept = [r for r in rows if r["node"] != 3 or not stop_ns < r["at_ns"] < start_ns]
        return pa.Table.from_pylist(kept, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, restarted)
    assert unknown(folder) == {"verify"}
    history = reader.read(folder)
    share = cpu(history, history.phase("load")).series[3][0]
    # 4 to 8 s: 40 ms; from the start on: 0.5 s, and 1 % of the 6 s to the last sample.
    assert share == pytest.approx((0.03 + 0.5 + 0.061) / 11, rel=0.01)


def test_a_clock_that_fell_without_a_word(folder):
    def fallen(table):
        rows = table.to_pylist()
        for row in rows:
            row["cpu_ns"] -= 120_000_000 * (row["at_ns"] > T0 + 10 * SECOND)
        return pa.Table.from_pylist(rows, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, fallen)
    history = reader.read(folder)
    shares = cpu(history, history.phase("load")).series
    assert all(share[0] >= 0 for share in shares.values())


def test_nodes_that_told_nothing(folder):
    """verify of one node of four."""
    write_lines(
        folder,
        "histograms.jsonl",
        [
            one
            for one in lines(folder, "histograms.jsonl")
            if one["phase"] != "load" or one["node"] == 0
        ],
    )
    assert "3 of 4 nodes, node-1 for one," in answers(folder)["verify"][1]
    assert unknown(folder) == {"verify"}


def test_a_node_that_could_not_write_its_journal(folder):
    said = lines(folder, "histograms.jsonl")
    for one in said:
        one["gauges"]["journal_errors"] = 7 * (one["node"] == 2 and one["phase"] != "idle")
    write_lines(folder, "histograms.jsonl", said)
    assert answers(folder)["coverage"] == (
        Answer.UNKNOWN,
        "node-2 could not write its journal 7 times in phase load",
    )
    assert unknown(folder) == OF_JOURNALS - {"settled coverage"}


@pytest.mark.parametrize("keep", [None, 0.0, 0.5])
def test_a_journal_that_was_deleted_emptied_or_halved(folder, keep):
    """Acknowledged and in no journal: the record's fault, not the system's."""
    path = folder / "journal" / "node-2.bin"
    data = path.read_bytes()
    if keep is None:
        path.unlink()
    else:
        path.write_bytes(data[: 64 + int((len(data) - 64) * keep) // 40 * 40 if keep else 0])
    found = answers(folder, seal=False)
    assert "journal/node-2.bin" in found["coverage"][1]
    assert unknown(folder, seal=False) == OF_JOURNALS


@pytest.mark.parametrize("condition", ["stopped", "paused"])
def test_only_a_node_that_never_ran_has_no_journal(folder, condition):
    """One that was paused throughout made every row of journals UNKNOWN; one that was stopped at
    first, and then ran, lacked none.
    """
    (folder / "journal" / "node-3.bin").unlink()
    nodes = json.loads((folder / "metadata.json").read_text())["nodes"]
    facts(folder, nodes=[*nodes[:3], {**nodes[3], "condition": condition}])
    events = [one for one in lines(folder, "events.jsonl") if one.get("node") != "node-3"]
    began = {"at_ns": T0 - SECOND, "event": "node-condition", "node": "node-3"}
    write_lines(folder, "events.jsonl", [{**began, "condition": condition}, *events])
    missing = "journal/node-3.bin is missing"
    assert missing not in {sentence for _, sentence in answers(folder).values()}
    happened(folder, NodeStarted(at_ns=T0 + SECOND, node="node-3"))
    assert answers(folder)["coverage"] == (Answer.UNKNOWN, missing)


def test_a_halved_journal_of_an_older_folder_accuses_nobody(folder):
    """No manifest tells that it was cut, and none that it was not."""
    (folder / "manifest.json").unlink()
    facts(folder, manifest=False)
    assert unknown(folder, seal=False) == set()
    path = folder / "journal" / "node-2.bin"
    path.write_bytes(path.read_bytes()[:2064])
    found = answers(folder, seal=False)
    assert found["coverage"][0] is Answer.UNKNOWN
    assert "without a manifest" in found["private messages: acknowledged and delivered"][1]


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


def test_a_journal_that_goes_on_behind_a_torn_record(folder):
    """A kill tore it; the node's next life appended: what follows is read as it was written."""
    path = folder / "journal" / "node-2.bin"
    data = path.read_bytes()
    whole = reader.read(folder).journal
    path.write_bytes(data[: 64 + 50 * 40 + 13] + data[64 + 51 * 40 :])
    manifest.write(folder)
    found = reader.read(folder)
    lost = len(whole) - len(found.journal)
    assert lost == 1
    assert {one.tobytes() for one in found.journal} < {one.tobytes() for one in whole}
    [gap] = [gap for gap in found.gaps if Part.JOURNAL in gap.what]
    assert gap.why == "journal/node-2.bin has 13 bytes after 50 records that are no record"
    assert gap.of == ("node-2",)
    own = whole[whole["node"] == 2]["at_ns"]
    assert gap.from_ns < own[50] < gap.to_ns < own[-1]


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        (b"", "is empty"),
        (b"MESHJRNL\1", "does not begin with MESHJRNL"),
        (b"not a journal at all" * 10, "does not begin with MESHJRNL"),
        (journal.header(b"\xff" * 32), "is the journal of another node"),
    ],
)
def test_a_torn_header(folder, bad, why):
    (folder / "journal" / "node-2.bin").write_bytes(bad)
    assert answers(folder)["coverage"] == (Answer.UNKNOWN, f"journal/node-2.bin {why}")


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


def test_operations_that_were_taken_out_of_a_record(folder):
    """The file is closed off as it should be; the schedule says what there would be."""
    rewrite(
        folder,
        "load/operations-1.arrow",
        h.OPERATIONS,
        lambda table: pa.concat_tables([table.slice(0, 20), table.slice(23)]),
    )
    found = answers(folder)
    assert "are not in the record (of load worker 2 of 2)" in found["latency"][1]
    of_settle = {"settled delivered", "settled coverage"}
    of_settle |= {"load: private_message", "load: broadcast"}
    assert unknown(folder) == OF_OPERATIONS - of_settle


def test_faults_that_nobody_looked_at(folder):
    begin, end = T0 + 6.5 * SECOND, T0 + 13.5 * SECOND
    said = lines(folder, "proofs.jsonl")
    write_lines(folder, "proofs.jsonl", [one for one in said if not begin < one["at_ns"] < end])
    found = answers(folder)
    assert found["latency under"][1] == "nobody looked at the faults for 8.0 s while slow stood"
    assert unknown(folder) == {"latency under", "faults: proven in force, and gone"}


def test_rows_with_values_that_cannot_be(folder):
    """A node that there is not, and a value that is none."""

    def foreign(table):
        rows = table.to_pylist()
        rows[50]["node"], rows[60]["node"] = 77, 5
        return pa.Table.from_pylist(rows, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, foreign)
    assert "2 rows of samples have values that cannot be" in answers(folder)["memory"][1]


def test_a_file_that_came_later(folder):
    shutil.copy(folder / "load" / "operations-1.arrow", folder / "load" / "operations-2.arrow")
    assert "was not there when the run was closed" in answers(folder, seal=False)["latency"][1]


def test_what_is_before_the_first_changed_segment_is_read(folder):
    path = folder / "load" / "operations-1.arrow"
    data = path.read_bytes()
    path.write_bytes(data[: manifest.SEGMENT_BYTES + 100])
    found = reader.read(folder)
    [gap] = [gap for gap in found.gaps if Part.OPERATIONS in gap.what]
    assert "16,384 of 24,744 bytes are" in gap.why
    assert T0 + 4 * SECOND < gap.from_ns < END_NS
    assert 200 < found.operations.num_rows < 300


def with_values(folder):
    """The folder with what one worker put and read under keys, two batches of one row."""
    rows = [{"id": bytes([n]) * 16, "key": b"k" * 16, "value": None} for n in (1, 2)]
    with pa.ipc.new_stream(str(folder / "load" / "values-0.arrow"), h.VALUES) as stream:
        for row in rows:
            stream.write_batch(pa.RecordBatch.from_pylist([row], h.VALUES))
    manifest.write(folder)
    return folder / "load" / "values-0.arrow"


def test_values_are_read_where_there_are_any(folder):
    before = reader.read(folder)
    assert before.values.num_rows == 0
    with_values(folder)
    found = reader.read(folder)
    assert (found.values.num_rows, found.gaps) == (2, before.gaps)


def test_values_that_are_torn_are_a_gap_of_the_operations(folder):
    before = reader.read(folder).gaps
    file = with_values(folder)
    file.write_bytes(file.read_bytes()[:-200])
    manifest.write(folder)
    (gap,) = set(reader.read(folder).gaps) - {*before}
    assert gap.what == {Part.OPERATIONS}
    assert "values-0.arrow" in gap.why
