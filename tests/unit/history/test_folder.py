"""The run folder: written as it goes, whole after a crash, refused when it is foreign."""

from __future__ import annotations

import json
import os
import struct
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pyarrow as pa
import pytest

from harness.errors import BadFileError, StorageError
from harness.experiments import judge
from harness.history import folder as folders
from harness.history import history, reader
from harness.history.events import PhaseBegan, PhasesOver, RunEnded
from harness.history.folder import RunFolder, new_folder
from harness.history.journal import header, record

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def facts(**changes):
    return {
        "version": 1,
        "name": "demo",
        "adapter": "meshnode",
        "topology": "t",
        "seed": 1,
        "runtime": {"name": "netns"},
        "nodes": [
            {"name": "node-0", "wire_id": "00" * 32},
            {"name": "node-1", "wire_id": "11" * 32},
        ],
        "load": {
            "streams": [{"phase": "load", "operation": "private_message", "rate_per_s": 10.0}]
        },
        "host": {"cores": 2, "cpu": "c", "kernel": "k"},
        **changes,
    }


def test_a_folder_for_runs_is_made_and_nothing_is_left_in_it(tmp_path):
    for _ in range(2):
        folders.require_writable(tmp_path / "far" / "runs")
        assert [*(tmp_path / "far" / "runs").iterdir()] == []


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("file", "it is no folder"),
        ("file/runs", "Not a directory"),
        ("/dev/null", "it is no folder"),
        ("/proc/runs", "(No such file or directory|Permission denied)"),
        ("/proc", "(No such file or directory|Permission denied)"),  # nobody can write there
    ],
)
def test_where_no_run_can_be_written_is_refused(tmp_path, where, why):
    (tmp_path / "file").write_text("")
    says = f"{where}: no run can be written there: {why}; expected a folder"
    with pytest.raises(StorageError, match=says):
        folders.require_writable(tmp_path / where)


def test_a_full_disk_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "free_bytes", lambda _: 5 << 20)
    with pytest.raises(StorageError, match="5 MiB are free, a run wants at least 256"):
        folders.require_writable(tmp_path)


def test_a_journal_that_is_detached_stays_as_it_is(tmp_path):
    made = RunFolder(tmp_path, "demo", MOMENT)
    descriptor = made.journal("node-1")
    os.write(descriptor, b"before")
    made.detach_journal("node-1")
    made.detach_journal("node-2")  # which had none
    os.write(descriptor, b"after")
    os.close(descriptor)
    assert [file.name for file in (made.path / "journal").iterdir()] == ["node-1.bin"]
    assert (made.path / "journal" / "node-1.bin").read_bytes() == b"before"
    made.close()


@pytest.mark.parametrize("written", [0, 30, 64, 64 + 39, 64 + 40, 64 + 79])
def test_a_journal_of_a_killed_node_ends_with_a_whole_record(tmp_path, written):
    """The next life's records followed half a one, and none of them could be read."""
    made = RunFolder(tmp_path, "demo", MOMENT)
    made.mend_journal("node-2")  # which had none
    whole = header(b"\1" * 32) + record(1, bytes(16), 5, b"") * 2
    descriptor = made.journal("node-1")
    os.write(descriptor, whole[:written])
    made.mend_journal("node-1")
    kept = {0: 0, 30: 0, 103: 64, 143: 104}.get(written, written)
    os.write(descriptor, whole[kept:])
    os.close(descriptor)
    assert (made.path / "journal" / "node-1.bin").read_bytes() == whole
    made.close()


@pytest.fixture
def folder(tmp_path):
    made = RunFolder(tmp_path, "demo", MOMENT)
    made.write_json("metadata.json", facts())
    made.event(PhaseBegan(at_ns=100, phase="load"))
    made.event(PhasesOver(at_ns=900))
    made.append(
        "samples.arrow",
        pa.RecordBatch.from_pylist(
            [{**dict.fromkeys(history.SAMPLES.names, 7), "node": 1}], history.SAMPLES
        ),
    )
    descriptor = made.journal("node-1")
    os.write(descriptor, b"MESHJRNL" + struct.pack("<II", 1, 40) + b"\x11" * 32 + bytes(16))
    os.write(descriptor, struct.pack("<BBHI16sqQ", 2, 0, 1, 256, b"i" * 16, 555, 9))
    os.close(descriptor)
    yield made
    made.close()


def test_the_numbers_of_operations_are_the_runs_own(folder):
    """A later harness, or one that lacks an operation of a command file, reads the folder all the
    same.
    """
    assert reader.read(folder.path).planned_per_s == {("load", 1): 10.0}
    load = {"streams": [{"phase": "load", "operation": "trade", "rate_per_s": 5.0}]}
    folder.write_json("metadata.json", facts(load=load, operations={"trade": 77}))
    assert reader.read(folder.path).planned_per_s == {("load", 77): 5.0}


def test_what_is_written_is_read_back(folder, tmp_path):
    folder.event(RunEnded(at_ns=1000))
    folder.close()
    found = reader.read(reader.find(tmp_path))
    assert [(phase.name, phase.begin_ns, phase.end_ns) for phase in found.phases] == [
        ("load", 100, 900)
    ]
    assert found.ended
    assert found.journal[0]["at_ns"] == 555
    assert found.journal[0]["node"] == 1
    assert bytes(found.journal[0]["id"]) == b"i" * 16
    assert found.samples.num_rows == 1
    assert found.planned_per_s == {("load", 1): 10.0}


def test_latest_points_at_the_newest_and_names_never_collide(folder, tmp_path):
    second = RunFolder(tmp_path, "demo", MOMENT)
    assert second.path != folder.path
    assert (tmp_path / "latest").resolve() == second.path.resolve()
    second.close()


def test_the_folder_of_a_crash_can_be_judged(folder, tmp_path):
    """No end, no closed streams, a torn line, a torn journal record, a torn batch: never PASS."""
    with (folder.path / "events.jsonl").open("a") as file:
        file.write('{"at_ns": 5, "ev')
    with (folder.path / "journal" / "node-1.bin").open("ab") as file:
        file.write(b"torn")
    with (folder.path / "samples.arrow").open("ab") as file:
        file.write(b"\xff\xff\xff\xff\x10")
    found = reader.read(folder.path)
    assert not found.ended
    assert len(found.journal) == 1
    assert found.samples.num_rows == 1
    judged = judge.judge(folder.path)
    assert judged.exit_code == 2
    assert "cut short" in (folder.path / "summary.txt").read_text()
    assert json.loads((folder.path / "verdict.json").read_text())["answer"] == "UNKNOWN"


def test_judging_twice_and_elsewhere_gives_the_same(folder, tmp_path):
    folder.event(RunEnded())
    first = judge.judge(folder.path).as_json()
    moved = tmp_path / "elsewhere"
    folder.path.rename(moved)
    second = judge.judge(moved).as_json()
    assert first["findings"] == second["findings"]


def test_foreign_folders_and_files_are_refused(folder, tmp_path):
    with pytest.raises(BadFileError, match=r"expected a run folder with metadata\.json"):
        reader.find(tmp_path / "nothing")
    folder.write_json("metadata.json", facts(version=99))
    with pytest.raises(BadFileError, match="expected version 1, found 99"):
        reader.read(folder.path)
    folder.write_json("metadata.json", facts())
    folder.write_json("metadata.json", facts(nodes="node-0"))
    with pytest.raises(BadFileError, match="nodes: expected a list"):
        reader.read(folder.path)


def test_a_full_disk_is_said_with_the_file(tmp_path):
    folder = RunFolder(tmp_path, "demo", MOMENT)
    (folder.path / f".full.txt.{os.getpid()}").symlink_to("/dev/full")  # as it is being written
    with pytest.raises(StorageError, match=r"full\.txt cannot be written: .*No space left"):
        folder.write_text("full.txt", "x" * 100_000)
    (folder.path / "samples.arrow").symlink_to("/dev/full")
    batch = pa.RecordBatch.from_pylist(
        [dict.fromkeys(history.SAMPLES.names, 7)] * 1000, history.SAMPLES
    )
    with pytest.raises(StorageError, match="No space left"):
        folder.append("samples.arrow", batch)
    with pytest.raises(StorageError, match="No space left"):
        folder.close()


def test_folders_of_one_moment_are_each_their_own(tmp_path):
    """Several processes may begin runs of one name in a second: one failed as it was taken."""
    with ThreadPoolExecutor(16) as pool:
        made = list(pool.map(lambda _: new_folder(tmp_path, "demo", MOMENT), range(16)))
    assert len(set(made)) == 16


@pytest.mark.parametrize("name", ["latest", "windows", "baselines", "../elsewhere", "a/b", "", "."])
def test_a_folder_of_a_taken_name_is_not_made(tmp_path, name):
    """A run called *latest* lay in the run before it, and was lost."""
    root = tmp_path / "runs"
    before = new_folder(root, "demo", MOMENT)
    with pytest.raises(BadFileError, match="folder of runs"):
        new_folder(root, name, MOMENT)
    assert (root / "latest").resolve() == before
    assert [*tmp_path.iterdir()] == [root]
    assert not [*before.iterdir()]
