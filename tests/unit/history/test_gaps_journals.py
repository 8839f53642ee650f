"""What nodes' journals lack is found, and accuses nobody of a loss."""

from __future__ import annotations

import json

import pytest
from kit.gaps import answers, facts, happened, lines, unknown, write_lines
from kit.histories import SECOND
from kit.run_folders import T0

from harness.checks.verdict import Answer
from harness.history import journal, manifest, reader
from harness.history.events import NodeStarted
from harness.history.gaps import Part

OF_JOURNALS = {
    "latency",
    "latency under",
    "coverage",
    "settled coverage",
    "private messages: acknowledged and delivered",
    "broadcasts: in the journals of all 3 other nodes",
}


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


def test_a_node_that_did_not_close_its_journal(folder):
    """Seen: a node with a minute of messages before it, on a host that others had: the broadcasts
    that it had not come to were "not everywhere", FAIL.
    """
    ended = lines(folder, "events.jsonl")
    ended[-1]["unclosed"] = ["node-2"]
    write_lines(folder, "events.jsonl", ended)
    said = "node-2 did not keep its journal to the end"
    assert answers(folder)["coverage"] == (Answer.UNKNOWN, said)
    assert unknown(folder) == OF_JOURNALS


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
