"""The pytest plugin on a real engine: `pytest --p2p-runtime docker`."""

from __future__ import annotations

import subprocess
import sys

from kit.desk import Desk

TEST = """
import pytest

@pytest.mark.topology("three.toml")
def test_it(cluster, network):
    assert cluster.status()["runtime"] == "docker"
    with network.cut("isolate", "node-2"):
        cluster.load("private_message", rate_per_s=20, seconds=2)
    found = cluster.verdict().verdict.findings
    [proven] = [one for one in found if one.name.startswith("faults: proven")]
    assert str(proven.answer) != "FAIL", proven
    assert str(cluster.verdict().answer) in ("PASS", "UNKNOWN")  # by a budget, not every message
"""


def test_a_test_has_a_cluster_of_containers(tmp_path):
    desk = Desk(tmp_path, runtime="docker")
    try:
        desk.write("three.toml", "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n")
        desk.write("test_it.py", TEST)
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--p2p-runtime", "docker", "test_it.py"],
            cwd=desk.folder,
            env=desk.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=280,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        desk.assert_nothing_left()
        left = f"label=p2p-harness.state={desk.state}"
        said = subprocess.check_output(["docker", "ps", "-aq", "--filter", left], text=True)
        assert said == ""
    finally:
        desk.close()
