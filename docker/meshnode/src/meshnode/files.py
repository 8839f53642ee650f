"""Files in verified chunks, with resume: what was received survives a broken link and a restart of
either end.

The sender offers, the receiver says which chunks it has, the others follow with their hashes
(BLAKE3) inside a window; the end carries the hash of all hashes. Content is made on the fly from
the transfer's id: it need not lie on the sender's disk.
"""

import os
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from blake3 import blake3

from meshnode.dht import Contact
from meshnode.instruments import Instruments
from meshnode.journal import Kind
from meshnode.link import Link
from meshnode.links import Links
from meshnode.messaging import Finish, Outcome, between_ends
from meshnode.pulse import Pulse
from meshnode.wire import ID_BYTES, Type

CHUNK_BYTES = 256 * 1024
WINDOW = 32  # chunks under way to one receiver
MAX_FILE_BYTES = 1 << 32
MAX_INCOMING = 16  # unfinished files; the oldest goes first
MAX_DELIVERED = 1024  # finished files that are remembered
AGAIN_NS = 500_000_000  # until a receiver that is gone is dialled again
OFFER = struct.Struct(">16sQI")  # id, size, chunk size
CHUNK = struct.Struct(">16sI32s")  # id, index, hash; then the bytes
GOT = struct.Struct(">16sI")
END = struct.Struct(">16s32s")
DONE = struct.Struct(">16sBq")  # id, whether all hashes agree, when (CLOCK_MONOTONIC ns)
HAVE = struct.Struct(">I32s")  # a line of the list beside an unfinished file


def chunks(size: int, chunk_bytes: int = CHUNK_BYTES) -> int:
    """How many chunks a file of `size` bytes has."""
    return -(-size // chunk_bytes)


def content(transfer_id: bytes, size: int, index: int) -> bytes:
    """Chunk `index` of the file that a transfer sends: its number, then bytes that follow from the
    id.
    """
    length = min(CHUNK_BYTES, size - index * CHUNK_BYTES)
    return (index.to_bytes(8, "big") + _block(transfer_id))[:length]


_blocks: dict[bytes, bytes] = {}


def _block(transfer_id: bytes) -> bytes:
    if transfer_id not in _blocks:
        _blocks.clear()
        _blocks[transfer_id] = blake3(transfer_id).digest(length=CHUNK_BYTES)
    return _blocks[transfer_id]


@dataclass(slots=True)
class Outgoing:
    """A file that this node sends."""

    id: bytes
    target: bytes
    size: int
    link: Link | None = None
    left: deque[int] = field(default_factory=deque)
    under_way: set[int] = field(default_factory=set)
    hashes: dict[int, bytes] = field(default_factory=dict)

    def root(self) -> bytes:
        """The hash of all chunks' hashes."""
        for index in range(
            chunks(self.size)
        ):  # those that the receiver had before were not hashed in this life
            if index not in self.hashes:
                self.hashes[index] = blake3(content(self.id, self.size, index)).digest()
        return blake3(b"".join(self.hashes[index] for index in range(chunks(self.size)))).digest()


class Incoming:
    """A file that this node receives, on disk: ``<id>.part`` and the list ``<id>.have`` of (index,
    hash). Raises OSError.
    """

    def __init__(self, folder: Path, transfer_id: bytes, size: int, chunk_bytes: int) -> None:
        folder.mkdir(exist_ok=True)
        self.size, self.chunk_bytes = size, chunk_bytes
        self._part, self._list = (
            folder / f"{transfer_id.hex()}.part",
            folder / f"{transfer_id.hex()}.have",
        )
        self._data = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._have = os.open(self._list, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.hashes: dict[int, bytes] = dict(self._genuine())

    @property
    def is_complete(self) -> bool:
        """Whether every chunk is there."""
        return len(self.hashes) == chunks(self.size, self.chunk_bytes)

    def bitmap(self) -> bytes:
        """A bit a chunk, the first chunk's lowest: whether it is there."""
        bits = sum(1 << index for index in self.hashes)
        return bits.to_bytes((chunks(self.size, self.chunk_bytes) + 7) // 8, "little")

    def add(self, index: int, claimed: bytes, data: bytes) -> bool:
        """Write a chunk whose hash is the claimed one and whose length is right; False for any
        other.
        """
        if (
            index >= chunks(self.size, self.chunk_bytes)
            or len(data) != self._length(index)
            or blake3(data).digest() != claimed
        ):
            return False
        if index not in self.hashes:
            os.pwrite(self._data, data, index * self.chunk_bytes)
            os.write(self._have, HAVE.pack(index, claimed))
            self.hashes[index] = claimed
        return True

    def root(self) -> bytes:
        """The hash of all chunks' hashes."""
        return blake3(b"".join(self.hashes[index] for index in sorted(self.hashes))).digest()

    def close(self, *, keep: bool) -> None:
        """Close the files; remove them unless they are to be resumed."""
        os.close(self._data)
        os.close(self._have)
        if not keep:
            self._part.unlink(missing_ok=True)
            self._list.unlink(missing_ok=True)

    def _length(self, index: int) -> int:
        return min(self.chunk_bytes, self.size - index * self.chunk_bytes)

    def _genuine(self) -> Iterator[tuple[int, bytes]]:
        """What the list names and the disk really has."""
        listed = os.pread(self._have, os.fstat(self._have).st_size, 0)
        for index, claimed in HAVE.iter_unpack(listed[: len(listed) // HAVE.size * HAVE.size]):
            if index < chunks(self.size, self.chunk_bytes):
                data = os.pread(self._data, self._length(index), index * self.chunk_bytes)
                if blake3(data).digest() == claimed:
                    yield index, claimed


class Files:
    """The transfers of one node. `find(node id, found)` looks an address up and calls back with it
    or None.
    """

    def __init__(
        self,
        *,
        node_id: bytes,
        folder: Path,
        links: Links,
        instruments: Instruments,
        pulse: Pulse,
        find: Callable[[bytes, Callable[[Contact | None], None]], None],
        finish: Finish,
    ) -> None:
        self._pulse = pulse
        self._node_id, self._folder, self._links, self._instruments = (
            node_id,
            folder,
            links,
            instruments,
        )
        self._find, self._finish = find, finish
        self._outgoing: dict[bytes, Outgoing] = {}
        self._incoming: dict[tuple[bytes, bytes], Incoming] = {}  # (from whom, id)
        self._delivered: dict[tuple[bytes, bytes], int] = {}  # the latest ones → when

    # Sending

    def send(self, operation_id: bytes, target: bytes, size: int) -> None:
        """Send a file of `size` bytes; the end comes by `finish`."""
        outgoing = self._outgoing[operation_id] = Outgoing(operation_id, target, size)
        link = self._links.get(target)
        if link is not None:
            self._offer(link, outgoing)
        else:
            self._reach(target)

    def time_out(self, operation_id: bytes) -> bool:
        """Give a transfer up. True if it was never offered."""
        outgoing = self._outgoing.pop(operation_id, None)
        return outgoing is not None and outgoing.link is None and not outgoing.hashes

    def link_up(self, link: Link) -> None:
        """Offer, or offer again, what this peer is to have."""
        for outgoing in [one for one in self._outgoing.values() if one.target == link.peer_id]:
            self._offer(link, outgoing)

    def link_down(self, link: Link) -> None:
        """What was under way goes on when there is a link again."""
        for outgoing in [one for one in self._outgoing.values() if one.link is link]:
            outgoing.link = None
            self._reach(outgoing.target)

    def dial_failed(self, peer_id: bytes, error: str) -> None:
        """No link comes about: what had begun is tried again until its time is over, the rest was
        certainly not sent.
        """
        stuck = [
            one for one in self._outgoing.values() if one.target == peer_id and one.link is None
        ]
        for outgoing in stuck:
            if not outgoing.hashes:
                del self._outgoing[outgoing.id]
                self._finish(outgoing.id, Outcome.FAILED, time.monotonic_ns(), {"error": error})
        if any(outgoing.hashes for outgoing in stuck):
            self._pulse.at(time.monotonic_ns() + AGAIN_NS, lambda: self._reach_again(peer_id))

    def _reach_again(self, target: bytes) -> None:
        if any(one.target == target and one.link is None for one in self._outgoing.values()):
            self._reach(target)

    def _reach(self, target: bytes) -> None:
        neighbour = self._links.neighbour(target)
        if neighbour is not None:
            self._links.dial(target, neighbour.address, neighbour.port)
            return

        def found(contact: Contact | None) -> None:
            if self._links.get(target) is None and contact is None:
                self.dial_failed(target, "the DHT knows no node of this id")
            elif contact is not None:
                self._links.dial(target, contact.address, contact.port)

        self._find(target, found)

    def _offer(self, link: Link, outgoing: Outgoing) -> None:
        outgoing.link = link
        self._say(link, Type.FILE_OFFER, OFFER.pack(outgoing.id, outgoing.size, CHUNK_BYTES))

    def wanted(self, link: Link, payload: bytes) -> None:
        """The receiver says what it has: send the rest. Raises ValueError."""
        outgoing = self._mine(link, payload)
        if outgoing is None:
            return
        has = int.from_bytes(payload[ID_BYTES:], "little")
        outgoing.left = deque(
            index for index in range(chunks(outgoing.size)) if not has >> index & 1
        )
        outgoing.under_way.clear()
        self._feed(link, outgoing)

    def got(self, link: Link, payload: bytes) -> None:
        """A chunk has arrived: the window moves on. Raises ValueError."""
        if len(payload) != GOT.size:
            raise ValueError(f"FILE_GOT takes {GOT.size} bytes")
        outgoing = self._mine(link, payload)
        if outgoing is not None:
            outgoing.under_way.discard(GOT.unpack(payload)[1])
            self._feed(link, outgoing)

    def done(self, link: Link, payload: bytes) -> None:
        """The receiver has compared the last hash. Raises ValueError."""
        if len(payload) != DONE.size:
            raise ValueError(f"FILE_DONE takes {DONE.size} bytes")
        outgoing = self._mine(link, payload)
        if outgoing is None:
            return
        _, is_good, done_ns = DONE.unpack(payload)
        del self._outgoing[outgoing.id]
        if is_good:
            self._finish(outgoing.id, Outcome.OK, done_ns, {"hops": 1, "size": outgoing.size})
        else:
            self._finish(
                outgoing.id,
                Outcome.FAILED,
                done_ns,
                {"error": "the receiver's hash of the file is another"},
            )

    def _feed(self, link: Link, outgoing: Outgoing) -> None:
        while outgoing.left and len(outgoing.under_way) < WINDOW and link.has_room:
            index = outgoing.left.popleft()
            data = content(outgoing.id, outgoing.size, index)
            digest = outgoing.hashes[index] = blake3(data).digest()
            outgoing.under_way.add(index)
            self._say(link, Type.FILE_CHUNK, CHUNK.pack(outgoing.id, index, digest) + data)
        if not outgoing.left and not outgoing.under_way:
            root = outgoing.root()
            self._note_hash(outgoing.id, root, outgoing.size)
            self._say(link, Type.FILE_END, END.pack(outgoing.id, root))

    def _note_hash(self, transfer_id: bytes, root: bytes, size: int) -> None:
        """Journal the hash of all chunks' hashes, as this end has made it."""
        self._instruments.journal.add(
            Kind.FILE_HASHED, transfer_id, time.monotonic_ns(), peer=root, size=size
        )

    def _mine(self, link: Link, payload: bytes) -> Outgoing | None:
        if len(payload) < ID_BYTES:
            raise ValueError("a file's message begins with its id")
        outgoing = self._outgoing.get(payload[:ID_BYTES])
        return outgoing if outgoing is not None and outgoing.link is link else None

    def _say(self, link: Link, kind: Type, payload: bytes) -> None:
        link.send(between_ends(kind, self._node_id, link, payload))

    # Receiving

    def offered(self, link: Link, payload: bytes) -> None:
        """A file is to come: say what of it is here already. Raises ValueError."""
        if len(payload) != OFFER.size:
            raise ValueError(f"FILE_OFFER takes {OFFER.size} bytes")
        transfer_id, size, chunk_bytes = OFFER.unpack(payload)
        if not 0 < size <= MAX_FILE_BYTES or not 1024 <= chunk_bytes <= 4 * CHUNK_BYTES:
            raise ValueError(
                f"a file has 1 to {MAX_FILE_BYTES} bytes in chunks of 1 KiB to 1 MiB; offered "
                f"{size} in {chunk_bytes}"
            )
        assert link.peer_id is not None
        key = (link.peer_id, transfer_id)
        if key in self._delivered:  # its FILE_DONE was lost with a link: a file is delivered once
            self._say(link, Type.FILE_DONE, DONE.pack(transfer_id, 1, self._delivered[key]))
            return
        incoming = self._incoming.get(key)
        if incoming is None or (incoming.size, incoming.chunk_bytes) != (size, chunk_bytes):
            if len(self._incoming) >= MAX_INCOMING:
                self._incoming.pop(next(iter(self._incoming))).close(keep=False)
            try:
                incoming = self._incoming[key] = Incoming(
                    self._folder, transfer_id, size, chunk_bytes
                )
            except OSError:
                self._say(link, Type.FILE_DONE, DONE.pack(transfer_id, 0, time.monotonic_ns()))
                return
        self._say(link, Type.FILE_WANT, transfer_id + incoming.bitmap())

    def chunk(self, link: Link, payload: bytes) -> None:
        """A chunk: verify, write, confirm. Raises ValueError where its hash is another."""
        if len(payload) < CHUNK.size:
            raise ValueError("a FILE_CHUNK holds an id, an index and a hash")
        transfer_id, index, claimed = CHUNK.unpack_from(payload)
        incoming = self._incoming.get((link.peer_id or b"", transfer_id))
        if incoming is None:
            return
        try:
            is_good = incoming.add(index, claimed, payload[CHUNK.size :])
        except OSError:
            self._over(link, transfer_id, is_good=False)
            return
        if not is_good:
            raise ValueError("a chunk that is not what its hash says")
        self._instruments.counters["file_chunks_in"] += 1
        self._say(link, Type.FILE_GOT, GOT.pack(transfer_id, index))

    def ended(self, link: Link, payload: bytes) -> None:
        """All was sent: compare the hash of all hashes. Raises ValueError."""
        if len(payload) != END.size:
            raise ValueError(f"FILE_END takes {END.size} bytes")
        transfer_id, root = END.unpack(payload)
        incoming = self._incoming.get((link.peer_id or b"", transfer_id))
        if incoming is not None:
            own = incoming.root()
            self._note_hash(transfer_id, own, incoming.size)
            self._over(link, transfer_id, is_good=incoming.is_complete and own == root)

    def _over(self, link: Link, transfer_id: bytes, *, is_good: bool) -> None:
        assert link.peer_id is not None
        incoming = self._incoming.pop((link.peer_id, transfer_id))
        with suppress(OSError):
            incoming.close(keep=False)
        now_ns = time.monotonic_ns()
        if is_good:
            self._delivered[link.peer_id, transfer_id] = now_ns
            while len(self._delivered) > MAX_DELIVERED:
                del self._delivered[next(iter(self._delivered))]
            self._instruments.journal.add(
                Kind.FILE_DELIVERED,
                transfer_id,
                now_ns,
                peer=link.peer_id,
                size=incoming.size,
                hops=1,
            )
        self._say(link, Type.FILE_DONE, DONE.pack(transfer_id, is_good, now_ns))

    def close(self) -> None:
        """Close what is open; unfinished files stay, to be resumed after the next start."""
        for incoming in self._incoming.values():
            incoming.close(keep=True)
        self._incoming.clear()
