"""The links of a node: listening, dialling with back-off, one link a pair, idle ones closed."""

import asyncio
import contextlib
import errno
import os
import random
import socket
import time
from dataclasses import dataclass
from typing import Protocol

from meshnode.config import Config, Neighbour
from meshnode.limits import Bucket
from meshnode.link import Link, pack_hello, unpack_hello
from meshnode.pulse import Pulse
from meshnode.tls import Contexts
from meshnode.wire import ID_BYTES, MAX_ENVELOPE_BYTES, Message, Type, encode

CONNECT_TIMEOUT_S = 5.0
HANDSHAKE_TIMEOUT_NS = 15 * 10**9  # generous: a thousand nodes may shake hands on two cores at once
FIRST_DIAL_S = 0.3  # spread, so that nodes started together do not dial together
MIN_BACKOFF_S, MAX_BACKOFF_S = 0.5, 5.0
# a neighbour that was never up knocks when it is: dialling it meanwhile takes time from its start
UNSEEN_FAILURES = 2
RETIRED_NS = 5 * 10**9
IDLE_NS = 60 * 10**9
MAX_CASUAL = 64  # links beyond the topology's, dialled to deliver a message
BACKLOG = 512
MAX_SEALING_BYTES = 64
GOODBYE_S = 0.5

_IP_BIND_ADDRESS_NO_PORT = 24  # linux/in.h; the socket module names it from Python 3.12 on
_KEEPALIVE = (  # by the kernel: an idle node sleeps
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)


class Handler(Protocol):
    """What the node wants to know."""

    def link_up(self, link: Link) -> None:
        """An authenticated link stands; it is the pair's."""

    def link_down(self, link: Link, *, was_replaced: bool) -> None:
        """A link that was up is gone."""

    def frame_arrived(self, link: Link, data: bytes) -> None:
        """A frame came over a link that is up."""

    def accepted(self, peer_id: bytes) -> None:
        """A connection that this peer dialled is authenticated; it is told so at the end of the
        turn.
        """

    def link_refused(self, error: Exception) -> None:
        """A peer did not authenticate or broke the framing."""

    def dial_failed(self, peer_id: bytes, error: str) -> None:
        """A dial ended without a link."""

    def handshake_took(self, duration_ns: int) -> None:
        """From TCP to the proven peer."""


@dataclass(slots=True)
class _Wanted:
    neighbour: Neighbour
    failures: int = UNSEEN_FAILURES


class Links:
    """All links of one node. Peers are known by their node id."""

    def __init__(
        self,
        *,
        config: Config,
        node_id: bytes,
        contexts: Contexts,
        pulse: Pulse,
        handler: Handler,
        rng: random.Random,
    ) -> None:
        self._config = config
        self._node_id = node_id
        self._contexts = contexts
        self._pulse = pulse
        self._handler = handler
        self._rng = rng
        self._max_frame_bytes = (
            config.options.max_message_bytes + MAX_ENVELOPE_BYTES + MAX_SEALING_BYTES
        )
        self._up: dict[bytes, Link] = {}
        self._open: set[Link] = set()
        self._gathered: list[Link] = []
        self._wanted = {neighbour.id: _Wanted(neighbour) for neighbour in config.links}
        self._dialling: dict[bytes, asyncio.Task[None]] = {}
        self._server: asyncio.Server | None = None
        self._all_closed = asyncio.Event()
        self._is_sweeping = self._is_closing = False

    def get(self, peer_id: bytes) -> Link | None:
        """The link with a peer, if one stands."""
        return self._up.get(peer_id)

    def up(self) -> list[Link]:
        """The links that stand."""
        return list(self._up.values())

    @property
    def missing(self) -> int:
        """How many of the topology's links do not stand."""
        return sum(peer_id not in self._up for peer_id in self._wanted)

    def neighbour(self, peer_id: bytes) -> Neighbour | None:
        """The topology's neighbour of this id."""
        wanted = self._wanted.get(peer_id)
        return wanted.neighbour if wanted is not None else None

    async def listen(self) -> None:
        """Accept links. Raises OSError where the address cannot be had."""
        # the protocol number matters: asyncio leaves Nagle on for sockets that do not name it
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._config.address, self._config.port))
        except OSError:
            listener.close()
            raise
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: self._make(None), sock=listener, backlog=BACKLOG
        )

    def dial_neighbours(self) -> None:
        """Start dialling those of the topology's neighbours that are this node's to dial."""
        now_ns = time.monotonic_ns()
        for peer_id in self._wanted:
            if self._node_id < peer_id:
                self._dial_later(peer_id, now_ns, self._rng.uniform(0, FIRST_DIAL_S))

    def expected(self) -> list[Neighbour]:
        """The topology's neighbours that are to dial this node."""
        return [
            wanted.neighbour for peer_id, wanted in self._wanted.items() if peer_id < self._node_id
        ]

    def knocked(self, peer_id: bytes) -> None:
        """A neighbour says that it listens now: if it is this node's to dial, there is nothing to
        wait for.
        """
        wanted = self._wanted.get(peer_id)
        if wanted is not None and self._node_id < peer_id:
            self.dial(peer_id, wanted.neighbour.address, wanted.neighbour.port)

    def dial(self, peer_id: bytes, address: str, port: int) -> None:
        """Dial a node: `link_up` or `dial_failed` follows. Nothing happens if that is under way."""
        if peer_id in self._dialling or peer_id in self._up or self._is_closing:
            return
        self._dialling[peer_id] = asyncio.get_running_loop().create_task(
            self._connect(peer_id, address, port)
        )

    def flush(self) -> None:
        """Write what the links gathered during this turn."""
        gathered, self._gathered = self._gathered, []
        for link in gathered:
            link.flush()

    async def close(self) -> None:
        """Close everything; what is queued is written first, for at most `GOODBYE_S`."""
        self._is_closing = True
        if self._server is not None:
            self._server.close()
        for task in list(self._dialling.values()):
            task.cancel()
        for link in list(self._open):
            link.close()
        if self._open:
            self._all_closed.clear()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._all_closed.wait(), GOODBYE_S)

    # Dialling

    async def _connect(self, peer_id: bytes, address: str, port: int) -> None:
        stream = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await connect(loop, stream, self._config.address, (address, port))
            await loop.create_connection(lambda: self._make(peer_id), sock=stream)
        except OSError as error:  # TimeoutError is one
            stream.close()
            self._give_up(
                peer_id,
                f"{address}:{port} cannot be reached: {error.strerror or 'no answer in time'}",
            )
        except asyncio.CancelledError:
            stream.close()
            raise

    def _give_up(self, peer_id: bytes, error: str) -> None:
        self._dialling.pop(peer_id, None)
        if peer_id not in self._up:
            self._handler.dial_failed(peer_id, error)
        self._retry(peer_id)

    def _dial_later(self, peer_id: bytes, now_ns: int, delay_s: float) -> None:
        neighbour = self._wanted[peer_id].neighbour
        self._pulse.at(
            now_ns + int(delay_s * 1e9),
            lambda: self.dial(peer_id, neighbour.address, neighbour.port),
        )

    def _retry(self, peer_id: bytes) -> None:
        wanted = self._wanted.get(peer_id)
        if wanted is None or self._is_closing or peer_id in self._up or peer_id < self._node_id:
            return
        backoff_s = min(MAX_BACKOFF_S, MIN_BACKOFF_S * 2 ** min(wanted.failures, 20))
        wanted.failures += 1
        self._dial_later(peer_id, time.monotonic_ns(), backoff_s * self._rng.uniform(0.5, 1.5))

    def _make(self, dialled_id: bytes | None) -> Link:
        context = self._contexts.server if dialled_id is None else self._contexts.client
        return Link(self, context, dialled_id=dialled_id, max_frame_bytes=self._max_frame_bytes)

    # link.Owner

    def opened(self, link: Link) -> None:
        """TCP stands."""
        self._open.add(link)
        if self._config.options.rate_per_peer:
            link.bucket = Bucket(self._config.options.rate_per_peer, link.opened_ns)
        if len(self._open) > self._config.options.max_connections and link.dialled_id is None:
            self._handler.link_refused(
                ConnectionError(f"{len(self._open)} connections are open, which is the limit")
            )
            link.abort()
            return
        link.set_socket_options(_KEEPALIVE)
        self._pulse.at(
            link.opened_ns + HANDSHAKE_TIMEOUT_NS, lambda: None if link.is_up else link.abort()
        )

    def authenticated(self, link: Link) -> None:
        """The peer is proven: it must be who was dialled, and not this node itself."""
        assert link.peer_id is not None
        if link.peer_id == self._node_id or link.dialled_id not in {None, link.peer_id}:
            raise ValueError(f"{link.peer_id.hex()[:16]} is not who was to be at the other end")
        self._handler.handshake_took(time.monotonic_ns() - link.opened_ns)
        if link.dialled_id is None:
            self._handler.accepted(link.peer_id)
        hello = pack_hello(self._config.name, self._config.address, self._config.port)
        link.send(
            encode(
                Message(
                    Type.HELLO, os.urandom(ID_BYTES), self._node_id, link.peer_id, payload=hello
                )
            )
        )

    def arrived(self, link: Link, data: bytes) -> None:
        """A frame came."""
        self._handler.frame_arrived(link, data)

    def refused(self, link: Link, error: Exception) -> None:
        """The link closes, its fault is counted."""
        del link
        self._handler.link_refused(error)

    def gathered(self, link: Link) -> None:
        """To be flushed at the end of the turn."""
        self._gathered.append(link)
        self._pulse.soon()

    def closed(self, link: Link) -> None:
        """The connection is gone."""
        self._open.discard(link)
        if not self._open:
            self._all_closed.set()
        if not link.is_up:
            if link.dialled_id is not None:
                self._give_up(
                    link.dialled_id, "the other end closed the connection during the handshake"
                )
            return
        assert link.peer_id is not None
        is_current = self._up.get(link.peer_id) is link
        if is_current:
            del self._up[link.peer_id]
        self._handler.link_down(link, was_replaced=not is_current)
        if is_current:
            self._retry(link.peer_id)

    # One link a pair

    def hello(self, link: Link, payload: bytes) -> None:
        """The peer said who it is: the link is up. Raises ValueError for a malformed payload."""
        if link.is_up or link.peer_id is None:
            return
        link.name, link.address, link.port = unpack_hello(payload)
        link.is_up = True
        if link.dialled_id is not None:
            self._dialling.pop(link.peer_id, None)
        other = self._up.get(link.peer_id)
        if other is not None and not self._replaces(link, other):
            self._retire(link)
            return
        self._up[link.peer_id] = link
        if link.peer_id in self._wanted:
            self._wanted[link.peer_id].failures = 0
        if other is not None:
            self._retire(other)
        self._handler.link_up(link)
        if self._is_casual(link):
            self._sweep_later()

    def _replaces(self, link: Link, other: Link) -> bool:
        """Both ends decide alike: a link redialled from the same side is the newer truth, else the
        smaller id's stays.
        """
        if (link.dialled_id is None) == (other.dialled_id is None):
            return True
        assert link.peer_id is not None
        return (link.dialled_id is not None) == (self._node_id < link.peer_id)

    def _retire(self, link: Link) -> None:
        link.is_retired = True
        self._pulse.at(time.monotonic_ns() + RETIRED_NS, link.close)

    def _is_casual(self, link: Link) -> bool:
        return link.dialled_id is not None and link.peer_id not in self._wanted

    def _sweep_later(self) -> None:
        if not self._is_sweeping:
            self._is_sweeping = True
            self._pulse.at(time.monotonic_ns() + IDLE_NS // 4, self._sweep)

    def _sweep(self) -> None:
        """Close the casual links that are idle, and the longest unused of too many."""
        self._is_sweeping = False
        now_ns = time.monotonic_ns()
        casual = sorted(
            (link for link in self._up.values() if self._is_casual(link)),
            key=lambda link: link.used_ns,
        )
        for index, link in enumerate(casual):
            if len(casual) - index > MAX_CASUAL or now_ns - link.used_ns > IDLE_NS:
                link.close()
        if casual:
            self._sweep_later()


async def connect(
    loop: asyncio.AbstractEventLoop,
    stream: socket.socket,
    own_address: str,
    address: tuple[str, int],
) -> None:
    """Connect from `own_address`; the loop's own sock_connect starts four threads to resolve what
    is no name. Raises OSError.
    """
    stream.setblocking(False)
    stream.setsockopt(socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    stream.bind((own_address, 0))
    error = stream.connect_ex(address)
    if error == errno.EINPROGRESS:
        writable = loop.create_future()
        loop.add_writer(stream, _resolve, writable)
        try:
            await writable
        finally:
            loop.remove_writer(stream)
        error = stream.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
