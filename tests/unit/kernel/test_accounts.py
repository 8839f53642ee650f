"""What an account reads: the files of both versions, and the lives of a node."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.kernel import accounts
from harness.kernel.accounts import Account

STAT = "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n"


def test_an_account_counts_from_the_beginning_of_a_life(tmp_path: Path) -> None:
    stat = tmp_path / "cpu.stat"
    stat.write_text(STAT)
    first = Account(tmp_path)
    assert first.cpu_ns() == 1_500_000
    second = first.anew()
    assert second.cpu_ns() == 0
    stat.write_text(STAT.replace("1500", "1600"))
    assert (second.cpu_ns(), second.anew().cpu_ns()) == (100_000, 0)


def test_a_container_of_version_1_tells_nanoseconds(tmp_path: Path) -> None:
    (tmp_path / "cpuacct.usage").write_text("1234\n")
    assert Account(tmp_path, "cpuacct.usage").cpu_ns() == 1234


def test_an_account_that_is_gone_has_nobody(tmp_path: Path) -> None:
    gone = Account(tmp_path / "gone")
    assert (gone.pids(), gone.cpu_ns(), gone.has(os.getpid())) == ([], None, False)
    (tmp_path / "cgroup.procs").write_text("12\n7\n")
    assert Account(tmp_path).pids() == [12, 7]
    (tmp_path / "own").mkdir()  # of a node that makes groups itself
    (tmp_path / "own" / "cgroup.procs").write_text("9\n")
    assert Account(tmp_path).pids() == [12, 7, 9]


def test_where_no_hierarchy_is_mounted_nobody_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_mounts", dict)
    assert accounts.make("owner", "node-0") is None
    assert accounts.of_container(os.getpid(), "id") is None
    assert accounts.owners() == []
    assert accounts.remove_all("owner") == []
