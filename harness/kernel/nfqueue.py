"""Netfilter queue 0 of a namespace: a socket bound to it, and the rule that sends marked packets to
it (fail-open).
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError, UnavailableError
from harness.kernel.namespaces import inside, open_socket

NETLINK_NETFILTER = 12  # Python's socket module does not name it
SUBSYSTEM = 3  # NFNL_SUBSYS_QUEUE; a message's type is subsystem << 8 | number (nfnetlink_queue.h)
PACKET, CONFIG = 0, 2
BIND, COPY_META = 1, 1
COMMAND, PARAMS, MAXLEN, MASK, FLAGS = 1, 2, 3, 4, 5
FAIL_OPEN, GSO = 1, 4
QUEUE_PACKETS = 200_000  # asked; the kernel caps it at 65,536
RECEIVE_BYTES = 32 << 20
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
SO_RCVBUFFORCE, SOL_NETLINK, NO_ENOBUFS = 33, 270, 5


def bound(namespace: int) -> socket.socket:
    """Bind a socket to the queue; it gets the numbers and marks of queued packets, and none of
    their bytes. Raises HarnessError.
    """
    made = open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_NETFILTER)
    try:
        try:
            made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
        except PermissionError:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        made.setsockopt(SOL_NETLINK, NO_ENOBUFS, 1)
        made.bind((0, 0))
        flags = FAIL_OPEN | GSO
        for attributes in (
            _attribute(COMMAND, struct.pack("!BBH", BIND, 0, socket.AF_INET)),
            _attribute(PARAMS, struct.pack("!IB", 0, COPY_META)),
            _attribute(MAXLEN, struct.pack("!I", QUEUE_PACKETS)),
            _attribute(MASK, struct.pack("!I", flags))
            + _attribute(FLAGS, struct.pack("!I", flags)),
        ):
            made.send(
                struct.pack("=IHHII", 20 + len(attributes), SUBSYSTEM << 8 | CONFIG, 0x5, 1, 0)
                + bytes(4)
                + attributes
            )
            refused = -struct.unpack_from("=i", made.recv(4096), 16)[0]
            if refused:
                raise HarnessError(f"netfilter queue: {os.strerror(refused)}")
    except BaseException:
        made.close()
        raise
    return made


def add_rule(namespace: int, mark: int | None = None) -> str:
    """Queue every forwarded packet, or every one that has the bits of `mark`; returns the command
    that did it.

    iptables of either kind works where nft's own `queue` is not built in. Raises UnavailableError.
    """
    said = "there is no iptables command (Debian package iptables)"
    for command in ("iptables-legacy", "iptables-nft", "iptables"):
        if shutil.which(command, path=_PATH) is None:
            continue
        said = _iptables(namespace, command, "-A", mark)
        if not said:
            return command
    raise UnavailableError(f"no rule can queue packets: {said}")


def rule(mark: int | None = None) -> str:
    """Return the rule of `add_rule`, as `rules_of` lists it behind its -A."""
    marked = "" if mark is None else f"-m mark --mark {mark:#x}/{mark:#x} "
    return f"FORWARD {marked}-j NFQUEUE --queue-num 0 --queue-bypass"


def remove_rule(namespace: int, mark: int, command: str) -> None:
    """Remove the rule, where it still is."""
    _iptables(namespace, command, "-D", mark)


def rules_of(namespace: int, command: str, table: str = "mangle") -> list[str]:
    """List what a table (ours is in mangle) has beyond chains that accept, as the command of
    iptables prints it. Raises HarnessError.
    """
    environment = {**os.environ, "PATH": _PATH, "XTABLES_LOCKFILE": "/dev/null"}
    try:
        with inside(namespace):
            done = subprocess.run(
                [command, "-t", table, "-S"],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
    except OSError as error:
        raise HarnessError(f"{command}: {error.strerror}") from error
    if done.returncode:
        raise HarnessError(f"{command}: {done.stderr.strip() or done.returncode}")
    accepts = re.compile(r"-P \S+ ACCEPT")
    return [line for line in done.stdout.splitlines() if not accepts.fullmatch(line)]


def tables(namespace: int) -> list[str]:
    """List the tables that iptables-legacy has in a namespace."""
    with inside(namespace), suppress(OSError):
        return Path("/proc/thread-self/net/ip_tables_names").read_text(encoding="ascii").split()
    return []


def _iptables(namespace: int, command: str, verb: str, mark: int | None) -> str:
    """Add or delete the rule; returns why it could not be done, or nothing where it was."""
    # The lock guards the host's tables; ours are our own, and /run is not writable in a user
    # namespace.
    environment = {**os.environ, "PATH": _PATH, "XTABLES_LOCKFILE": "/dev/null"}
    with inside(namespace):
        done = subprocess.run(
            [command, "-t", "mangle", verb, *rule(mark).split()],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
    return (
        f"{command}: "
        f"{done.stderr.strip().splitlines()[0] if done.stderr.strip() else done.returncode}"
        if done.returncode
        else ""
    )


def _attribute(kind: int, value: bytes) -> bytes:
    return (struct.pack("=HH", 4 + len(value), kind) + value).ljust(
        (4 + len(value) + 3) & ~3, b"\0"
    )
