"""Links, addresses, routes and neighbours by rtnetlink, many in one system call; and the counters
of all links at once.

Messages are encoded by pyroute2's message classes and sent over a plain socket: IPRoute waits for
every answer (0.3 to 0.8 ms a call), opens four descriptors and forks to reach a namespace.
Interface indexes are chosen by the caller, so nothing is ever looked up.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ifstatsmsg import ifstatsmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from harness.errors import HarnessError, PermissionNeededError
from harness.kernel.namespaces import open_socket

# What encodes each kind of request, and its number (linux/rtnetlink.h).
_LINK, _ADDRESS, _ROUTE, _NEIGHBOUR, _STATS = (
    (ifinfmsg, 16),
    (ifaddrmsg, 20),
    (rtmsg, 24),
    (ndmsg, 28),
    (ifstatsmsg, 94),
)
_LINK_GONE = (ifinfmsg, 17)
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_CREATE_EXCLUSIVE = 0x600
_ERROR, _DONE = 2, 3
_CAPPED, _HAS_DETAIL, _DUMP_INTERRUPTED = 0x100, 0x200, 0x10
_SOL_NETLINK, _CAP_ACK, _EXT_ACK = 270, 10, 11
_IFF_UP = 1
_NUD_PERMANENT = 0x80
_TABLE_MAIN, _PROTOCOL_STATIC, _SCOPE_LINK = 254, 4, 253
_ROUTE_UNICAST, _ROUTE_BLACKHOLE, _ROUTE_ONLINK = 1, 6, 4
_STATS_LINK_64 = 1

_BATCH_MESSAGES = (
    100  # the answers to a batch wait in the receive buffer (208 kB by default, about 0.8 kB each)
)
_ANSWER_TIMEOUT_S = 30.0  # the kernel answers within the send; longer means that it never will
_DUMP_TRIES = 5

_HEADER = struct.Struct("=IHHII")
_SEQUENCE = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")
_LINK_COUNTERS = struct.Struct("=4Q")


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkCounters:
    """What went through one link since it was made."""

    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int

    def of_other_end(self) -> LinkCounters:
        """Turn the counters round, as the other end of the pair sees them: what one end receives,
        the other has sent.
        """
        return LinkCounters(
            rx_packets=self.tx_packets,
            tx_packets=self.rx_packets,
            rx_bytes=self.tx_bytes,
            tx_bytes=self.rx_bytes,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One request: its bytes, and the words by which an error names its object."""

    what: str
    data: bytes


def veth(
    *,
    ifindex: int,
    name: str,
    mac: str,
    peer_name: str,
    peer_ifindex: int,
    peer_mac: str,
    peer_namespace: int,
) -> Message:
    """Make a pair of links: this end here and up, the other end in `peer_namespace` (a descriptor)
    and down.

    The kernel refuses a peer that is up from the start (ENOTCONN), since it would come up before
    the pair is joined.
    """
    peer = {
        "index": peer_ifindex,
        "attrs": [
            ("IFLA_IFNAME", peer_name),
            ("IFLA_NET_NS_FD", peer_namespace),
            ("IFLA_ADDRESS", peer_mac),
        ],
    }
    info = {
        "attrs": [
            ("IFLA_INFO_KIND", "veth"),
            ("IFLA_INFO_DATA", {"attrs": [("VETH_INFO_PEER", peer)]}),
        ]
    }
    return _message(
        f"link {name}",
        _LINK,
        _CREATE_EXCLUSIVE,
        {"index": ifindex, "flags": _IFF_UP, "change": _IFF_UP},
        [("IFLA_IFNAME", name), ("IFLA_ADDRESS", mac), ("IFLA_LINKINFO", info)],
    )


def set_up(ifindex: int, *, gso_max_segs: int | None = None) -> Message:
    """Bring a link up. With `gso_max_segs` 1 every packet is one segment; else segments of up to 64
    kB travel, and are lost, as one.
    """
    attributes = [] if gso_max_segs is None else [("IFLA_GSO_MAX_SEGS", gso_max_segs)]
    return _message(
        f"link {ifindex} up",
        _LINK,
        0,
        {"index": ifindex, "flags": _IFF_UP, "change": _IFF_UP},
        attributes,
    )


def move_link(ifindex: int, namespace: int) -> Message:
    """Move a link into another namespace (a descriptor), where it is down; the other end of a pair
    stays where it is.
    """
    where = [("IFLA_NET_NS_FD", namespace)]
    return _message(f"move of link {ifindex}", _LINK, 0, {"index": ifindex}, where)


def remove_link(ifindex: int, name: str) -> Message:
    """Remove a link, and with it its peer and the routes by it."""
    return _message(f"removal of link {name}", _LINK_GONE, 0, {"index": ifindex}, [])


def address(ifindex: int, ip: str) -> Message:
    """Give a link an IPv4 address of its own, a /32."""
    return _message(
        f"address {ip} on link {ifindex}",
        _ADDRESS,
        _CREATE_EXCLUSIVE,
        {"family": socket.AF_INET, "prefixlen": 32, "index": ifindex},
        [("IFA_LOCAL", ip), ("IFA_ADDRESS", ip)],
    )


def neighbour(ifindex: int, ip: str, mac: str) -> Message:
    """Set a permanent neighbour: the kernel never asks for it by ARP, never expires it, and does
    not count it against the global gc_thresh3.
    """
    return _message(
        f"neighbour {ip} on link {ifindex}",
        _NEIGHBOUR,
        _CREATE_EXCLUSIVE,
        {"family": socket.AF_INET, "ifindex": ifindex, "state": _NUD_PERMANENT},
        [("NDA_DST", ip), ("NDA_LLADDR", mac)],
    )


def route_to(ip: str, ifindex: int) -> Message:
    """Route to one host, directly behind a link."""
    return _route(
        f"route to {ip} by link {ifindex}",
        {"dst_len": 32, "scope": _SCOPE_LINK},
        [("RTA_DST", ip), ("RTA_OIF", ifindex)],
    )


def route_by(ip: str, gateway: str, ifindex: int, source: str) -> Message:
    """Route to one host by a gateway (onlink), from an address of ours that another link may
    have.
    """
    return _route(
        f"route to {ip} by {gateway}",
        {"dst_len": 32, "flags": _ROUTE_ONLINK},
        [("RTA_DST", ip), ("RTA_GATEWAY", gateway), ("RTA_OIF", ifindex), ("RTA_PREFSRC", source)],
    )


def default_route(gateway: str, ifindex: int) -> Message:
    """Route everything by a gateway that need not be in any network of the link (onlink)."""
    return _route(
        f"default route by {gateway}",
        {"flags": _ROUTE_ONLINK},
        [("RTA_GATEWAY", gateway), ("RTA_OIF", ifindex)],
    )


def blackhole() -> Message:
    """Drop in silence what no other route takes, instead of answering with ICMP."""
    return _route("blackhole route", {"type": _ROUTE_BLACKHOLE}, [])


class Netlink:
    """A netlink socket of one namespace: one descriptor, for any thread, one at a time."""

    def __init__(self, namespace: int) -> None:
        self._socket = open_socket(
            namespace,
            socket.AF_NETLINK,
            socket.SOCK_RAW | socket.SOCK_CLOEXEC,
            socket.NETLINK_ROUTE,
        )
        self._socket.settimeout(_ANSWER_TIMEOUT_S)
        for option in (_CAP_ACK, _EXT_ACK):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)
        self._lock = threading.Lock()

    def do(self, messages: Sequence[Message], *, where: str) -> None:
        """Send requests in order and read the answer to each.

        Requests after a refused one are carried out all the same. Raises HarnessError
        (PermissionNeededError for EPERM) that names the first object refused and `where` it is.
        """
        refused: list[tuple[Message, int, str]] = []
        with self._lock:
            for start in range(0, len(messages), _BATCH_MESSAGES):
                refused += self._batch(messages[start : start + _BATCH_MESSAGES])
        if refused:
            message, number, detail = refused[0]
            kind = PermissionNeededError if number == errno.EPERM else HarnessError
            more = (
                f" ({len(refused):,} of {len(messages):,} were refused)" if len(refused) > 1 else ""
            )
            raise kind(f"{where}: {message.what}: {detail or os.strerror(number)}{more}")

    def _batch(self, messages: Sequence[Message]) -> list[tuple[Message, int, str]]:
        buffer = bytearray()
        for sequence, message in enumerate(messages):
            at = len(buffer) + 8
            buffer += message.data
            _SEQUENCE.pack_into(buffer, at, sequence)
        refused = []
        self._socket.send(buffer)
        unanswered = len(messages)
        while unanswered:
            data = self._receive()
            for kind, flags, sequence, start, end in _split(data):
                if kind != _ERROR:
                    continue
                unanswered -= 1
                number = -struct.unpack_from("=i", data, start)[0]
                if number:
                    refused.append((messages[sequence], number, _detail(data[start:end], flags)))
        return refused

    def counters(self) -> dict[int, LinkCounters]:
        """Read the 64-bit counters of every link of the namespace, by interface index, from one
        dump (2 µs a link).

        A dump that a new or removed link interrupted is made again; the fifth counts as it is.
        """
        asked = _message("counters", _STATS, _DUMP, {"filter_mask": 1 << (_STATS_LINK_64 - 1)}, [])
        found: dict[int, LinkCounters] = {}
        for body in self._dump("link counters", asked.data):
            # struct if_stats_msg is 12 bytes, its ifindex at 4; one attribute follows: struct
            # rtnl_link_stats64.
            rx_packets, tx_packets, rx_bytes, tx_bytes = _LINK_COUNTERS.unpack_from(body, 16)
            found[struct.unpack_from("=I", body, 4)[0]] = LinkCounters(
                rx_packets=rx_packets, tx_packets=tx_packets, rx_bytes=rx_bytes, tx_bytes=tx_bytes
            )
        return found

    def dump(self, what: str, request: int, body: bytes) -> list[bytes]:
        """Read all objects that a request of this number and body lists, each as the kernel sent
        it; `attributes` reads them. Raises HarnessError.
        """
        header = _HEADER.pack(_HEADER.size + len(body), request, _REQUEST | _DUMP, 0, 0)
        return self._dump(what, header + body)

    def _dump(self, what: str, asked: bytes) -> list[bytes]:
        """Read a dump; one that a change interrupted is made again, the fifth counts as it is."""
        found: list[bytes] = []
        with self._lock:
            for _ in range(_DUMP_TRIES):
                found, whole = self._dump_once(what, asked)
                if whole:
                    break
        return found

    def _dump_once(self, what: str, asked: bytes) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        whole = True
        self._socket.send(asked)
        while True:
            data = self._receive()
            for kind, flags, _, start, end in _split(data):
                whole = whole and not flags & _DUMP_INTERRUPTED
                if kind == _DONE:
                    return found, whole
                if kind == _ERROR:
                    number = -struct.unpack_from("=i", data, start)[0]
                    raise HarnessError(f"{what}: {os.strerror(number)}")
                found.append(data[start:end])

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(1 << 17)
        except TimeoutError as error:
            raise HarnessError(
                f"netlink: the kernel gave no answer within {_ANSWER_TIMEOUT_S:.0f} s"
            ) from error

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()


def _route(what: str, fields: Mapping[str, int], attributes: Sequence[tuple[str, Any]]) -> Message:
    common = {
        "family": socket.AF_INET,
        "table": _TABLE_MAIN,
        "proto": _PROTOCOL_STATIC,
        "type": _ROUTE_UNICAST,
    }
    return _message(what, _ROUTE, _CREATE_EXCLUSIVE, {**common, **fields}, attributes)


def _message(
    what: str,
    kind: tuple[Any, int],
    flags: int,
    fields: Mapping[str, int],
    attributes: Sequence[tuple[str, Any]],
) -> Message:
    encoder, number = kind
    message = encoder()
    message["header"]["type"] = number
    message["header"]["flags"] = _REQUEST | (flags if flags == _DUMP else flags | _ACK)
    for name, value in fields.items():
        message[name] = value
    message["attrs"] = list(attributes)
    message.encode()
    return Message(what=what, data=bytes(message.data))


def attributes(body: bytes, header: int) -> dict[int, bytes]:
    """Return the attributes of one object, by their numbers, that follow its fixed part."""
    found, at = {}, header
    while at + _ATTRIBUTE.size <= len(body):
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        found[kind & 0x3FFF] = body[at + _ATTRIBUTE.size : at + length]
        at += max((length + 3) & ~3, _ATTRIBUTE.size)
    return found


def _split(data: bytes) -> list[tuple[int, int, int, int, int]]:
    """Split a datagram into its messages: (type, flags, sequence, start of the body, end)."""
    found, at = [], 0
    while at + _HEADER.size <= len(data):
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        found.append((kind, flags, sequence, at + _HEADER.size, at + length))
        at += (length + 3) & ~3
    return found


def _detail(body: bytes, flags: int) -> str:
    """Take the kernel's own sentence out of an error's body (struct nlmsgerr, then attributes),
    where it sent one.
    """
    if flags & _HAS_DETAIL and flags & _CAPPED:
        said = attributes(body, 4 + _HEADER.size).get(1, b"")
        return said.rstrip(b"\0").decode(errors="replace")
    return ""
