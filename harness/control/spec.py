"""The Spec is what a supervisor is started with."""

from __future__ import annotations

import json
from dataclasses import dataclass
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

    def files(self) -> dict[str, str]:
        """Return what each run keeps of it: its files' texts, by name. Raises OSError."""
        found = {"topology.toml": self.topology_text} if self.topology_text else {}
        found["topology.json"] = json.dumps(self.topology.as_json(), indent=1)
        adapter = Path(self.topology.adapter)
        if adapter.suffix == ".toml" and adapter.is_file():
            found["system.toml"] = adapter.read_text()
        return found
