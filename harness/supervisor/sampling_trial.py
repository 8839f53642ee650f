"""A trial of the sampler: `python -m harness.supervisor.sampling_trial` prints how many samples of
nodes one core takes in a second. It needs the right to enter a network namespace.
"""

from __future__ import annotations

import os
import time

from harness.supervisor.sampler import Sampler

NODES = 100
SECONDS = 1.0


def samples_per_s() -> float:
    """Sample this process as so many nodes for a while; samples a second of CPU time."""
    namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    sampler = Sampler([namespace] * NODES)
    try:
        for node in range(NODES):
            sampler.track(node, os.getpid())
        until, began_ns, samples = time.monotonic() + SECONDS, time.process_time_ns(), 0
        while time.monotonic() < until:
            samples += sampler.take({}).num_rows
        return samples / ((time.process_time_ns() - began_ns) / 1e9)
    finally:
        sampler.close()
        os.close(namespace)


if __name__ == "__main__":
    print(samples_per_s())
