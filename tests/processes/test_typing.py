"""The Python API is typed, as its users see it: mypy over a file in a folder of theirs."""

from __future__ import annotations

import subprocess
import sys

import pytest

USERS_FILE = """
import asyncio
from pathlib import Path

import harness


def play(budget: Path) -> bool:
    with harness.up("cluster-10", system="mine.toml", runtime_name="netns") as cluster:
        with cluster.fault(cut="halves", for_s=3) as fault:
            load: harness.Load = cluster.load("private_message", rate_per_s=200, seconds=10)
        cluster.load({"broadcast": 5}, seconds=2, faults=[{"where": "node-1", "loss": "1%"}])
        after_s: float = cluster.wait_for("broadcast.coverage", at_least=1.0, seconds=20).after_s
        print(fault.name, load.sent["private_message"].ok, after_s, cluster.network.addresses)
        judged: harness.Judged = cluster.verdict(budget=budget)
        return judged.passed


async def twins() -> None:
    async with harness.up_async("cluster-10") as cluster:
        load = asyncio.create_task(cluster.load_async("broadcast", rate_per_s=5, seconds=5))
        await load
        await cluster.wait_for_async("nodes.ready", seconds=5)
        print(cluster.verdict().why)
"""
WRONG = """
import harness

with harness.up("cluster-10") as cluster:
    cluster.load("private_message", rate_per_s="200", seconds=10)
    cluster.fault(cuts="halves")
    cluster.wait_for("broadcast.coverage", at_least=1.0)
    cluster.nope()
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_users_file_is_checked_by_mypy(tmp_path):
    """From another folder, as `py.typed` has it: what is right is found right, and what is wrong
    is not.
    """
    (tmp_path / "right.py").write_text(USERS_FILE)
    (tmp_path / "wrong.py").write_text(WRONG)
    command = [sys.executable, "-m", "mypy", "--strict", "right.py", "wrong.py"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=800
    )
    lines = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert [line.split(":")[:2] for line in lines] == [
        ["wrong.py", str(number)] for number in (5, 6, 7, 8)
    ], done.stdout + done.stderr
