"""What real nodes journal for the ledger: nothing that was taken is missing from the first moment
on, and each end of a file or a connection says its own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from kit.nodes import (
    CONNECT,
    FILE,
    OK,
    PRIVATE,
    PUT,
    Node,
    make_nodes,
    read_journal,
    running,
    wait_until,
)
from meshnode.journal import EARLY_MAX, Journal, Kind


def test_a_node_journals_what_it_took_before_it_was_handed_the_file(tmp_path: Path) -> None:
    """Hole 24: stopped and started under load, it listens before anybody can say begin."""
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        sender, receiver = nodes
        receiver.kill()
        receiver.disconnect()
        wait_until(lambda: sender.health()["links"] == 0, "the link gone")
        before_ns = time.monotonic_ns()
        receiver.start()
        wait_until(receiver.is_ready, "the receiver ready")
        identifier = sender.control.start(PRIVATE, receiver.id, b"early")
        assert sender.control.outcome(identifier)[0] == OK
        path = tmp_path / "journal.bin"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        since_ns = receiver.control.call("begin", [descriptor], early=True)
        os.close(descriptor)
        [delivered] = [one for one in read_journal(path) if one.kind == Kind.PRIVATE_DELIVERED]
        assert delivered.id == identifier
        assert before_ns < since_ns < delivered.at_ns
        # One that was told so without "early" begins with now, as before.
        assert {one.kind for one in read_journal(sender.begin())} == {Kind.LINK_UP}


def test_a_journal_says_which_neighbours_a_node_has_a_link_with(tmp_path: Path) -> None:
    """From its beginning on; what falls with the node itself is no news of the others."""
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    with running(nodes):
        middle = nodes[1]
        path = middle.begin()
        nodes[0].kill()
        nodes[0].disconnect()
        wait_until(lambda: middle.health()["links"] == 1, "the link fell")
        nodes[0].start()
        wait_until(lambda: middle.health()["links"] == 2, "the link stands again")
        middle.terminate()
        told = [(r.kind, r.peer) for r in read_journal(path) if r.kind >= Kind.LINK_UP]
    ends = [node.id[:8] for node in (nodes[0], nodes[2])]
    assert set(told[:2]) == {(Kind.LINK_UP, end) for end in ends}
    assert told[2:] == [(Kind.LINK_DOWN, ends[0]), (Kind.LINK_UP, ends[0])]


def test_both_ends_of_a_file_and_of_a_connection_journal(line: list[Node]) -> None:
    source, target = line[0], line[1]
    journals = [node.begin() for node in (source, target)]
    sent_ns = time.monotonic_ns()
    identifier = source.control.start(FILE, target.id, (600_000).to_bytes(8, "little"))
    assert source.control.outcome(identifier)[0] == OK
    outcome, done_ns, _ = source.control.do(CONNECT, target.id)
    assert outcome == OK
    ours, theirs = ([r for r in read_journal(path) if r.at_ns > sent_ns] for path in journals)
    hashes = [[r.peer for r in one if r.kind == Kind.FILE_HASHED] for one in (ours, theirs)]
    assert hashes[0] == hashes[1] != [bytes(8)]
    [delivered] = [r for r in theirs if r.kind == Kind.FILE_DELIVERED]
    assert (delivered.id, delivered.size) == (identifier, 600_000)
    [met] = [r for r in theirs if r.kind == Kind.CONNECTED]
    assert met.peer == source.id[:8]
    assert sent_ns < met.at_ns < done_ns


def test_what_a_put_was_told_is_in_a_journal_by_then(line: list[Node]) -> None:
    journals = [node.begin() for node in line]
    key = os.urandom(32)
    outcome, done_ns, _ = line[0].control.do(PUT, key, b"value")
    assert outcome == OK
    stored = [
        one
        for path in journals[1:]
        for one in read_journal(path)
        if one.kind == Kind.DHT_STORED and one.id == key[:16]
    ]
    assert [one for one in stored if one.at_ns < done_ns]


def test_an_early_journal_is_bounded(tmp_path: Path) -> None:
    def begun(count: int, *, early: bool) -> tuple[bool, int]:
        journal, path = Journal(bytes(32)), tmp_path / f"{count}-{early}"
        for _ in range(count):
            journal.add(Kind.DROPPED, bytes(16), 1)
            journal.flush()
        with path.open("ab", buffering=0) as file:
            whole = journal.begin(os.dup(file.fileno()), early=early)
        journal.add(Kind.DROPPED, bytes(16), 2)
        journal.end()
        journal.add(Kind.DROPPED, bytes(16), 3)  # nobody reads it
        return whole, len(read_journal(path))

    assert begun(3, early=True) == (True, 4)
    assert begun(3, early=False) == (False, 1)
    assert begun(EARLY_MAX, early=True) == (True, EARLY_MAX + 1)
    assert begun(EARLY_MAX + 1, early=True) == (False, 1)
