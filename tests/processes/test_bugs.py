"""Planted bugs that show between nodes: each does what it says, and a node without one does not."""

import os
import socket
from pathlib import Path

import pytest
from kit.nodes import CONNECT, FAILED, GET, OK, PUT, Node, make_nodes, running, wait_until

CLEAN = ""
PAIR = [(0, 1)]
KEY = bytes(range(32))


def options(bug: str) -> dict[str, str]:
    return {"planted_bug": bug} if bug else {}


@pytest.mark.parametrize(("bug", "kept"), [(CLEAN, 3), ("forgets-on-churn", 0)])
def test_values_are_gone_when_a_peer_leaves(tmp_path: Path, bug: str, kept: int) -> None:
    nodes = make_nodes(tmp_path, 2, PAIR, **options(bug))
    with running(nodes):
        for number in range(3):
            assert nodes[0].control.do(PUT, bytes([number] * 32), b"kept")[0] == OK
        assert nodes[1].health()["dht_values"] == 3
        nodes[0].terminate()
        wait_until(lambda: nodes[1].health()["links"] == 0, "the link fell")
        assert nodes[1].health()["dht_values"] == kept


@pytest.mark.parametrize(("bug", "alone"), [(CLEAN, FAILED), ("answers-from-cache", OK)])
def test_a_get_is_answered_while_nobody_is_reached(tmp_path: Path, bug: str, alone: int) -> None:
    nodes = make_nodes(tmp_path, 2, PAIR, **options(bug))
    with running(nodes):
        control = nodes[0].control
        assert control.do(PUT, KEY, b"value")[0] == OK
        assert control.do(GET, KEY, "value")[2]["value"] == b"value"
        nodes[1].kill()
        outcome, _, detail = control.do(GET, KEY, "value", 30_000)
        assert outcome == alone
        assert (detail.get("value"), detail.get("from")) == (
            (b"value", nodes[1].id) if bug else (None, None)
        )
        assert control.do(GET, bytes(32), None, 30_000)[0] == FAILED


@pytest.mark.parametrize(("bug", "leaked"), [(CLEAN, 0), ("leaks-on-reconnect", 5)])
def test_a_reconnect_costs_a_descriptor(tmp_path: Path, bug: str, leaked: int) -> None:
    nodes = make_nodes(tmp_path, 2, PAIR, **options(bug))
    with running(nodes):
        control = nodes[0].control
        assert control.do(CONNECT, nodes[1].id)[0] == OK
        before = nowhere(nodes[1])
        for _ in range(5):
            assert control.do(CONNECT, nodes[1].id)[0] == OK
        assert nowhere(nodes[1]) == before + leaked


def nowhere(node: Node) -> int:
    """How many descriptors of /dev/null a node has: what the bug leaks."""
    assert node.process is not None
    found = Path(f"/proc/{node.process.pid}/fd").iterdir()
    return sum(os.path.realpath(one) == os.devnull for one in found)


@pytest.mark.parametrize(("bug", "older"), [(CLEAN, b"new"), ("returns-older-value", b"old")])
def test_an_older_value_comes_after_a_newer_one(tmp_path: Path, bug: str, older: bytes) -> None:
    nodes = make_nodes(tmp_path, 2, PAIR, **options(bug))
    with running(nodes):
        control = nodes[0].control
        for value in (b"old", b"new"):
            assert control.do(PUT, KEY, value)[0] == OK
        found = [control.do(GET, KEY, "value")[2]["value"] for _ in range(3)]
        assert found == [b"new", older, older]


@pytest.mark.parametrize(("bug", "links"), [(CLEAN, 2), ("never-unsuspects", 1)])
def test_a_peer_that_comes_back_stays_dead(tmp_path: Path, bug: str, links: int) -> None:
    nodes = make_nodes(tmp_path, 3, [(0, 1), (1, 2), (0, 2)], **options(bug))
    with running(nodes):
        nodes[2].terminate()
        wait_until(lambda: nodes[0].health()["links"] == 1, "the link fell")
        nodes[2].start()
        wait_until(nodes[2].is_ready, "the peer is back")
        assert nodes[2].health()["links"] == 2
        wait_until(lambda: nodes[0].health()["links"] == links, f"{links} links")
        assert nodes[0].control.call("health")["links"] == links


@pytest.mark.parametrize(("bug", "leaked"), [(CLEAN, 0), ("leaks-a-connection-a-reconnect", 5)])
def test_a_reconnect_costs_a_connection(tmp_path: Path, bug: str, leaked: int) -> None:
    nodes = make_nodes(tmp_path, 2, PAIR, **options(bug))
    with running(nodes):
        control = nodes[0].control
        assert control.do(CONNECT, nodes[1].id)[0] == OK
        before = to_itself(nodes[1])
        for _ in range(5):
            assert control.do(CONNECT, nodes[1].id)[0] == OK
        assert to_itself(nodes[1]) == before + leaked


def to_itself(node: Node) -> int:
    """How many connections of a node's address to the same one there are, by their client's end."""
    assert node.process is not None
    address = int.from_bytes(socket.inet_aton(node.address), "little")
    found = 0
    for line in Path(f"/proc/{node.process.pid}/net/tcp").read_text().splitlines()[1:]:
        local, remote = line.split()[1:3]
        same = local.split(":")[0] == remote.split(":")[0] == f"{address:08X}"
        found += same and int(remote.split(":")[1], 16) == node.port
    return found
