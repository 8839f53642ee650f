"""Trying what a kernel can do, in a namespace that is thrown away. Each trial returns a short detail or raises HarnessError.

Nothing is read off version numbers or module lists: a distribution's kernel and a cloud's differ under the same number,
and a module that is missing is loaded by the kernel at the first try where that is possible (and then stays loaded).
"""

from __future__ import annotations

import errno
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import HarnessError, UnavailableError
from harness.kernel.namespaces import inside, open_socket
from harness.kernel.nft import Nft

_QDISCS: dict[str, dict[str, Any]] = {
    "netem": {"delay": 1_000, "limit": 1_000},                           # µs, packets
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
  }
}
add element ip scratch path { 198.18.0.1 . 198.18.0.2 : goto c1 }
"""
# iptables before nft's own `queue`: where NFT_QUEUE is not built in, both kinds of iptables still work.
_QUEUE_RULE = ("-t", "mangle", "-A", "FORWARD", "-j", "NFQUEUE", "--queue-num", "0", "--queue-bypass")
_NETLINK_NETFILTER = 12             # Python's socket module does not name it
_SUBSYSTEM_QUEUE = 3                # NFNL_SUBSYS_QUEUE; the message type is subsystem << 8 | number
_QUEUE_PACKET, _QUEUE_CONFIG = 0, 2
_COMMAND_BIND, _COPY_META = 1, 1


def qdisc(namespace: int, ifindex: int, kind: str) -> str:
    """Put a queueing discipline (netem, htb, tbf) on a link and take it off."""
    with _iproute(namespace, kind) as route:
        route.tc("add", kind, ifindex, 0x10000, **_QDISCS[kind])
        route.tc("del", index=ifindex, root=True)
    return "set on a link"


def ifb(namespace: int) -> str:
    """Make an intermediate functional block device, which limits what comes in."""
    with _iproute(namespace, "ifb") as route:
        route.link("add", ifname="scratch", kind="ifb")
    return "link made"


def nftables(namespace: int) -> str:
    """One transaction with all that the injector needs: a verdict map, a random drop, a mark, a hook; read back."""
    with closing(Nft(namespace)) as nft:
        nft.run(_NFTABLES)
        listed = nft.run("list table ip scratch")
        nft.run("delete table ip scratch")
    if "goto c1" not in listed:
        raise HarnessError("nftables: a map element that was added is not listed")
    return "a transaction was set and read back by libnftables"


def forward(source: int, target: int, address: str) -> str:
    """Send one datagram from the namespace `source` to `address`, which is in `target`. Raises HarnessError if none arrives."""
    with open_socket(target, socket.AF_INET, socket.SOCK_DGRAM) as there, \
            open_socket(source, socket.AF_INET, socket.SOCK_DGRAM) as here:
        there.bind((address, 0))
        there.settimeout(1.0)
        here.sendto(b"scratch", there.getsockname())
        try:
            there.recv(64)
        except TimeoutError as error:
            raise HarnessError("a datagram sent through the hub did not arrive within 1 s") from error
    return "a datagram went from one node to another"


def nfqueue(hub: int, source: int, address: str) -> str:
    """Have a datagram that `hub` forwards from `source` handed to this process. Last of all: the rule stays in the hub."""
    with _queue(hub) as queue:
        rule = _add_queue_rule(hub)
        with open_socket(source, socket.AF_INET, socket.SOCK_DGRAM) as here:
            here.sendto(b"scratch", (address, 9))
        try:
            kind = struct.unpack_from("=H", queue.recv(4096), 4)[0]
        except TimeoutError as error:
            raise HarnessError(f"a rule by {rule} stands, but no packet reached the queue within 1 s") from error
    if kind != _SUBSYSTEM_QUEUE << 8 | _QUEUE_PACKET:
        raise HarnessError(f"the queue answered with message type {kind:#x}, expected a packet")
    return f"a packet reached this process; rule by {rule}"


def _add_queue_rule(hub: int) -> str:
    said = "there is no iptables command (Debian package iptables)"
    for command in ("iptables-legacy", "iptables-nft", "iptables"):
        program = shutil.which(command, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            continue
        # The lock guards the host's tables; ours are our own, and /run is not writable in a user namespace.
        environment = {**os.environ, "XTABLES_LOCKFILE": "/dev/null"}
        with inside(hub):
            done = subprocess.run([program, *_QUEUE_RULE], capture_output=True, text=True, check=False, env=environment)
        if done.returncode == 0:
            return command
        said = f"{command}: {done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}"
    try:
        with closing(Nft(hub)) as nft:
            nft.run("table ip scratchq { chain f { type filter hook forward priority -150; queue flags bypass to 0; }\n}")
    except (HarnessError, UnavailableError) as error:
        raise HarnessError(f"no rule can queue packets: {said}; {error}") from error
    return "nftables"


@contextmanager
def _queue(namespace: int) -> Iterator[socket.socket]:
    """A socket bound to netfilter queue 0 of the namespace (linux/netfilter/nfnetlink_queue.h)."""
    with open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as queue:
        queue.settimeout(1.0)
        for attribute in (
            struct.pack("=HH", 8, 1) + struct.pack("!BBH", _COMMAND_BIND, 0, socket.AF_INET),
            struct.pack("=HH", 9, 2) + struct.pack("!IB", 0, _COPY_META) + bytes(3),
        ):
            kind = _SUBSYSTEM_QUEUE << 8 | _QUEUE_CONFIG
            queue.send(struct.pack("=IHHII", 20 + len(attribute), kind, 0x5, 1, 0) + bytes(4) + attribute)
            refused = -struct.unpack_from("=i", queue.recv(4096), 16)[0]
            if refused:
                raise HarnessError(f"netfilter queue: {os.strerror(refused)}")
        yield queue


@contextmanager
def _iproute(namespace: int, what: str) -> Iterator[IPRoute]:
    with inside(namespace):
        route = IPRoute()
    try:
        yield route
    except NetlinkError as error:
        absent = error.code in {errno.ENOENT, errno.EOPNOTSUPP}
        raise HarnessError("this kernel does not have it" if absent else f"{what}: {os.strerror(error.code)}") from error
    finally:
        route.close()
