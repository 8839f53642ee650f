"""TCP connections of one namespace, as inet_diag lists and ends them."""

from __future__ import annotations

import errno
import os
import socket
import struct
import time

from pyroute2 import DiagSocket
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import HarnessError, UnavailableError
from harness.kernel.namespaces import inside, open_socket

Flow = tuple[str, int, str, int]  # own address and port, the peer's: dotted IPv4
ESTABLISHED = 1 << 1
_LISTENING, _TIME_WAIT = 1 << 10, 1 << 6
_ENDED = ((1 << 12) - 1) & ~(_LISTENING | _TIME_WAIT)
_NETLINK_SOCK_DIAG, _SOCK_DESTROY, _DESTROY_FLAGS = 4, 21, 0x5  # REQUEST, ACK
_HEADER = struct.Struct("=IHHII")
_REQUEST = struct.Struct("=BBBxI")  # struct inet_diag_req_v2 up to its id
_ID = struct.Struct("!HH16s16s4s8s")  # struct inet_diag_sockid
_ORPHANS_GONE_S, _LOOK_EVERY_S = 2.0, 0.01
_FAMILIES = (socket.AF_INET, socket.AF_INET6)  # of the second: IPv4, mapped
_NOBODY = bytes(16), bytes(16), bytes(4), bytes(8)


def established(namespace: int) -> list[Flow]:
    """List the connections that are established in a namespace now, seen from its end. Raises
    HarnessError.
    """
    try:
        with inside(namespace), DiagSocket() as diag:
            diag.bind()
            found = diag.get_sock_stats(family=socket.AF_INET, states=ESTABLISHED)
    except (OSError, NetlinkError) as error:
        raise HarnessError(
            f"the connections of a namespace could not be listed: {error}"
        ) from error
    return [
        (one["idiag_src"], one["idiag_sport"], one["idiag_dst"], one["idiag_dport"])
        for one in found
    ]


def require_forgetting(namespace: int) -> None:
    """Raise UnavailableError where this kernel cannot end a connection that nobody holds."""
    number = _destroy(namespace, socket.AF_INET, [_ID.pack(1, 1, *_NOBODY)])
    if number not in (0, errno.ENOENT):
        raise UnavailableError(
            "crashed: this kernel cannot forget the connections of a dead machine "
            f"({os.strerror(number)}; CONFIG_INET_DIAG_DESTROY), so that their FINs would leave "
            "when it is back; possible: killed"
        )


def forget_orphans(namespace: int) -> None:
    """End the connections of a namespace that no process holds any more: the kernel would tell
    their ends to the peers, again and again. Raises HarnessError where some are left.
    """
    until_s = time.monotonic() + _ORPHANS_GONE_S
    while True:
        orphans = {family: _orphans(namespace, family) for family in _FAMILIES}
        if not any(orphans.values()):
            return
        if time.monotonic() > until_s:
            count = sum(map(len, orphans.values()))
            raise HarnessError(
                f"{count} connections of processes that ended could not be forgotten"
            )
        for family, some in orphans.items():
            _destroy(namespace, family, some)
        time.sleep(_LOOK_EVERY_S)


def _orphans(namespace: int, family: int) -> list[bytes]:
    """List the connections that no process holds, each as struct inet_diag_sockid."""
    try:
        with inside(namespace), DiagSocket() as diag:
            diag.bind()
            found = diag.get_sock_stats(family=family, states=_ENDED)
    except (OSError, NetlinkError) as error:
        raise HarnessError(
            f"the connections of a namespace could not be listed: {error}"
        ) from error
    return [
        _ID.pack(
            one["idiag_sport"],
            one["idiag_dport"],
            socket.inet_pton(family, one["idiag_src"]).ljust(16, b"\0"),
            socket.inet_pton(family, one["idiag_dst"]).ljust(16, b"\0"),
            struct.pack("=I", one["idiag_if"]),
            struct.pack("=Q", one["idiag_cookie"]),
        )
        for one in found
        if not one["idiag_inode"]
    ]


def _destroy(namespace: int, family: int, connections: list[bytes]) -> int:
    """Ask the kernel to end these connections; return the number of the last error, 0 for none."""
    number = 0
    with open_socket(namespace, socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asking:
        for one in connections:
            body = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0xFFFFFFFF) + one
            size = _HEADER.size + len(body)
            asking.send(_HEADER.pack(size, _SOCK_DESTROY, _DESTROY_FLAGS, 0, 0) + body)
            answer = asking.recv(1 << 16)
            number = -int(struct.unpack_from("=i", answer, _HEADER.size)[0]) or number
    return number
