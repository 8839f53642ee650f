"""Who keeps a process's memory: a node keeps a megabyte a second, and the function that does is
named, in Python and in native code. The node goes on afterwards.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from kit.desk import Desk

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
