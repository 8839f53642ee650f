"""iperf3 between two real namespaces, and one that is ended before its time."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace
from typing import cast

import pytest
from kit.desk import wait_for
from kit.network import Net

from harness.errors import UnavailableError
from harness.kernel.namespaces import spawn_in
from harness.runtimes.runtime import Runtime
from harness.supervisor.iperf3 import goodput

pytestmark = pytest.mark.root
LONG_S = 80_000.0  # no test waits so long; iperf3 takes at most a day


@pytest.fixture
def over():
    made = os.eventfd(0)
    yield made
    os.close(made)


def beside(it: Net) -> Runtime:
    """What runs programs in the nodes' namespaces; who asks waits for them."""

    def execute(node: str, argv: list[str], stdio: tuple[int, int, int]) -> int:
        process = spawn_in(it.namespaces[node], argv, stdio=stdio)
        process.returncode = 0  # so that it is not waited for twice
        return process.pid

    return cast("Runtime", SimpleNamespace(execute=execute))


def test_what_it_measures(net, over):
    it = net()
    it.set(where="n0 -> n1", rate="10mbit")
    carried = goodput(beside(it), "n0", "n1", it.addresses["n1"], 1.0, over)
    assert 0 < carried < 2 * 10e6 / 8  # a second of a busy host


def test_a_run_that_is_over_does_not_wait_for_it(net, over):
    """Ctrl-C in a phase of five minutes waited for five minutes."""
    it = net()
    met: list[BaseException] = []

    def measure() -> None:
        try:
            goodput(beside(it), "n0", "n1", it.addresses["n1"], LONG_S, over)
        except UnavailableError as error:
            met.append(error)

    thread = threading.Thread(target=measure)
    thread.start()
    wait_for(lambda: "ESTAB" in it.run("n1", "ss", "-tn"))
    os.eventfd_write(over, 1)
    thread.join()
    assert str(met[0]) == "iperf3 was ended: the run was over before its time"
    wait_for(lambda: "5201" not in it.run("n1", "ss", "-tln"))
