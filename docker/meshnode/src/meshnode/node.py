"""One node: the composition of all parts, how ready it is, and what survives it."""

import asyncio
import os
import random
import time
from collections.abc import Callable
from typing import Any

from meshnode import bugs
from meshnode.broadcasting import Broadcasting
from meshnode.config import Config
from meshnode.control import Client, Control, ControlError
from meshnode.discovery import Discovery
from meshnode.files import Files
from meshnode.identity import Identity
from meshnode.instruments import Instruments, log
from meshnode.journal import Kind
from meshnode.link import Link
from meshnode.links import Links
from meshnode.memory import Memory
from meshnode.messaging import Messaging
from meshnode.metrics import exposition
from meshnode.operations import Operations
from meshnode.overlay import Overlay
from meshnode.probe import Prober
from meshnode.pulse import Pulse
from meshnode.readiness import JOIN_ANYWAY_NS, Readiness
from meshnode.tls import Contexts
from meshnode.wire import Drop, Dropped, Message, Type, decode


class Node:
    """A node from its configuration to its end. Build it inside a running event loop."""

    def __init__(self, config: Config) -> None:
        """Raises IdentityError."""
        self._config = config
        self._identity = Identity.load(config.directory)
        self._rng = random.Random(os.urandom(16))
        self._pulse = Pulse(asyncio.get_running_loop(), self._end_of_turn)
        self._instruments = Instruments(self._identity.node_id)
        self._started_ns = time.monotonic_ns()
        self._stop = asyncio.Event()
        self._control = Control(config.directory / "control.sock", self, self._pulse.soon)
        self._build_ways(Contexts(config.directory))
        self._build_operations()
        self._readiness = Readiness(
            config=config,
            links=self._links,
            overlay=self._overlay,
            pulse=self._pulse,
            rng=self._rng,
        )
        self._memory = Memory(config.directory / "state", self._overlay.dht, self._pulse)
        self._frames, self._payloads = self._dispatch()
        if config.options.planted_bug:
            bugs.plant(config.options.planted_bug, self)

    def _build_ways(self, contexts: Contexts) -> None:
        """Links and DHT, the two ways to other nodes, and what needs no more than these."""
        config = self._config
        self._links = Links(
            config=config,
            node_id=self._identity.node_id,
            contexts=contexts,
            pulse=self._pulse,
            handler=self,
            rng=self._rng,
        )
        self._overlay = Overlay(
            config=config,
            identity=self._identity,
            instruments=self._instruments,
            pulse=self._pulse,
            rng=self._rng,
            knocked=self._links.knocked,
        )
        self._broadcasting = Broadcasting(
            identity=self._identity,
            fanout=config.options.fanout,
            links=self._links,
            instruments=self._instruments,
            pulse=self._pulse,
            rng=self._rng,
        )
        self._prober = Prober(
            config=config,
            contexts=contexts,
            links=self._links,
            find=self._overlay.find,
            handshake_took=self.handshake_took,
        )

    def _build_operations(self) -> None:
        """What a user asks for, by the ways that stand."""
        config = self._config
        self._operations = Operations(
            identity=self._identity,
            broadcasting=self._broadcasting,
            overlay=self._overlay,
            pulse=self._pulse,
            max_message_bytes=config.options.max_message_bytes,
            probe=self._prober.probe,
        )
        self._discovery = Discovery(
            identity=self._identity,
            links=self._links,
            instruments=self._instruments,
            pulse=self._pulse,
        )
        self._messaging = self._operations.messaging = self._discovery.seeker = Messaging(
            identity=self._identity,
            links=self._links,
            discovery=self._discovery,
            instruments=self._instruments,
            find=self._overlay.find,
            finish=self._operations.finish,
            soon=self._pulse.soon,
        )
        self._files = self._operations.files = Files(
            node_id=self._identity.node_id,
            folder=config.directory / "files",
            links=self._links,
            instruments=self._instruments,
            pulse=self._pulse,
            find=self._overlay.find,
            finish=self._operations.finish,
        )

    def _dispatch(
        self,
    ) -> tuple[
        dict[int, Callable[[Link, Message], None]], dict[int, Callable[[Link, bytes], None]]
    ]:
        """Who takes which type: signed messages whole, of those between two ends the payload."""
        frames: dict[int, Callable[[Link, Message], None]] = {
            Type.PRIVATE: self._messaging.arrived,
            Type.BROADCAST: self._broadcasting.arrived,
            Type.RECEIPT: self._messaging.receipt,
            Type.ROUTE_REQUEST: self._discovery.requested,
            Type.ROUTE_REPLY: self._discovery.replied,
        }
        payloads: dict[int, Callable[[Link, bytes], None]] = {
            Type.HELLO: self._links.hello,
            Type.ACKNOWLEDGE: self._messaging.acknowledged,
            Type.I_HAVE: self._broadcasting.i_have,
            Type.I_WANT: self._broadcasting.i_want,
            Type.ROUTE_ERROR: self._discovery.broken,
            Type.FILE_OFFER: self._files.offered,
            Type.FILE_WANT: self._files.wanted,
            Type.FILE_CHUNK: self._files.chunk,
            Type.FILE_GOT: self._files.got,
            Type.FILE_END: self._files.ended,
            Type.FILE_DONE: self._files.done,
        }
        return frames, payloads

    async def run(self) -> None:
        """Until `stop`. Raises OSError where an address or file cannot be had."""
        try:
            await self._start()
            await self._stop.wait()
            self._memory.save()
        finally:
            await self._shut()
        log.info("stopped")

    async def _start(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._callback_failed)
        self._memory.load()
        await self._overlay.listen()
        await self._links.listen()
        self._control.listen()
        self._readiness.advance("listening")
        for neighbour in self._config.links:
            self._overlay.add_contact(neighbour.id, neighbour.address, neighbour.port)
        self._discovery.routes.fill(
            self._config.options.routes, [link.id for link in self._config.links]
        )
        self._links.dial_neighbours()
        for neighbour in self._links.expected():
            self._overlay.knock(neighbour.id, neighbour.address, neighbour.port)
        self._pulse.at(self._started_ns + JOIN_ANYWAY_NS, self._readiness.join)
        self._memory.keep()
        self._readiness.check_linked()

    def stop(self) -> None:
        """End `run`: what is queued goes out first."""
        self._stop.set()

    async def _shut(self) -> None:
        self._end_of_turn()
        await self._links.close()
        self._files.close()
        self._overlay.close()
        self._control.close()
        try:
            self._instruments.journal.end()
        except OSError as error:
            log.error("journal: %s", error.strerror)

    def _end_of_turn(self) -> None:
        """The order matters: what is acknowledged has been journalled."""
        self._overlay.flush()
        self._instruments.flush()
        self._overlay.send()
        self._messaging.flush()
        self._links.flush()
        self._control.flush()

    def _callback_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A fault of ours in a callback: it is counted and logged, the node goes on."""
        del loop
        self._instruments.counters["callback_errors"] += 1
        log.error("%s", context.get("message"), exc_info=context.get("exception"))

    # links.Handler

    def link_up(self, link: Link) -> None:
        """An authenticated link stands."""
        assert link.peer_id is not None
        self._journal_link(Kind.LINK_UP, link)
        if link.port:
            self._overlay.add_contact(link.peer_id, link.address, link.port)
        self._broadcasting.link_up(link)
        self._messaging.link_up(link)
        self._files.link_up(link)
        self._readiness.check_linked()

    def link_down(self, link: Link, *, was_replaced: bool) -> None:
        """A link that was up is gone."""
        if not was_replaced:
            self._journal_link(Kind.LINK_DOWN, link)
            self._broadcasting.link_down(link)
        self._messaging.link_down(link)
        self._files.link_down(link)

    def _journal_link(self, kind: Kind, link: Link) -> None:
        """Journal how the link with a neighbour of the topology is, unless this node itself ends:
        others come and go as they are used.
        """
        assert link.peer_id is not None
        if self._links.neighbour(link.peer_id) is not None and not self._stop.is_set():
            self._instruments.met(kind, link.peer_id)

    def accepted(self, peer_id: bytes) -> None:
        """Another node's connection is authenticated here."""
        self._instruments.met(Kind.CONNECTED, peer_id)

    def link_refused(self, error: Exception) -> None:
        """A peer did not authenticate or broke the framing."""
        self._instruments.counters["links_refused"] += 1
        if isinstance(error, Dropped):
            self._instruments.dropped(error.reason, time.monotonic_ns(), size=0)
        log.warning("link refused: %s", error)

    def dial_failed(self, peer_id: bytes, error: str) -> None:
        """A dial ended without a link."""
        self._messaging.dial_failed(peer_id, error)
        self._files.dial_failed(peer_id, error)

    def handshake_took(self, duration_ns: int) -> None:
        """From TCP to the proven peer."""
        self._instruments.histograms.add("handshake", duration_ns)

    def frame_arrived(self, link: Link, data: bytes) -> None:
        """A frame: act on it, or count why not."""
        message: Message | None = None
        try:
            if link.bucket is not None and not link.bucket.take(time.monotonic_ns()):
                raise Dropped(
                    Drop.RATE, f"more than {self._config.options.rate_per_peer} frames a second"
                )
            message = decode(data)
            if not link.is_up and message.type != Type.HELLO:
                raise Dropped(Drop.MALFORMED, "HELLO comes first")
            act = self._frames.get(message.type)
            if act is not None:
                act(link, message)
            else:
                self._between_ends(link, message)
        except Dropped as drop:
            self._instruments.dropped(
                drop.reason,
                time.monotonic_ns(),
                size=len(data),
                peer=link.peer_id or b"",
                message_id=message.id if message is not None else bytes(16),
            )
            self._pulse.soon()

    def _between_ends(self, link: Link, message: Message) -> None:
        """What concerns only the two ends of a link is unsigned: the link says who sent it. Raises
        Dropped.
        """
        act = self._payloads.get(message.type)
        if act is None:
            raise Dropped(Drop.MALFORMED, f"type {message.type} does not belong on a link")
        if message.source != link.peer_id:
            raise Dropped(Drop.BAD_SIGNATURE, "not by the node at the other end")
        if message.target != self._identity.node_id:
            raise Dropped(Drop.NOT_FOR_US, "for another node")
        try:
            act(link, message.payload)
        except ValueError as error:
            raise Dropped(Drop.MALFORMED, str(error)) from error

    # control.Handler

    def operations(self, client: Client, rows: list[Any]) -> None:
        """Do these."""
        self._operations.start(client, rows)

    def call(self, method: str, params: dict[str, Any], descriptors: list[int]) -> Any:
        """Administration."""
        calls: dict[str, Callable[[], Any]] = {
            "health": self.health,
            "begin": lambda: self._begin(descriptors, early=params.get("early") is True),
            "end": self._end,
            "histograms": self._instruments.histograms.to_map,
            "peers": self._peers,
            "contacts": self._contacts,
        }
        if method not in calls:
            raise ControlError(f"no method {method!r}; possible are {', '.join(calls)}")
        if foreign := [str(name) for name in params if (method, name) != ("begin", "early")]:
            raise ControlError(f"{method} takes no parameters, found {', '.join(foreign)}")
        return calls[method]()

    def health(self) -> dict[str, Any]:
        """How the node is."""
        dht = self._overlay.dht
        return {
            "version": 1,
            "name": self._config.name,
            "id": self._identity.node_id.hex(),
            "ready": self._readiness.is_ready,
            "status": self._readiness.status,
            "uptime_s": (time.monotonic_ns() - self._started_ns) / 1e9,
            "links": len(self._links.up()),
            "links_wanted": len(self._config.links),
            "contacts": len(dht.contacts),
            "dht_values": dht.values,
            "routes": len(self._discovery.routes.entries),
            "restarts": self._memory.restarts,
            "counters": self._instruments.counters
            | {
                "dht_requests_in": self._overlay.requests_in,
                "dht_requests_out": self._overlay.requests_out,
            },
        }

    def metrics(self) -> str:
        """Health and histograms as Prometheus' text."""
        return exposition(self.health(), self._instruments.histograms.to_map())

    def _begin(self, descriptors: list[int], *, early: bool) -> int:
        """Returns since when the journal has all that there was (CLOCK_MONOTONIC ns)."""
        now_ns = time.monotonic_ns()
        if not descriptors:
            raise ControlError("begin needs a file descriptor as SCM_RIGHTS")
        try:
            is_whole = self._instruments.begin(descriptors.pop(0), early=early)
        except OSError as error:
            raise ControlError(f"the journal cannot be written: {error.strerror}") from error
        self._overlay.begin()
        for link in self._links.up():
            self._journal_link(Kind.LINK_UP, link)
        return self._started_ns if is_whole else now_ns

    def _end(self) -> None:
        try:
            self._instruments.journal.end()
        except OSError as error:
            raise ControlError(f"the journal cannot be written: {error.strerror}") from error

    def _peers(self) -> list[dict[str, Any]]:
        return [
            {"id": link.peer_id, "name": link.name, "address": link.address, "port": link.port}
            for link in self._links.up()
        ]

    def _contacts(self) -> list[dict[str, Any]]:
        """The contacts in the k-buckets."""
        return [
            {"id": contact.id, "address": contact.address, "port": contact.port}
            for contact in self._overlay.dht.contacts
        ]
