"""Wiring is what routes packets in one namespace: its links, addresses, routes, neighbours and
rules, read by five dumps (about 10 µs an entry).
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from typing import NamedTuple

from harness.kernel.netlink import Netlink, attributes

_LINK, _ADDRESS, _ROUTE, _NEIGHBOUR, _RULE = 18, 22, 26, 30, 34  # RTM_GET… of linux/rtnetlink.h
_UP, _CARRIER = 0x1, 0x10000
_PERMANENT = 0x80
_ROUTE_CACHE = 12  # RTA_CACHEINFO: ages
_MAIN = 254
_IPV4 = bytes([socket.AF_INET])  # the family stands first in what is asked
_WITHOUT_COUNTERS = struct.pack("=HHI", 8, 29, 8)  # IFLA_EXT_MASK: RTEXT_FILTER_SKIP_STATS


class Entry(NamedTuple):
    """One thing of a namespace: what it is in words, and all that is fixed of it."""

    what: str
    details: bytes


def read(netlink: Netlink) -> frozenset[Entry]:
    """Read all that stands in the namespace of a socket. Raises HarnessError."""
    return frozenset(
        (*_links(netlink), *_addresses(netlink), *_routes(netlink), *_neighbours(netlink))
    ) | frozenset(_rules(netlink))


def difference(asked: frozenset[Entry], found: frozenset[Entry]) -> str | None:
    """Say the first thing that is gone, changed or a stranger's; None where all is as asked."""
    gone, new = ({one.what for one in some} for some in (asked - found, found - asked))
    if changed := sorted(gone & new):
        return f"{changed[0]} was changed by somebody"
    if gone:
        return f"{min(gone)} is gone"
    return f"a stranger's {min(new)} stands in the hub" if new else None


def _links(netlink: Netlink) -> Iterator[Entry]:
    for body in netlink.dump("links", _LINK, bytes(16) + _WITHOUT_COUNTERS):
        has = attributes(body, 16)
        index, flags = struct.unpack_from("=iI", body, 4)
        name = has[3].rstrip(b"\0").decode()  # IFLA_IFNAME
        fixed = struct.pack("=iI", index, flags & (_UP | _CARRIER))
        yield Entry(f"link {name}", fixed + has.get(1, b"") + has.get(4, b""))  # its MAC, its MTU


def _addresses(netlink: Netlink) -> Iterator[Entry]:
    for body in netlink.dump("addresses", _ADDRESS, _IPV4.ljust(8, b"\0")):
        own = attributes(body, 8).get(2, b"")  # IFA_LOCAL
        index = struct.unpack_from("=I", body, 4)[0]
        yield Entry(f"address {_dotted(own)}/{body[1]} of link {index}", own)


def _routes(netlink: Netlink) -> Iterator[Entry]:
    for body in netlink.dump("routes", _ROUTE, _IPV4.ljust(12, b"\0")):
        has = attributes(body, 12)
        to = f"{_dotted(has[1])}/{body[1]}" if 1 in has else "all else"  # RTA_DST
        table = struct.unpack("=I", has[15])[0] if 15 in has else body[4]
        where = "" if table == _MAIN else f" in table {table}"
        rest = b"".join(value for kind, value in sorted(has.items()) if kind != _ROUTE_CACHE)
        yield Entry(f"route to {to}{where}", body[:8] + rest)


def _neighbours(netlink: Netlink) -> Iterator[Entry]:
    for body in netlink.dump("neighbours", _NEIGHBOUR, _IPV4.ljust(12, b"\0")):
        has, index = attributes(body, 12), struct.unpack_from("=i", body, 4)[0]
        if struct.unpack_from("=H", body, 8)[0] & _PERMANENT:
            yield Entry(f"neighbour {_dotted(has[1])} of link {index}", has.get(2, b""))


def _rules(netlink: Netlink) -> Iterator[Entry]:
    for body in netlink.dump("rules", _RULE, _IPV4.ljust(12, b"\0")):
        has = attributes(body, 12)
        priority = struct.unpack("=I", has[6])[0] if 6 in has else 0  # FRA_PRIORITY
        rest = b"".join(value for _, value in sorted(has.items()))
        yield Entry(f"routing rule {priority}", body[:12] + rest)


def _dotted(address: bytes) -> str:
    return str(IPv4Address(address)) if len(address) == 4 else "?"
