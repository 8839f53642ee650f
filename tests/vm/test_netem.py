"""netem itself, through the same network owner as everywhere, on a kernel that has it. In the
machine one instruction is a nanosecond, so tolerances are the mechanism's and not the host's.
"""

from __future__ import annotations

import os
import socket
import time

import numpy as np
import pytest

from harness.kernel.namespaces import open_socket
from harness.network.proof.datagrams import Prober

# No timeout: the machine's clock leaps while it waits for its disk, and further on a busy host.
pytestmark = [pytest.mark.vm, pytest.mark.timeout(0)]
IN_MACHINE = os.environ.get("HARNESS_IN_MACHINE") == "1"
EXACT_MS = 0.5 if IN_MACHINE else 5.0


def test_it_is_netem_that_serves_here(net):
    it = net()
    it.set(where="n0 -> n1", delay="10ms")
    assert it.network.backends["delay"] == "netem"
    assert "netem" in it.run(None, "tc", "qdisc")


@pytest.mark.parametrize("delay_ms", [1, 10, 50, 200])
def test_delays(net, delay_ms):
    it = net()
    it.set(where="n0 -> n1", delay=f"{delay_ms}ms")
    found = it.one_way(200)
    assert abs(np.median(found[:, 1]) - delay_ms) <= max(EXACT_MS, 0.02 * delay_ms)
    assert it.ping("n2", "n3")[1] < delay_ms + EXACT_MS


def test_jitter_spreads_and_reorders(net):
    it = net()
    it.set(where="n0 -> n1", delay="50ms", jitter="10ms")
    count = 1500
    found = it.one_way(count, 0.002)
    assert len(found) == count
    assert abs(found[:, 1].std() - 10 / np.sqrt(3)) < 0.1 * 10 / np.sqrt(3)
    assert (np.diff(found[:, 0]) < 0).sum() > 100


def test_loss_duplicates_and_corruption_are_what_was_asked(net):
    it = net()
    it.set(where="n0 -> n1", loss="10%", name="a")
    count = 4000
    found = it.one_way(count, 0.0005)
    assert abs((count - len(found)) / count - 0.1) < 5 * np.sqrt(0.09 / count)
    it.network.clear()
    it.set(where="n0 -> n1", duplicate="10%")
    count = 4000
    found = it.one_way(count, 0.0005)
    assert abs((len(found) - count) / count - 0.1) < 5 * np.sqrt(0.09 / count)
    it.network.clear()
    it.set(where="n0 -> n1", corrupt="10%")  # a flipped bit is a wrong checksum: UDP drops it
    count = 4000
    found = it.one_way(count, 0.0005)
    assert 0.05 < (count - len(found)) / count < 0.12


def test_reordering(net):
    it = net()
    it.set(where="n0 -> n1", delay="20ms", reorder="25%")
    count = 1500
    found = it.one_way(count, 0.002)
    early = (found[:, 1] < 10).mean()
    assert abs(early - 0.25) < 5 * np.sqrt(0.25 * 0.75 / count)


def test_changes_keep_what_is_queued(net):
    """What is not asked any more goes."""
    it = net()
    it.set(where="n0 -> n1", delay="200ms", duplicate="50%", name="f")
    here = open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_DGRAM)
    there = open_socket(it.namespaces["n1"], socket.AF_INET, socket.SOCK_DGRAM)
    with here, there:
        there.bind((it.addresses["n1"], 4000))
        there.settimeout(2)
        for _ in range(20):
            here.sendto(b"queued", (it.addresses["n1"], 4000))
        # A class of its own: 300 ms from now on.
        it.set(where="n0 -> n1", delay="100ms", name="other")
        assert sum(there.recv(16) == b"queued" for _ in range(20)) == 20
    it.network.clear("other")
    it.set(where="n0 -> n1", delay="10ms", name="f")
    count = 200
    found = it.one_way(count)
    assert len(found) == count  # no duplicate survived the change
    assert abs(np.median(found[:, 1]) - 10) <= EXACT_MS


def test_a_saturated_rate_waits_no_longer_than_its_queue(net):
    """Small packets have as many bytes of it as large ones."""
    it = net()
    it.set(where="n0 -> n1", delay="50ms", rate="5mbit")
    with open_socket(it.namespaces["n0"], socket.AF_INET, socket.SOCK_DGRAM) as here:
        for _ in range(3_000):
            here.sendto(bytes(1_400), (it.addresses["n1"], 4_001))  # at once: 6.7 s of the rate
    found = it.one_way(100, 0.01)
    assert found[:, 1].min() > 45
    assert found[:, 1].max() < 50 + 50 + 20 + EXACT_MS
    time.sleep(0.5)
    assert len(it.one_way(1_000, 0.0005)) == 1_000  # 1 Mbit/s of 60 bytes: within the rate


def test_three_at_once_and_a_cut_on_top(net):
    it = net()
    before = it.kernel()
    it.set(where="n0 -> n1", delay="50ms", name="d")
    it.set(where="n0 -> n1", loss="1%", name="l")
    it.set(where="n0 -> n1", rate="10mbit", name="r")
    count = 1000
    found = it.one_way(count, 0.002)
    assert abs(np.median(found[:, 1]) - 50) <= max(1.0, EXACT_MS)
    assert 0 < count - len(found) < 40
    it.set(cut="isolate", of=["n1"], name="c")
    assert len(it.one_way(50)) == 0
    it.network.clear()
    assert it.kernel() == before


def test_random_states_are_read_back_as_asked(net):
    """The last clear leaves the kernel as it was."""
    it = net(6)
    it.walk(60)
    assert it.kernel() == it.before


def test_a_proof_by_probes_agrees(net):
    it = net()
    it.set(where="n0 -> n1", delay="80ms", jitter="5ms")
    prober = Prober(it.namespaces, it.addresses)
    found = prober.probe({("n0", "n1"): 10}, 0.3)
    prober.close()
    assert abs(np.median(found["n0", "n1"].delays) - 80) < 8
