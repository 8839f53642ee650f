"""The Spec is what a supervisor is started with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.topology.topology import Topology


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """What a supervisor is started with."""

    cluster: str
    topology: Topology
    # The file as it was, for run folders; empty where the topology came from code.
    topology_text: str
    runtime: str
    # Those that were brought as nodes: node → container. The harness starts none then.
    containers: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> dict[str, str]:
        """Return what a run folder keeps of it: text by the file's name. Raises OSError where the
        file of a system can no longer be read.
        """
        named = {"topology.toml": self.topology_text} if self.topology_text else {}
        named["topology.json"] = json.dumps(self.topology.as_json(), indent=1)
        if self.topology.adapter.endswith(".toml") and Path(self.topology.adapter).is_file():
            named["system.toml"] = Path(self.topology.adapter).read_text()
        return named
