"""Who keeps a process's memory: a node keeps a megabyte a second, and the function that does is
named, in Python and in native code. The node goes on afterwards.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from kit.desk import Desk, wait_for

pytestmark = [pytest.mark.root, pytest.mark.slow]
KEPT_BYTES = 1_000_000


@pytest.fixture(scope="module")
def growing(tmp_path_factory):
    """A cluster whose nodes keep ever more; the tests of this file share it."""
    made = Desk(tmp_path_factory.mktemp("growing"), "growing")
    systems = Path(__file__).parent.parent / "systems"
    made.environment["PYTHONPATH"] = f"{systems}:{systems.parent.parent}"
    nodes = "adapter = 'bad_node:Grows'\n[nodes]\ncount = 3\n"
    made.ok("up", str(made.write("three.toml", nodes)))
    try:
        yield made
        made.ok("down")
        made.assert_nothing_left()
    finally:
        made.close()


def profiled(desk: Desk, who: str, tool: str) -> dict[str, int]:
    """Take a profile; bytes by function, of the innermost frames. All nodes go on."""
    before = [(row["name"], row["pid"]) for row in desk.status()["nodes"]]
    argv = ("profile", who, "--with", tool, "--for", "3s", "--json")
    found = json.loads(desk.ok(*argv))
    assert (found["unit"], found["problems"]) == ("bytes", [])
    status = desk.status()
    assert [(row["name"], row["pid"]) for row in status["nodes"]] == before
    assert {row["condition"] for row in status["nodes"]} == {"running"}
    counts: dict[str, int] = {}
    for line in Path(found["folded"]).read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        name = stack.rpartition(";")[2]
        counts[name] = counts.get(name, 0) + int(count)
    return counts


@pytest.mark.memray
def test_memray_names_the_python_function_that_keeps_memory(growing):
    counts = profiled(growing, "node-1", "memray")
    most = max(counts, key=counts.__getitem__)
    assert most.startswith("growing (bad_node.py")
    assert counts[most] >= KEPT_BYTES


@pytest.mark.heaptrack
def test_heaptrack_names_the_native_function_that_keeps_memory(growing):
    counts = profiled(growing, "node-2", "heaptrack")
    most = max(counts, key=counts.__getitem__)
    assert most != "?"
    assert counts[most] >= KEPT_BYTES


@pytest.mark.heaptrack
@pytest.mark.parametrize("does", ["x = [bytes(2000) for _ in range(200)]", "time.sleep(0.01)"])
def test_whom_heaptrack_looks_at_goes_on(does, tmp_path):
    """A process that allocates all the time is in malloc, or in a lock of heaptrack's, wherever the
    debugger stops it: it broke, or waited for itself for ever.
    """
    child = subprocess.Popen([sys.executable, "-c", f"import time\nwhile True:\n    {does}"])
    record = [sys.executable, "-m", "harness.profiles.heaptrack_recorder", str(child.pid), "1"]
    try:
        wait_for(lambda: psutil.Process(child.pid).cpu_times().user > 0)
        for again in range(2):
            subprocess.run([*record, str(tmp_path / f"{again}.folded")], check=True)
            before = psutil.Process(child.pid).num_ctx_switches()
            wait_for(lambda before=before: psutil.Process(child.pid).num_ctx_switches() > before)
        assert child.poll() is None
    finally:
        child.kill()
        child.wait()
