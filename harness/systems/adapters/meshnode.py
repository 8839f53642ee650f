"""meshnode, the reference node, as a system under test (docker/meshnode/PROTOCOL.md).

This is the only importer of the package meshnode.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Image, Place, Process
from harness.systems.adapter import Endpoint, MetricsPage
from harness.systems.protocol import ControlCodec, NodeSocket
from harness.topology.topology import Topology

PORT = 7000
ZYGOTE = ("meshnode", "zygote")
OPTIONS = {
    "fanout": int,
    "k": int,
    "alpha": int,
    "max_message_bytes": int,
    "max_connections": int,
    "rate_per_peer": int,
    "routes": int,
    "planted_bug": str,
}


class Meshnode:
    """Keys, configuration and control of meshnode nodes."""

    name = "meshnode"
    operations = frozenset(Operation) - {Operation.DHT_LISTEN}
    budget = "demo"
    keeps_links = True
    wipes = False
    starts = True
    zygotes: Collection[tuple[str, ...]] = (ZYGOTE,)
    options: Collection[str] | None = frozenset(OPTIONS)
    ports = (PORT,)
    exempt: Mapping[str, str] = {}
    unpromised: Mapping[str, tuple[str, ...]] = {}
    side_by_side: frozenset[Operation] = frozenset()
    given_up: frozenset[Operation] = frozenset()  # what is on its way goes on without its sender
    metrics: MetricsPage | None = None  # its health has what it knows
    records = frozenset(
        {
            RecordKind.DELIVERED,
            RecordKind.RECEIVED,
            RecordKind.DUPLICATE,
            RecordKind.STORED,
            RecordKind.ANSWERED,
            RecordKind.FILE_DELIVERED,
            RecordKind.FILE_HASHED,
            RecordKind.CONNECTED,
            RecordKind.LINK_UP,
            RecordKind.LINK_DOWN,
        }
    )

    def __init__(self) -> None:
        self._ids: dict[str, bytes] = {}

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Issue one identity a node by the cluster's own CA and write each node's configuration."""
        from meshnode.identity import Authority  # late: load workers need no X.509

        authority = Authority.load_or_create(state / "ca")
        for place in places:
            place.directory.mkdir(parents=True, exist_ok=True)
            self._ids[place.node.name] = authority.issue(place.directory, place.node.name)
        peers = {
            place.node.name: {
                "name": place.node.name,
                "id": self._ids[place.node.name].hex(),
                "address": place.address,
                "port": PORT,
            }
            for place in places
        }
        neighbours = topology.neighbours()
        for place in places:
            config = peers[place.node.name] | {
                "version": 1,
                "directory": str(place.directory),
                "links": [peers[other] for other in neighbours[place.node.name]],
                "options": _options(place),
            }
            del config["id"]
            (place.directory / "node.json").write_text(json.dumps(config))
        return [(place, self._process(place, state)) for place in places]

    def _process(self, place: Place, state: Path) -> Process:
        return Process(
            argv=("meshnode", "run", "--config", str(place.directory / "node.json")),
            environment={"NOTIFY_SOCKET": str(state / "notify" / "socket")},
            image=Image("meshnode"),
            zygote=ZYGOTE,
        )

    def endpoints(self, places: Sequence[Place]) -> list[Endpoint]:
        """Return control socket and id of each node, after `prepare`."""
        return [
            Endpoint(
                node=place.node.name,
                address=place.address,
                control=str(place.directory / "control.sock"),
                wire_id=self._ids[place.node.name],
            )
            for place in places
        ]

    def codec(self) -> ControlCodec:
        return ControlCodec()

    def administer(self, endpoint: Endpoint) -> NodeSocket:
        return NodeSocket(endpoint)


def _options(place: Place) -> dict[str, Any]:
    found = {}
    for key, value in place.node.options.items():
        expected = OPTIONS.get(key)
        if expected is None:
            raise BadFileError(
                f"node {place.node.name}: options.{key}: meshnode has no such option; possible: "
                f"{', '.join(OPTIONS)}{did_you_mean(key, OPTIONS)}"
            )
        if expected is str:
            _require_bug(f"node {place.node.name}: options.{key}", value)
        elif type(value) is not int or value < 1:
            raise BadFileError(
                f"node {place.node.name}: options.{key}: expected a whole number above 0, found "
                f"{value!r}"
            )
        found[key] = value
    return found


def _require_bug(where: str, value: object) -> None:
    """Raise BadFileError where `value` names no bug that can be planted."""
    from meshnode.bugs import BUGS  # late: load workers plant none

    if value not in BUGS:
        raise BadFileError(f"{where}: {one_of(value, BUGS)}")
