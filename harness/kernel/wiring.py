"""Wiring is what routes packets in one namespace: its links, addresses, routes, neighbours and
rules, read by five dumps.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from ipaddress import IPv4Address
from typing import NamedTuple

from harness.kernel.netlink import Netlink, attributes

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


class Wiring:
    """Reads all that stands in the namespace of a socket; what is as it was is not parsed again."""

    def __init__(self, netlink: Netlink) -> None:
        self._netlink = netlink
        self._read: dict[str, tuple[list[bytes], frozenset[Entry]]] = {}

    def read(self) -> frozenset[Entry]:
        """Read it. Raises HarnessError."""
        found: frozenset[Entry] = frozenset()
        for what, (request, body, fixed, parse) in _KINDS.items():
            bodies = [one[:fixed] for one in self._netlink.dump(what, request, body)]
            if what not in self._read or self._read[what][0] != bodies:
                self._read[what] = bodies, frozenset(map(parse, bodies))
            found |= self._read[what][1]
        return found


def difference(asked: frozenset[Entry], found: frozenset[Entry]) -> str | None:
    """Say the first thing that is gone, changed or a stranger's; None where all is as asked."""
    gone, new = ({one.what for one in some} for some in (asked - found, found - asked))
    if changed := sorted(gone & new):
        return f"{changed[0]} was changed by somebody"
    if gone:
        return f"{min(gone)} is gone"
    return f"a stranger's {min(new)} stands in the hub" if new else None


def _link(body: bytes) -> Entry:
    has = attributes(body, 16)
    index, flags = struct.unpack_from("=iI", body, 4)
    name = has[3].rstrip(b"\0").decode()  # IFLA_IFNAME
    fixed = struct.pack("=iI", index, flags & (_UP | _CARRIER))
    return Entry(f"link {name}", fixed + has.get(1, b"") + has.get(4, b""))  # its MAC, its MTU


def _address(body: bytes) -> Entry:
    own = attributes(body, 8).get(2, b"")  # IFA_LOCAL
    index = struct.unpack_from("=I", body, 4)[0]
    return Entry(f"address {_dotted(own)}/{body[1]} of link {index}", own)


def _route(body: bytes) -> Entry:
    has = attributes(body, 12)
    to = f"{_dotted(has[1])}/{body[1]}" if 1 in has else "all else"  # RTA_DST
    table = struct.unpack("=I", has[15])[0] if 15 in has else body[4]
    where = "" if table == _MAIN else f" in table {table}"
    rest = b"".join(value for kind, value in sorted(has.items()) if kind != _ROUTE_CACHE)
    return Entry(f"route to {to}{where}", body[:8] + rest)


def _neighbour(body: bytes) -> Entry:
    has, index = attributes(body, 12), struct.unpack_from("=i", body, 4)[0]
    permanent = struct.unpack_from("=H", body, 8)[0] & _PERMANENT
    if not permanent:  # the kernel's own, which come and go
        return Entry("", b"")
    return Entry(f"neighbour {_dotted(has[1])} of link {index}", has.get(2, b""))


def _rule(body: bytes) -> Entry:
    has = attributes(body, 12)
    priority = struct.unpack("=I", has[6])[0] if 6 in has else 0  # FRA_PRIORITY
    rest = b"".join(value for _, value in sorted(has.items()))
    return Entry(f"routing rule {priority}", body[:12] + rest)


def _dotted(address: bytes) -> str:
    return str(IPv4Address(address)) if len(address) == 4 else "?"


# What is read: the request (RTM_GET… of linux/rtnetlink.h), its body, how many bytes of each answer
# are fixed (of a neighbour its address and its MAC; ages follow), and what reads an answer.
_KINDS: dict[str, tuple[int, bytes, int | None, Callable[[bytes], Entry]]] = {
    "links": (18, bytes(16) + _WITHOUT_COUNTERS, None, _link),
    "addresses": (22, _IPV4.ljust(8, b"\0"), None, _address),
    "routes": (26, _IPV4.ljust(12, b"\0"), None, _route),
    "neighbours": (30, _IPV4.ljust(12, b"\0"), 32, _neighbour),
    "rules": (34, _IPV4.ljust(12, b"\0"), None, _rule),
}
