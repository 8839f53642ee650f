"""The base class of adapters with drivers.

They share names on the wire, the gateway's sockets, and the control protocol that it speaks.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from harness.choices import did_you_mean
from harness.errors import BadFileError
from harness.operations import Operation, Request
from harness.operations.operation import ID_BYTES, may_be_of
from harness.operations.records import FORMERLY_COUNTED, RecordKind
from harness.runtimes.runtime import Place
from harness.systems.adapter import Endpoint, MetricsPage
from harness.systems.protocol import ControlCodec, NodeSocket
from harness.topology.topology import Option

CONTROL = "control.sock"
PUTS_MAX = 1 << 18  # of which a key is remembered that they share


class Driven:
    """An adapter whose nodes the gateway drives. Subclass it: name, operations, prepare, driver.

    `confirmed` holds the operations whose word is the receiver's; `records` the kinds of records
    that its driver makes of what a node saw.
    """

    budget: str | None = None
    keeps_links = False
    wipes = False
    starts = True
    zygotes: Collection[tuple[str, ...]] = ()
    options: Collection[str] | None = None
    ports: tuple[int, ...] = ()
    confirmed: frozenset[Operation] = frozenset()
    exempt: Mapping[str, str] = {}
    unpromised: Mapping[str, tuple[str, ...]] = {}
    side_by_side: frozenset[Operation] = frozenset()
    given_up: frozenset[Operation] = frozenset()
    metrics: MetricsPage | None = None
    records: frozenset[RecordKind] = FORMERLY_COUNTED

    def endpoints(self, places: Sequence[Place]) -> list[Endpoint]:
        """Return the gateway's socket for each node, and an id that only the harness knows the node
        by.
        """
        return [
            Endpoint(
                node=place.node.name,
                address=place.address,
                control=str(place.directory / CONTROL),
                wire_id=wire_id(place.node.name),
            )
            for place in places
        ]

    def follow(self, progress: Callable[[str, int, int], None]) -> None:
        """Tell `progress`, from now on, how far `prepare` is: what is done, how much of it, and of
        how much. It may raise to give up.
        """

    def resume(self, state: Path) -> None:
        """Take up what `prepare` left in the cluster's folder, before the first driver is made: in
        the gateway, where `prepare` is not called.
        """

    def kept(self) -> dict[str, str]:
        """Return what a run folder keeps of the system's own files: name → text."""
        return {}

    def codec(self) -> ControlCodec:
        """Make a codec of the protocol that the gateway speaks."""
        return ControlCodec()

    def administer(self, endpoint: Endpoint) -> NodeSocket:
        """Make a connection to the gateway's socket for the node."""
        return NodeSocket(endpoint)


class Values:
    """What was put under which key, as far as a value does not tell it: it begins with the id of
    its put, of which the key is made, unless puts share it. All drivers of a cluster know one.
    """

    def __init__(self) -> None:
        self._shared: dict[bytes, bytes] = {}  # id of a put → its key

    def remember(self, request: Request) -> None:
        """Remember a put that shares its key with others."""
        key = request.target or b""
        if request.operation is Operation.DHT_PUT and not may_be_of(key, request.id):
            self._shared[request.id] = key
            if len(self._shared) > PUTS_MAX:
                del self._shared[next(iter(self._shared))]

    def may_hold(self, key: bytes, value: bytes) -> bool:
        """Whether a value that a get returned can be one that was put under its key."""
        return may_be_of(key, value) or self._shared.get(value[:ID_BYTES]) == key


def wire_id(name: str) -> bytes:
    """Make 32 bytes for a node whose system has no such ids, or others."""
    return hashlib.blake2b(name.encode(), digest_size=32).digest()


def entrances(
    neighbours: Mapping[str, Sequence[str]], places: Sequence[Place], most: int
) -> dict[str, list[Place]]:
    """Choose whom each node is told of when it starts.

    They are up to `most` of its neighbours that stand before it, else the first node.
    """
    order = {place.node.name: place for place in places}
    found = {}
    for place in places:
        earlier = [
            order[other]
            for other in neighbours[place.node.name]
            if order[other].index < place.index
        ]
        found[place.node.name] = earlier[:most] or ([] if place.index == 0 else [places[0]])
    return found


def options(
    system: str, place: Place, known: Mapping[str, Callable[[Option], bool]]
) -> dict[str, Option]:
    """Return a node's options, each one that the system knows and of a value that it takes.

    Raises BadFileError.
    """
    for key, value in place.node.options.items():
        if key not in known:
            raise BadFileError(
                f"node {place.node.name}: options.{key}: {system} has no such option; possible: "
                f"{', '.join(known) or 'none'}{did_you_mean(key, known)}"
            )
        if not known[key](value):
            raise BadFileError(
                f"node {place.node.name}: options.{key}: {value!r} is not a value that it can have"
            )
    return dict(place.node.options)


def require(program: str, package: str) -> str:
    """Return the program's path. Raises BadFileError where it is not installed."""
    found = shutil.which(program)
    if found is None:
        raise BadFileError(
            f"the system under test needs the program {program!r}, which is not installed "
            f"(Debian: apt-get install {package})"
        )
    return found
