"""The port of systems under test: what an adapter, a codec and a driver are."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from harness.operations import Operation, Request, Response
from harness.operations.records import RecordKind
from harness.runtimes.runtime import Place, Process
from harness.topology.topology import Topology

PLACE_FIELD = re.compile(r"\{([a-z]+)\}")


class Codec(Protocol):
    """Turns operations into bytes and bytes into outcomes, sans-IO.

    It runs under gevent and in plain processes alike.
    """

    def encode(self, requests: Iterable[Request]) -> bytes:
        """Return one buffer that carries all requests."""

    def feed(self, data: bytes) -> list[Response]:
        """Take bytes as they arrive; return the responses that are complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where load reaches a node: a unix socket that no fault touches, and the node's name on the
    wire.
    """

    node: str
    address: str
    control: str  # path of the socket
    wire_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsPage:
    """Where each node tells what it knows itself, in the text format of Prometheus.

    `url` may hold ``{name}``, ``{index}``, ``{address}`` and ``{directory}`` of the node; it is
    asked inside its network namespace. `only`: patterns of names that are kept; empty: all.
    """

    url: str
    only: tuple[str, ...] = ()

    def url_at(self, place: Place) -> str:
        """Return the address of one node's page."""
        values = place.fields
        return PLACE_FIELD.sub(lambda match: values.get(match[1], match[0]), self.url)


class NodeAdapter(Protocol):
    """A system under test.

    Its nodes speak the control protocol (protocol.py) themselves, or it is a DrivenAdapter.
    """

    name: str
    # What it can do; asking for another is an error before anything starts.
    operations: frozenset[Operation]
    # The budget of its runs where nobody names one: a shipped name or a file.
    budget: str | None
    # Whether nodes link with the topology's neighbours and nobody else; else a node is only told of
    # its neighbours when it starts.
    keeps_links: bool
    # Whether a node that is started anew finds only what was prepared for it: it is wiped, whatever
    # a fault says.
    wipes: bool
    # Whether it says how nodes are started; else they are containers that a program brings.
    starts: bool
    # The commands of the zygotes that fork its nodes, as `prepare` names them: a runtime may have
    # them up by then. None need be told.
    zygotes: Collection[tuple[str, ...]]
    # The options of nodes that it knows; None: it does not say, and is told all of them. Those of
    # the system that a scenario was written for are left out where they are none of these.
    options: Collection[str] | None
    # TCP ports at which nodes dial each other: what a stream fault can be put on.
    ports: tuple[int, ...]
    # Operation word → why the delivery ledger cannot hold it to that: counted and said.
    exempt: Mapping[str, str]
    # Operation word → promises (promise.py) that the system does not make of it.
    unpromised: Mapping[str, tuple[str, ...]]
    # Operations that one node is asked for beside each other, as by HTTP: nobody says which of them
    # was first.
    side_by_side: frozenset[Operation]
    # Operations that a node gives up when a time of its own is over, and of which nothing comes
    # then, as of a request: of the others what was slow may come without its sender.
    given_up: frozenset[Operation]
    # Where nodes tell metrics, which are kept once a second; None: nowhere.
    metrics: MetricsPage | None
    # The kinds of records that its journals keep. An operation whose ledger needs another kind is
    # UNKNOWN: what journals cannot have is no evidence.
    records: frozenset[RecordKind]

    def prepare(
        self, topology: Topology, places: Sequence[Place], state: Path
    ) -> list[tuple[Place, Process]]:
        """Write what every node needs (keys, configuration) and say what to run."""

    def endpoints(self, places: Sequence[Place]) -> list[Endpoint]:
        """Say where load reaches each node, after `prepare`."""

    def codec(self) -> Codec:
        """Make a new codec for one connection."""

    def administer(self, endpoint: Endpoint) -> NodeControl:
        """Make a connection for readiness, journals and histograms."""


def facts_of(adapter: NodeAdapter) -> dict[str, Any]:
    """Tell what a run's metadata says of a system under test."""
    return {
        "adapter": adapter.name,
        "exempt": dict(adapter.exempt),
        "unpromised": dict(adapter.unpromised),
        "side_by_side": sorted(one.word for one in adapter.side_by_side),
        "given_up": sorted(one.word for one in adapter.given_up),
        **({} if adapter.metrics is None else {"metrics": asdict(adapter.metrics)}),
        "records": sorted(adapter.records),
        "ports": list(adapter.ports),
        "failed_is_certain": True,  # as the port of systems wants it
        "state": "wipe" if adapter.wipes else "keep",  # of nodes that start anew
    }


@runtime_checkable
class DrivenAdapter(NodeAdapter, Protocol):
    """A system that nobody wrote for this harness.

    The gateway serves its control sockets, through one driver a node.
    """

    # Done when the *target's* driver saw it arrive, whatever the sender was told.
    confirmed: frozenset[Operation]

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

    def driver(self, place: Place, places: Sequence[Place]) -> Driver:
        """Make the driver of a node, at each start of the node. Runs in the gateway."""


@runtime_checkable
class BuiltAdapter(NodeAdapter, Protocol):
    """A system whose program may have to be built before any node of it is started."""

    def make(self, told: Callable[[str, int, int], None]) -> None:
        """Build what is not here, and tell how far that is. Raises UnavailableError."""


@runtime_checkable
class FiledAdapter(NodeAdapter, Protocol):
    """A system that stands in files, which somebody may edit while its nodes run."""

    def edited(self) -> list[str]:
        """Name the files that are there and not as they were when the nodes were started."""


class Saw(Protocol):
    """Tells that a node saw something.

    That is a RecordKind (RECEIVED, DELIVERED, …), the operation's id, and when (CLOCK_MONOTONIC
    ns).
    """

    def __call__(self, kind: int, id_: bytes, at_ns: int, *, peer: bytes = b"") -> None: ...


class Driver(Protocol):
    """Speaks to one node, from its start to its end, in the gateway's event loop.

    Methods raise OSError or HarnessError where the node does not answer. Any other error is a fault
    of the driver: it goes into the gateway's log, and the run says that something was missed.
    """

    async def ready(self, living: int) -> str:
        """Say what the node still waits for; empty when it is ready.

        `living`: how many nodes should be there now.
        """

    async def observe(self, saw: Saw, standing: Callable[[], None]) -> None:
        """Tell all that the node sees, until it goes.

        `standing` is called once nothing can be missed any more.
        """

    async def perform(self, request: Request, sent: Callable[[], None]) -> Response:
        """Do one operation; `sent` is called when the node is asked.

        FAILED is of what was certainly not done: found in a journal all the same, it is a FAIL of
        the run. What may have been done, as after most errors, is UNKNOWN. May be cancelled when
        its time is over.
        """

    async def health(self) -> dict[str, Any]:
        """Return numbers that the node tells of itself; they are kept as gauges, once a phase."""

    async def close(self) -> None:
        """Let go of every connection."""


@runtime_checkable
class Doubting(Protocol):
    """A driver that may find out that its node's answers cannot be relied on."""

    def tell_doubts(self, doubt: Callable[[str], None]) -> None:
        """Tell `doubt`, from now on, what makes them doubtful, in a sentence: the run says so and
        cannot PASS.
        """


@runtime_checkable
class CountingDriver(Driver, Protocol):
    """A driver whose node has histograms of its own, or that keeps some of it."""

    async def histograms(self) -> Mapping[str, Mapping[int, int]]:
        """Return what was counted since the node started: name → bucket → count.

        `stats.bucket_of` gives the bucket of a value: nanoseconds where the name ends with
        ``_seconds``, bytes, or plain numbers. They are asked for once a phase.
        """


class NodeControl(Protocol):
    """Administers one node over its control plane.

    Calls block, with a timeout, and raise UnavailableError.
    """

    def health(self) -> dict[str, Any]: ...

    def peers(self) -> list[str]:
        """Return the wire ids (hex) of the authenticated links that stand now."""

    def begin(self, journal: int, *, early: bool = False) -> int:
        """Have the node journal to this descriptor from now on; its histograms start from zero.

        With `early`, also what it saw since it started, where it has kept that. Returns since when
        the journal has all that there was (CLOCK_MONOTONIC ns); 0: since now.
        """

    def end(self) -> None: ...

    def counted(self) -> tuple[dict[str, dict[int, int]], dict[str, Any]]:
        """Return operation → bucket index → count since `begin` (stats.py defines the buckets), and
        the health. It is asked between two phases, under load: once.
        """
