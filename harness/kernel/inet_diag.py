"""TCP connections of one namespace, as inet_diag lists them."""

from __future__ import annotations

import socket

from pyroute2 import DiagSocket
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import HarnessError
from harness.kernel.namespaces import inside

Flow = tuple[str, int, str, int]  # own address and port, the peer's: dotted IPv4
ESTABLISHED = 1 << 1


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
