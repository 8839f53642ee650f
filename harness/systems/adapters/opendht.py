"""OpenDHT's ``dhtnode`` as a system under test: put, get and listen over its REST proxy.

What it cannot do: it has no private messages and no broadcast, and its proxy says neither which
node answered a get nor over how many hops.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.operations import Operation, Outcome, Request, Response
from harness.operations.operation import ID_BYTES
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Image, Place, Process, Recipe
from harness.systems.adapter import Saw
from harness.systems.adapters import driven
from harness.systems.transports.http import Http, refuses
from harness.topology.topology import Topology

PORT = 4222
PROXY = "http://127.0.0.1:8000"
TOLD_MAX = 1 << 16  # ids that a node was told of: it stores them for ten minutes
NETWORK = 7  # an id of ours: nodes of other networks are not talked to


class OpenDht(driven.Driven):
    """``dhtnode`` processes that enter by the first of them."""

    name = "opendht"
    operations = frozenset({Operation.DHT_PUT, Operation.DHT_GET, Operation.DHT_LISTEN})
    confirmed = frozenset({Operation.DHT_LISTEN})
    budget = "opendht"
    options: Collection[str] | None = frozenset()
    exempt: Mapping[str, str] = {
        "dht_put": "its proxy does not say which nodes stored the value",
        "dht_get": "its proxy does not say which node had the value; that it is the value which "
        "was put is seen by the id that it begins with",
    }

    def __init__(self) -> None:
        self._told: dict[str, dict[bytes, object]] = {}  # node → what all its drivers know
        self._values = driven.Values()

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Make one command line a node; dhtnode has no configuration."""
        del state, topology
        driven.require("dhtnode", "dhtnode")
        launches = []
        for place in places:
            driven.options(self.name, place, {})
            place.directory.mkdir(parents=True, exist_ok=True)
            argv = [
                "dhtnode",
                "-s",
                "-p",
                str(PORT),
                "-n",
                str(NETWORK),
                "--proxyserver",
                PROXY.rpartition(":")[2],
            ]
            # All enter by the first: a node whose own entrance starts later than it, and whom
            # others enter by, would never ask that entrance again, and they would be a network of
            # their own for good.
            argv += ["-b", f"{places[0].address}:{PORT}"] if place is not places[0] else []
            launches.append(
                (place, Process(argv=tuple(argv), image=Image("dhtnode", Recipe.PROGRAM)))
            )
        return launches

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """See adapter.DrivenAdapter."""
        return Driver(
            place,
            {driven.wire_id(other.node.name): other.node.name for other in places},
            self._told.setdefault(place.node.name, {}),
            self._values,
            alone=len(places) == 1,
        )


class Driver:
    """Speaks to one ``dhtnode``."""

    def __init__(
        self,
        place: Place,
        names: dict[bytes, str],
        told: dict[bytes, object],
        values: driven.Values,
        *,
        alone: bool,
    ) -> None:
        """`told`: id → the listen that told of it, of all listens of this node."""
        self._http = Http(place.namespace)
        self._inbox = _inbox(place.node.name)
        self._names, self._told, self._values, self._alone = names, told, values, alone

    async def ready(self, living: int) -> str:
        """Wait until the node knows another node."""
        good = (await self.health())["good"]
        return "" if good or self._alone or living <= 1 else "knows no other node yet"

    async def health(self) -> dict[str, Any]:
        """Return the nodes in its routing tables by their state, and what it stores."""
        status, body = await self._http.ask("GET", f"{PROXY}/node/stats")
        if status != 200:
            raise HarnessError(f"its proxy answered {status}")
        told = _read(body)
        try:
            nodes = told["nodeInfo"]["ipv4"]
            return {
                "good": nodes["good"],
                "dubious": nodes["dubious"],
                "incoming": nodes["incoming"],
                "listeners": told["listenCount"],
            }
        except (KeyError, TypeError) as error:
            raise HarnessError(f"its proxy's statistics lack {error}") from error

    async def observe(self, saw: Saw, standing: Callable[[], None]) -> None:
        """Listen at the node's own key: what is put there was sent to it.

        A listen tells first what is stored there: what an earlier one told has arrived already.
        """
        listen = object()
        async for line in self._http.lines("GET", f"{PROXY}/key/{self._inbox}/listen"):
            at_ns = time.monotonic_ns()
            if not line:
                standing()
                continue
            value = _read(line)
            data = base64.b64decode(value.get("data", ""))
            if value.get("expired") or len(data) < ID_BYTES:
                continue
            if self._told.setdefault(data[:ID_BYTES], listen) is listen:
                saw(RecordKind.NOTIFIED, data[:ID_BYTES], at_ns)
            while len(self._told) > TOLD_MAX:
                del self._told[next(iter(self._told))]

    async def perform(self, request: Request, sent: Callable[[], None]) -> Response:
        """Put, get, or put where the target listens."""
        self._values.remember(request)
        sent()
        if request.operation is Operation.DHT_GET:
            return await self._get(request)
        assert request.target is not None
        key = (
            _inbox(self._names[request.target])
            if request.operation is Operation.DHT_LISTEN
            else _key(request.target)
        )
        body = json.dumps({"data": base64.b64encode(request.payload or b"").decode()}).encode()
        status, said = await self._http.ask("POST", f"{PROXY}/key/{key}", body=body)
        at_ns = time.monotonic_ns()
        if status != 200:
            return Response(
                request.id,
                Outcome.FAILED if refuses(status) else Outcome.UNKNOWN,
                at_ns,
                f"its proxy answered {status}: {said[:100].decode('utf-8', 'replace').strip()}",
            )
        return Response(request.id, Outcome.OK, at_ns)

    async def _get(self, request: Request) -> Response:
        """Get a value; the answer ends when the search is over.

        By then every node that should have the value was asked, or has not answered.
        """
        assert request.target is not None
        found, why = list[bytes](), "no node had the value"
        async for line in self._http.lines("GET", f"{PROXY}/key/{_key(request.target)}"):
            if line and (data := _read(line).get("data")):
                value = base64.b64decode(data)
                found += [value] if self._values.may_hold(request.target, value) else []
                why = "the value is not the one that was put"
        at_ns = time.monotonic_ns()
        return (
            Response(request.id, Outcome.OK, at_ns, value=found[0])
            if found
            else Response(request.id, Outcome.FAILED, at_ns, why)
        )

    async def close(self) -> None:
        """See adapter.Driver."""
        await self._http.close()


def _read(text: bytes) -> dict[str, Any]:
    """Read what a proxy said. Raises HarnessError where that is no JSON object."""
    try:
        value = json.loads(text)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HarnessError(f"its proxy said {text[:80]!r}; expected a JSON object")
    return value


def _key(key: bytes) -> str:
    """Return a key of the load (32 bytes) as an InfoHash: 20 bytes, hexadecimal."""
    return key[:20].hex()


def _inbox(name: str) -> str:
    """Return the key that a node listens to."""
    return hashlib.sha1(f"inbox of {name}".encode(), usedforsecurity=False).hexdigest()
