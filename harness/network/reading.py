"""A reading is what all counters of a network said, one after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from harness.faults.fault import Fault
from harness.kernel.netlink import LinkCounters
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import Limit


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The counters, cumulative, and the state that they were counted in: read under one lock.

    `counters`: packets by counter of nftables. `sent`: bytes that each rate let through. `links`:
    node → what its link carried, as the node sees it. From `at_ns` on they were read, and by
    `read_ns` all: on a busy host that is not one moment.
    """

    at_ns: int  # CLOCK_MONOTONIC
    compiled: Compiled
    faults: Mapping[str, Fault]
    counters: Mapping[str, int]
    sent: Mapping[Limit, int]
    links: Mapping[int, LinkCounters]
    read_ns: int
