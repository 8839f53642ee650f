"""Who a node is and where: contacts, positions in the key space, and their compact form in
datagrams.
"""

import functools
import hashlib
import ipaddress
import socket
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

ID_BYTES = 32
COMPACT_BYTES = ID_BYTES + 4 + 2
_UNSPECIFIED, _BROADCAST = bytes(4), b"\xff" * 4
_MULTICAST = 0xE  # 224.0.0.0/4
_blank, _set = object.__new__, object.__setattr__


def position_of(name: bytes) -> int:
    """The place of a node id or a key in the 256-bit space: SHA-256 as an integer. The distance of
    two is their XOR.
    """
    return int.from_bytes(hashlib.sha256(name).digest(), "big")


@dataclass(frozen=True, slots=True)
class Contact:
    """A node's id (32 bytes) and the IPv4 address and port where it answers datagrams.

    Raises ValueError for an id of another length, and for an address or port that no node can have.
    """

    id: bytes
    address: str
    port: int
    position: int = field(init=False, repr=False, compare=False)
    compact: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.id) != ID_BYTES:
            raise ValueError(f"a node id has {ID_BYTES} bytes, this one {len(self.id)}")
        if not 0 < self.port < 65536:
            raise ValueError(f"a contact's port is 1 to 65535, not {self.port}")
        packed = _packed(self.address)
        if not _is_of_one_node(packed):
            raise ValueError(f"{self.address} is no address of a single node")
        # frozen: computed once here, read at every comparison of distances
        _set(self, "position", position_of(self.id))
        _set(self, "compact", self.id + packed + self.port.to_bytes(2, "big"))


def _packed(address: str) -> bytes:
    """The four bytes of an address. Raises a ValueError that names it."""
    with suppress(OSError, TypeError):
        packed = socket.inet_aton(address)
        if socket.inet_ntoa(packed) == address:  # a tenth of the time that ipaddress takes
            return packed
    found = ipaddress.IPv4Address(address)  # says what is wrong; takes numbers too
    raise ValueError(f"a contact's address is written as {found}, not {address!r}")


def _is_of_one_node(packed: bytes) -> bool:
    return packed not in {_UNSPECIFIED, _BROADCAST} and packed[0] >> 4 != _MULTICAST


def pack_contacts(contacts: Iterable[Contact]) -> bytes:
    """Contacts as 38 bytes each: id, IPv4 address, port in network order (the "compact node info"
    of BEP 5, longer ids).
    """
    return b"".join(contact.compact for contact in contacts)


def unpack_contacts(packed: bytes) -> list[Contact]:
    """The contacts in `packed`, without those no node can have (port 0, a multicast address).

    Raises ValueError where the length is no multiple of 38.
    """
    if len(packed) % COMPACT_BYTES:
        raise ValueError(f"contacts take {COMPACT_BYTES} bytes each, these take {len(packed)}")
    contacts = [
        _unpack(packed[at : at + COMPACT_BYTES]) for at in range(0, len(packed), COMPACT_BYTES)
    ]
    return [contact for contact in contacts if contact is not None]


@functools.lru_cache(
    maxsize=1024
)  # the same neighbours are named again and again: hash and check them once
def _unpack(compact: bytes) -> Contact | None:
    packed, port = compact[ID_BYTES:-2], int.from_bytes(compact[-2:], "big")
    if not port or not _is_of_one_node(packed):
        return None
    node_id = compact[:ID_BYTES]
    contact = _blank(Contact)  # half the time that __init__ takes to check what is known here
    _set(contact, "id", node_id)
    _set(contact, "address", socket.inet_ntoa(packed))
    _set(contact, "port", port)
    _set(contact, "position", position_of(node_id))
    _set(contact, "compact", compact)
    return contact
