"""One link: a TCP connection under TLS 1.3 between two nodes that proved who they are, cut into
frames.
"""

import asyncio
import ipaddress
import ssl
import time
from collections.abc import Iterable
from typing import Protocol, cast

from meshnode.limits import Bucket
from meshnode.tls import Channel
from meshnode.wire import Dropped, FrameReader, frame

FLUSH_BYTES = 8 << 10  # queued: the other end has something to do while this turn goes on
MAX_BACKLOG_BYTES = 16 << 20  # unsent, for one peer; beyond it the link takes no more


class Owner(Protocol):
    """What a link tells the one who keeps it."""

    def opened(self, link: "Link") -> None:
        """TCP stands."""

    def authenticated(self, link: "Link") -> None:
        """The TLS handshake is done; `link.peer_id` is proven. May close the link."""

    def arrived(self, link: "Link", data: bytes) -> None:
        """A frame came."""

    def refused(self, link: "Link", error: Exception) -> None:
        """The peer did not authenticate, or broke the framing; the link closes."""

    def closed(self, link: "Link") -> None:
        """The connection is gone."""

    def gathered(self, link: "Link") -> None:
        """The link has something to write at the end of the turn."""


class Link(asyncio.Protocol):
    """`peer_id` is None until the handshake; `is_up` once the peer said HELLO; a `is_retired` link
    is only read.
    """

    def __init__(
        self,
        owner: Owner,
        context: ssl.SSLContext,
        *,
        dialled_id: bytes | None,
        max_frame_bytes: int,
    ) -> None:
        self._owner = owner
        self._channel = Channel(context, server_side=dialled_id is None)
        self._reader = FrameReader(max_frame_bytes)
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._out_bytes = 0
        self.dialled_id = dialled_id
        self.peer_id: bytes | None = None
        self.name, self.address, self.port = "", "", 0
        self.is_up = self.is_retired = False
        self.bucket: Bucket | None = None  # of frames that it may send
        self.opened_ns = self.used_ns = time.monotonic_ns()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """TCP stands: start the handshake."""
        self._transport = cast("asyncio.Transport", transport)
        self.opened_ns = time.monotonic_ns()
        self._owner.opened(self)
        self.data_received(b"")

    def data_received(self, data: bytes) -> None:
        """Bytes of the network: decrypt, cut, hand on."""
        if self._transport is None or self._transport.is_closing():
            return
        try:
            plain = self._channel.feed(data)
            if self.peer_id is None:
                self._push()
                if self._channel.peer_id is None:
                    return
                self.peer_id = self._channel.peer_id
                self._owner.authenticated(self)
        except (ssl.SSLError, ValueError) as error:
            self._refuse(error)
            return
        self.used_ns = time.monotonic_ns()
        while frames := self._cut(plain):
            plain = b""
            for frame_data in frames:
                self._owner.arrived(self, frame_data)
        if self._channel.is_closed:
            self.close()

    def _cut(self, plain: bytes) -> list[bytes]:
        try:
            return self._reader.feed(plain)
        except Dropped as error:
            self._refuse(error)
            return []

    def _refuse(self, error: Exception) -> None:
        self._owner.refused(self, error)
        self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        del exc
        self._transport = None
        self._owner.closed(self)

    # Writing

    def send(self, data: bytes) -> bool:
        """Queue a frame for the end of the turn, or until there is much. False, and nothing queued,
        where the link is gone or too much is unsent.
        """
        if not self.has_room:
            return False
        if not self._out:
            self._owner.gathered(self)
        framed = frame(data)
        self._out.append(framed)
        self._out_bytes += len(framed)
        if self._out_bytes >= FLUSH_BYTES:
            self.flush()
        return True

    @property
    def has_room(self) -> bool:
        """Whether the link takes another frame."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        return self._out_bytes + transport.get_write_buffer_size() < MAX_BACKLOG_BYTES

    def flush(self) -> None:
        """Write what was queued, as few records as possible."""
        if self._transport is None or self._transport.is_closing() or not self._out:
            return
        self._channel.write(self._out[0] if len(self._out) == 1 else b"".join(self._out))
        self._out.clear()
        self._out_bytes = 0
        self.used_ns = time.monotonic_ns()
        self._push()

    def close(self) -> None:
        """Write what is left, say goodbye, close. A link that is not up is cut at once after its
        last alert.
        """
        if self._transport is None or self._transport.is_closing():
            return
        if self.peer_id is not None:
            self.flush()
            self._channel.close()
        self._push()
        self._transport.close()

    def set_socket_options(self, options: Iterable[tuple[int, int, int]]) -> None:
        """(level, option, value) for the TCP socket."""
        stream = self._transport.get_extra_info("socket") if self._transport is not None else None
        if stream is not None:
            for level, option, value in options:
                stream.setsockopt(level, option, value)

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _push(self) -> None:
        data = self._channel.pull()
        if data and self._transport is not None:
            self._transport.write(data)


def pack_hello(name: str, address: str, port: int) -> bytes:
    """The payload of HELLO: port, IPv4 address, name."""
    return port.to_bytes(2, "big") + ipaddress.IPv4Address(address).packed + name.encode()


def unpack_hello(payload: bytes) -> tuple[str, str, int]:
    """Name, address and port. Raises ValueError."""
    if not 6 < len(payload) <= 300:
        raise ValueError("a HELLO holds a port, an address and a name")
    return (
        payload[6:].decode(),
        str(ipaddress.IPv4Address(payload[2:6])),
        int.from_bytes(payload[:2], "big"),
    )
