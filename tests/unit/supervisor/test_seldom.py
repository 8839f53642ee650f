"""Looks at what is dear: seldom, and never more than a pass may cost."""

from __future__ import annotations

import itertools
import os
import socket

import pytest

from harness.supervisor import seldom
from harness.supervisor.seldom import Directory, Look, Seldom


@pytest.fixture
def directory(tmp_path) -> Directory:
    (tmp_path / "deep" / "deeper").mkdir(parents=True)
    (tmp_path / "deep" / "deeper" / "state").write_bytes(b"x" * 100_000)
    (tmp_path / "log").write_bytes(b"x" * 500_000)
    (tmp_path / "elsewhere").symlink_to("/")
    return Directory(tmp_path, tmp_path / "log")


def test_what_files_take_of_the_disk_without_the_log(directory):
    files = [path for path in directory.path.rglob("*") if path.name != "log"]
    takes = sum(path.lstat().st_blocks * 512 for path in files)
    assert seldom.disk_bytes(directory) == takes
    assert 100_000 <= takes < 500_000
    with (directory.path / "hole").open("wb") as file:
        file.truncate(10**9)
    assert seldom.disk_bytes(directory) < 500_000


def test_a_disk_that_cannot_be_told(directory, tmp_path, monkeypatch):
    assert seldom.disk_bytes(Directory(tmp_path / "gone", tmp_path / "log")) is None
    monkeypatch.setattr(seldom, "FILES_MOST", 3)
    assert seldom.disk_bytes(directory) is None


def test_each_is_looked_at_every_half_minute(directory):
    looks, pids = Seldom([directory] * 3), {0: os.getpid(), 2: os.getpid()}
    assert sorted(looks.look(pids, 100.0)) == [0, 2]
    assert looks.look(pids, 129.9) == {}
    assert sorted(looks.look(pids, 130.0)) == [0, 2]


def test_a_pass_ends_when_it_has_cost_enough(directory, monkeypatch):
    """The others have their turn in the next passes."""
    ticks = itertools.count()
    monkeypatch.setattr(seldom.time, "thread_time", lambda: next(ticks) * 0.6 * seldom.CPU_S)
    looks, pids = Seldom([directory] * 3), dict.fromkeys(range(3), os.getpid())
    assert [sorted(looks.look(pids, 100.0)) for _ in range(4)] == [[0], [1], [2], []]


def test_without_directories_nobody_tells():
    assert Seldom(()).look({0: os.getpid()}, 100.0) == {}


def test_sockets_and_limits_of_a_process():
    before = seldom.sockets(os.getpid())
    with socket.socket(), socket.socket(socket.AF_UNIX), open("/dev/null"):
        assert seldom.sockets(os.getpid()) == before + 2
    assert seldom.fds_limit(os.getpid()) > 0
    assert seldom.sockets(2**22 + 1) is None
    assert seldom.fds_limit(2**22 + 1) is None
    assert Look() == seldom.NOTHING
