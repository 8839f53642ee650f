"""The Spec is what a supervisor is started with."""

from __future__ import annotations

from dataclasses import dataclass

from harness.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a supervisor is started with."""

    cluster: str
    topology: Topology
    # The file as it was, for run folders; empty where the topology came from code.
    topology_text: str
    runtime: str
