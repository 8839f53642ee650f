"""How a node starts, says what it does, is killed, and starts again."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from kit.nodes import (
    BROADCAST,
    FAILED,
    OK,
    PRIVATE,
    PUT,
    UNKNOWN,
    make_nodes,
    read_journal,
    running,
    wait_until,
)


def test_identity_values_and_contacts_survive_restarts(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2)])
    with running(nodes):
        keys = [os.urandom(32) for _ in range(5)]

        def kept() -> bool:  # the last node is known to the first one soon, not at once
            assert {nodes[0].control.do(PUT, key, b"kept")[0] for key in keys} == {OK}
            return nodes[2].health()["dht_values"] == 5

        wait_until(kept, "the last node keeps all values")
        before = nodes[2].health()
        assert nodes[2].terminate() == 0
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready after SIGTERM")
        after = nodes[2].health()
        assert (after["id"], after["dht_values"], after["restarts"]) == (
            before["id"],
            5,
            before["restarts"] + 1,
        )
        nodes[2].kill()
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready after SIGKILL")
        again = nodes[2].health()
        assert (again["id"], again["dht_values"], again["restarts"]) == (
            before["id"],
            5,
            before["restarts"] + 2,
        )
        assert nodes[0].control.do(PRIVATE, nodes[2].id, b"back")[0] == OK
        nodes[2].kill()
        (nodes[2].directory / "state" / "state.bin").write_bytes(b"torn")
        nodes[2].start()
        wait_until(nodes[2].is_ready, "ready with a torn state")
        assert nodes[2].health()["dht_values"] == 0
        assert "kept as state.bin.torn" in (nodes[2].directory / "log").read_text()


def test_a_killed_receiver_journalled_what_it_acknowledged(tmp_path: Path) -> None:
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        path = nodes[1].begin()
        control = nodes[0].control
        started = [control.start(PRIVATE, nodes[1].id, b"x", 2000) for _ in range(2000)]
        control.outcome(started[200])
        nodes[1].kill()
        outcomes = {identifier: control.outcome(identifier)[0] for identifier in started}
        recorded = {record.id for record in read_journal_prefix(path)}
        acknowledged = {identifier for identifier, outcome in outcomes.items() if outcome == OK}
        assert acknowledged
        assert acknowledged <= recorded
        assert (
            not {identifier for identifier, outcome in outcomes.items() if outcome == FAILED}
            & recorded
        )


def read_journal_prefix(path: Path) -> list[object]:
    """Whole records only: the last turn of a killed node may be torn."""
    data = path.read_bytes()
    path.write_bytes(data[: len(data) - (len(data) - 64) % 40])
    return read_journal(path)


def test_a_broadcast_that_no_link_takes_now_may_arrive_yet(tmp_path: Path) -> None:
    """It is kept and advertised: it was FAILED, as if nothing had been done."""
    nodes = make_nodes(tmp_path, 2, [(0, 1)])
    with running(nodes):
        assert nodes[1].process is not None
        nodes[1].process.send_signal(signal.SIGSTOP)
        outcome, detail = OK, {}
        for _ in range(64):  # of almost a megabyte each; a link holds some tens of them
            outcome, _, detail = nodes[0].control.do(BROADCAST, None, bytes(1_000_000))
            if outcome != OK:
                break
        nodes[1].process.send_signal(signal.SIGCONT)
        assert (outcome, detail["error"]) == (UNKNOWN, "no link takes it now; it is advertised")


def test_progress_is_notified_and_signals_end_it(tmp_path: Path) -> None:
    (node,) = make_nodes(tmp_path, 1, [])
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(10)
        node.start(NOTIFY_SOCKET=str(tmp_path / "notify"))
        lines: list[str] = []
        while "READY=1" not in lines:
            first, *rest = receiver.recv(1000).decode().splitlines()
            assert first == "NODE=n0"
            lines += rest
    assert lines == ["STATUS=listening", "STATUS=linked", "STATUS=joined", "READY=1"]
    assert node.terminate() == 0
    assert not (node.directory / "control.sock").exists()


@pytest.mark.parametrize(
    ("break_it", "words"),
    [
        ("config", "unknown key"),
        ("key", "key.pem: No such file"),
        ("address", "Cannot assign requested address"),
    ],
)
def test_a_fatal_start_is_one_sentence(tmp_path: Path, break_it: str, words: str) -> None:
    (node,) = make_nodes(tmp_path, 1, [])
    path = node.write_config()
    if break_it == "config":
        path.write_text(
            path.read_text()
            .replace('"port"', '"prot"')
            .replace('{"version"', '{"port": 1, "version"')
        )
    elif break_it == "key":
        (node.directory / "key.pem").unlink()
    else:
        path.write_text(path.read_text().replace("127.0.0.1", "203.0.113.1"))
    done = subprocess.run(
        [sys.executable, "-m", "meshnode.cli", "run", "--config", str(path)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_node_never_imports_cryptography() -> None:
    code = "import sys, meshnode.cli; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
