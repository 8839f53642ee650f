"""Trials of what a kernel can do, in a namespace that is thrown away. Each returns a short detail
or raises HarnessError.

Nothing is read off version numbers or module lists: a distribution's kernel and a cloud's differ
under the same number, and the kernel loads a missing module at the first try where it can (it then
stays loaded).
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import HarnessError
from harness.kernel.namespaces import inside, open_socket
from harness.kernel.nfqueue import PACKET, SUBSYSTEM, add_rule, bound
from harness.kernel.nft import Nft

_ARRIVAL_S = 5.0  # of a datagram, on a busy host
_AGAIN_S = 0.1  # then it is sent again: a link that came up just now may lose the first one
_QDISCS: dict[str, dict[str, Any]] = {
    "netem": {"delay": 1_000, "limit": 1_000},  # µs, packets
    "htb": {"default": 1},
    "tbf": {"rate": "1mbit", "burst": 3_000, "latency": "50ms"},
}
_NFTABLES = """table ip scratch {
  map path { type ipv4_addr . ipv4_addr : verdict; }
  chain c1 {
    numgen random mod 1000000 < 10000 drop
    meta mark set 1
  }
  chain before { type filter hook forward priority -200; policy accept;
    ip saddr . ip daddr vmap @path
    tcp dport 9 reject with tcp reset
  }
}
add element ip scratch path { 198.18.0.1 . 198.18.0.2 : goto c1 }
"""


def qdisc(namespace: int, ifindex: int, kind: str) -> str:
    """Put a queueing discipline (netem, htb, tbf) on a link and take it off."""
    with _iproute(namespace, kind) as route:
        route.tc("add", kind, ifindex, 0x10000, **_QDISCS[kind])
        route.tc("del", index=ifindex, root=True)
    return "set on a link"


def ifb(namespace: int) -> str:
    """Make an intermediate functional block device, by which what comes in is limited."""
    with _iproute(namespace, "ifb") as route:
        route.link("add", ifname="scratch", kind="ifb")
    return "link made"


def nftables(namespace: int) -> str:
    """Set and read back, in one transaction, all that the injector needs: a verdict map, a random
    drop, a mark, a reset, a hook.
    """
    with closing(Nft(namespace)) as nft:
        nft.run(_NFTABLES)
        listed = nft.run("list table ip scratch")
        nft.run("delete table ip scratch")
    if "goto c1" not in listed:
        raise HarnessError("nftables: a map element that was added is not listed")
    return "a transaction was set and read back by libnftables"


def forward(source: int, target: int, address: str) -> str:
    """Send a datagram from the namespace `source` to `address`, which is in `target`, until one
    arrives. Raises HarnessError if none does.
    """
    with (
        open_socket(target, socket.AF_INET, socket.SOCK_DGRAM) as there,
        open_socket(source, socket.AF_INET, socket.SOCK_DGRAM) as here,
    ):
        there.bind((address, 0))
        if _first_answer(here, there.getsockname(), there) is None:
            raise HarnessError(
                f"of the datagrams sent through the hub none arrived within {_ARRIVAL_S:.0f} s"
            )
    return "a datagram went from one node to another"


def nfqueue(hub: int, source: int, address: str) -> str:
    """Have a datagram that `hub` forwards from `source` handed to this process. Must be the last
    trial: its rule stays in the hub.
    """
    with bound(hub) as taken:
        rule = add_rule(hub)
        with open_socket(source, socket.AF_INET, socket.SOCK_DGRAM) as here:
            message = _first_answer(here, (address, 9), taken)
        if message is None:
            raise HarnessError(
                f"a rule by {rule} stands, but no packet reached the queue within "
                f"{_ARRIVAL_S:.0f} s"
            )
        kind = struct.unpack_from("=H", message, 4)[0]
    if kind != SUBSYSTEM << 8 | PACKET:
        raise HarnessError(f"the queue answered with message type {kind:#x}, expected a packet")
    return f"a packet reached this process; rule by {rule}"


def _first_answer(
    here: socket.socket, address: tuple[str, int], there: socket.socket
) -> bytes | None:
    """Send datagrams to `address` until `there` hears of one; None if it does not."""
    there.settimeout(_AGAIN_S)
    for _ in range(round(_ARRIVAL_S / _AGAIN_S)):
        here.sendto(b"scratch", address)
        with suppress(TimeoutError):
            return there.recv(4096)
    return None


@contextmanager
def _iproute(namespace: int, what: str) -> Iterator[IPRoute]:
    with inside(namespace):
        route = IPRoute()
    try:
        yield route
    except NetlinkError as error:
        absent = error.code in {errno.ENOENT, errno.EOPNOTSUPP}
        raise HarnessError(
            "this kernel does not have it" if absent else f"{what}: {os.strerror(error.code)}"
        ) from error
    finally:
        route.close()
