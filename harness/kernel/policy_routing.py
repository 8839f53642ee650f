"""Policy routing in one namespace: a route of its own for packets with a mark."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from harness.errors import HarnessError
from harness.kernel.namespaces import stay_in

TABLE = 100


def add(namespace: int, mark: int, gateway: str, ifindex: int) -> None:
    """Send packets that have these bits in their mark to `gateway` behind a link. Raises
    HarnessError.
    """

    def act() -> None:
        with IPRoute() as route:
            route.rule("add", fwmark=mark, fwmask=mark, table=TABLE, priority=TABLE)
            # With the gateway: without it the kernel would ask for the peer itself behind that
            # link.
            # RTNH_F_ONLINK.
            route.route("add", dst="0.0.0.0/0", gateway=gateway, oif=ifindex, table=TABLE, flags=4)

    _there(namespace, act)


def remove(namespace: int, mark: int) -> None:
    """Remove the rule and its route."""

    def act() -> None:
        with IPRoute() as route:
            with suppress(NetlinkError):
                route.rule("del", fwmark=mark, fwmask=mark, table=TABLE, priority=TABLE)
            with suppress(NetlinkError):
                route.flush_routes(table=TABLE)

    _there(namespace, act)


def _there(namespace: int, act: Callable[[], None]) -> None:
    with ThreadPoolExecutor(1, "divert", stay_in, (namespace,)) as worker:
        try:
            worker.submit(act).result()
        except NetlinkError as error:
            raise HarnessError(
                f"marked packets could not be sent another way: {os.strerror(error.code)}"
            ) from error
