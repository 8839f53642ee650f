"""A zygote of many rehearses a whole start, for real and on the loopback; nothing of it is left."""

import logging
import os
import socket
from pathlib import Path

import pytest
from kit.nodes import Zygote, make_nodes, wait_until
from meshnode.rehearsal import rehearse_start


def test_all_nodes_of_a_rehearsal_become_ready_and_nobody_hears_of_them(tmp_path, monkeypatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as hears:
        hears.bind(str(tmp_path / "notify"))
        hears.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        place = tmp_path / "place"
        place.mkdir()
        assert rehearse_start(place)
        with pytest.raises(BlockingIOError):
            hears.recv(1)
    assert list(place.iterdir()) == []
    assert not logging.root.manager.disable


def test_what_cannot_be_rehearsed_is_left_out(tmp_path):
    """Where there is no place, and where the path of a control socket would be too long."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    for place in (tmp_path / "nowhere", long):
        assert not rehearse_start(place)
    assert list(long.iterdir()) == []


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="setns(2) needs CAP_SYS_ADMIN: run as root")
def test_nodes_of_a_zygote_that_has_rehearsed_are_like_others(tmp_path: Path):
    place = tmp_path / "place"
    place.mkdir()
    zygote = Zygote(ZYGOTE_REHEARSAL=str(place))
    node = make_nodes(tmp_path / "nodes", 1, [])[0]
    zygote.spawn("n", ["meshnode", "run", "--config", str(node.write_config())], node.directory)
    assert zygote.receive()[0]["op"] == "spawned"
    wait_until(node.is_ready, "the node is ready")
    health = node.health()
    assert (health["contacts"], health["links"], health["restarts"]) == (0, 0, 0)
    assert set(health["counters"].values()) == {0}
    assert list(place.iterdir()) == []
    assert zygote.close() == 0
