"""A process with more descriptors than select(2) can take, as the supervisor of some hundred nodes
is: faults of every backend come and go in it.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.root

# A process of its own: libnftables aborts the one that it cannot serve.
PROGRAM = """
import os
from kit.network import Net

held = [os.open(os.devnull, os.O_RDONLY) for _ in range(1200)]
assert held[-1] > 1023
net = Net(4)
net.set(cut="halves", name="cut")
assert net.ping("n0", "n3", count=3).received == 0
net.network.clear("cut")
net.set(where="n0 -> n1", delay="60ms")
assert 45 < net.ping("n0", "n1", count=5).median_ms < 200
net.set(where="n2", up="5mbit", down="5mbit")
assert net.ping("n0", "n3", count=3).received == 3
net.network.clear()
assert net.kernel() == net.before
net.close()
print("came and went")
"""


def test_faults_come_and_go_in_a_process_of_many_descriptors():
    kit = str(Path(__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "PYTHONPATH": kit},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "came and went\n", "")
