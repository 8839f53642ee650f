"""Queueing disciplines by pyroute2, in one namespace: HTB trees with netem and bfifo leaves, and
TBF behind an IFB for what a link receives.

Known faults of pyroute2 and netem are worked round here and nowhere else: an attribute that is not
sent would survive a change, so all are always sent; netem's queue holds 1000 packets unless told
otherwise; its times are µs; pyroute2 does not know bfifo. netem's queue counts packets, of which
one may be 64 bytes or 64 kB, so a bfifo below it takes what is due and bounds that in bytes.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import update_wrapper
from types import SimpleNamespace
from typing import Any, Concatenate, ParamSpec, TypeVar

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.tcmsg import plugins, sched_netem, sched_pfifo

from harness.errors import HarnessError
from harness.kernel import disciplines
from harness.kernel.disciplines import Numbers, Standing, htb_class, qdisc, ticks
from harness.kernel.namespaces import stay_in
from harness.kernel.netlink import Netlink

P = ParamSpec("P")
R = TypeVar("R")

ROOT, HANDLE, INGRESS, INGRESS_PARENT = 0xFFFFFFFF, 0x10000, 0xFFFF0000, 0xFFFFFFF1
NODE_CLASS, DEFAULT_CLASS = 0xFFFE, 0xFFFD
BELOW = 0x8000  # bit of the handles of what stands below a netem: classes have numbers without it
UNLIMITED_BPS = 34_000_000_000  # of HTB's 32 bits of bytes a second
LEAST_BPS = 8_000  # what a leaf is guaranteed; it borrows up to its own rate
QUANTUM_BYTES = 1514
BURST_S, QUEUE_S = 0.004, 0.05
BURST_BYTES_LEAST, QUEUE_BYTES_LEAST = 3_028, 15_140
NETEM_PACKETS_MAX = 100_000
_OWN_NETEM = sched_netem.get_parameters


def _whole_netem(given: dict[str, Any]) -> dict[str, Any]:
    """Encode netem's parameters with every attribute, also those that are zero: the kernel keeps
    what is not sent.
    """
    made: dict[str, Any] = _OWN_NETEM(given)
    sent = {name for name, _ in made["attrs"]}
    for name, fields in (
        ("TCA_NETEM_CORR", {"delay_corr": 0, "loss_corr": 0, "dup_corr": 0}),
        ("TCA_NETEM_REORDER", {"prob_reorder": 0, "corr_reorder": 0}),
        ("TCA_NETEM_CORRUPT", {"prob_corrupt": 0, "corr_corrupt": 0}),
        ("TCA_NETEM_RATE", {"rate": 0, "packet_overhead": 0, "cell_size": 0, "cell_overhead": 0}),
    ):
        if name not in sent:
            made["attrs"].append([name, fields])
    return made


plugins["netem"] = SimpleNamespace(
    parent=sched_netem.parent, get_parameters=_whole_netem, options=sched_netem.options
)
plugins.setdefault("bfifo", sched_pfifo)


@dataclass(frozen=True, slots=True, kw_only=True)
class Netem:
    """What a netem leaf does to packets. Shares are 0 to 1."""

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    corrupt: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    """A class of an HTB tree: its own rate (None: no limit), and what netem does in it where the
    kernel has netem.
    """

    rate_bps: int | None = None
    netem: Netem | None = None


def _there(method: Callable[Concatenate[Qdiscs, P], R]) -> Callable[Concatenate[Qdiscs, P], R]:
    """Run a method in the thread that stands in the namespace."""

    def call(self: Qdiscs, /, *given: P.args, **named: P.kwargs) -> R:
        return self.worker.submit(method, self, *given, **named).result()

    update_wrapper(call, method)
    return call


class Qdiscs:
    """The trees of one namespace's links. Raises HarnessError with the kernel's word. Safe from
    several threads.

    One thread, which stands in the namespace for good, does all work: pyroute2 opens a socket for
    every thread that calls it, in that thread's namespace, and a caller stands in the host's.
    """

    def __init__(self, namespace: int) -> None:
        self.worker = ThreadPoolExecutor(1, "qdiscs", stay_in, (namespace,))
        self._route = self.worker.submit(IPRoute).result()
        self._netlink = Netlink(namespace)

    def close(self) -> None:
        """Close the socket; what was set stays."""
        self.worker.submit(self._route.close).result()
        self.worker.shutdown()
        self._netlink.close()

    def standing(self, trees: Iterable[int] = (), ingresses: Iterable[int] = ()) -> Standing:
        """Read all that stands (disciplines.py), with the classes of these trees and the filters of
        these links.
        """
        return disciplines.read(self._netlink, trees, ingresses)

    @_there
    def add_tree(self, ifindex: int) -> None:
        """Put an HTB tree on a link; `set_node_rate` makes its default class, to which all packets
        go unless their priority chooses another.
        """
        with self._said(f"a tree on link {ifindex}"):
            self._route.tc("add", "htb", ifindex, HANDLE, default=DEFAULT_CLASS)

    @_there
    def remove_tree(self, ifindex: int) -> None:
        """Remove a link's tree; nothing happens where there is none."""
        with self._said(f"the tree of link {ifindex}", absent_is_fine=True):
            self._route.tc("del", index=ifindex, handle=0, parent=ROOT)

    @_there
    def set_node_rate(self, ifindex: int, rate_bps: int | None) -> None:
        """Limit what all classes of a link send together; None takes the limit off."""
        self._node_rate(ifindex, rate_bps or UNLIMITED_BPS)

    def _node_rate(self, ifindex: int, rate_bps: int) -> None:
        with self._said(f"the rate of link {ifindex}"):
            self._class(ifindex, NODE_CLASS, HANDLE, rate_bps, rate_bps)
            self._class(ifindex, DEFAULT_CLASS, HANDLE | NODE_CLASS, LEAST_BPS, rate_bps)
            self._queue(ifindex, DEFAULT_CLASS << 16, HANDLE | DEFAULT_CLASS, rate_bps)

    @_there
    def set_leaf(self, ifindex: int, minor: int, leaf: Leaf) -> None:
        """Make a class or change it in place; what is queued in it stays."""
        rate = leaf.rate_bps or UNLIMITED_BPS
        with self._said(f"class 1:{minor:x} of link {ifindex}"):
            self._class(ifindex, minor, HANDLE | NODE_CLASS, LEAST_BPS, rate)
            if leaf.netem is None:
                self._queue(ifindex, minor << 16, HANDLE | minor, rate)
            else:
                try:
                    self._netem(ifindex, minor, leaf.netem)
                except NetlinkError as error:
                    if error.code == errno.EINVAL and leaf.netem.duplicate:
                        raise HarnessError(
                            "duplicate: this kernel lets netem duplicate packets only where it "
                            "is the one netem of a link"
                        ) from error
                    raise
                self._queue(ifindex, *_below(minor), rate)

    @_there
    def remove_leaf(self, ifindex: int, minor: int) -> None:
        """Remove a class, with what is queued in it."""
        with self._said(f"class 1:{minor:x} of link {ifindex}", absent_is_fine=True):
            self._route.tc("del-class", index=ifindex, handle=HANDLE | minor)

    @_there
    def add_ifb(self, ifindex: int, name: str, of: int) -> None:
        """Make a device through which everything passes that link `of` receives; where that
        fails, nothing of it is left.
        """
        with self._said(f"the device {name}"), ExitStack() as undo:
            self._route.link("add", index=ifindex, ifname=name, kind="ifb")
            undo.callback(self._route.link, "del", index=ifindex)
            self._route.link("set", index=ifindex, state="up")
            self._route.tc("add", "ingress", of, INGRESS)
            undo.callback(self._route.tc, "del", index=of, handle=INGRESS, parent=INGRESS_PARENT)
            self._route.tc(
                "add-filter",
                "u32",
                of,
                0x800,
                parent=INGRESS,
                protocol=3,
                prio=1,
                target=HANDLE,
                keys=["0x0/0x0+0"],
                action={
                    "kind": "mirred",
                    "direction": "egress",
                    "action": "redirect",
                    "ifindex": ifindex,
                },
            )
            undo.pop_all()

    @_there
    def remove_ifb(self, ifindex: int, of: int) -> None:
        """Remove such a device."""
        with self._said(f"the ingress of link {of}", absent_is_fine=True):
            self._route.tc("del", index=of, handle=INGRESS, parent=INGRESS_PARENT)
        with self._said(f"device {ifindex}", absent_is_fine=True):
            self._route.link("del", index=ifindex)

    @_there
    def set_tbf(self, ifindex: int, rate_bps: int) -> None:
        """Limit what a device sends; a limit that it has is changed in place."""
        with self._said(f"the rate of device {ifindex}"):
            self._route.tc(
                "replace",
                "tbf",
                ifindex,
                HANDLE,
                rate=rate_bps // 8,
                burst=_burst(rate_bps),
                latency="50ms",
            )

    def passed(self, trees: Iterable[int]) -> dict[tuple[int, int], int]:
        """Count bytes (disciplines.py) by link and class, and by device and 0."""
        return disciplines.passed(self._netlink, trees)

    def _class(self, ifindex: int, minor: int, parent: int, rate_bps: int, ceil_bps: int) -> None:
        self._route.tc(
            "replace-class",
            "htb",
            ifindex,
            HANDLE | minor,
            parent=parent,
            rate=rate_bps // 8,
            ceil=ceil_bps // 8,
            burst=_burst(rate_bps),
            cburst=_burst(ceil_bps),
            quantum=QUANTUM_BYTES,
        )

    def _queue(self, ifindex: int, handle: int, parent: int, rate_bps: int) -> None:
        limit = _queue_bytes(rate_bps)
        self._route.tc("replace", "bfifo", ifindex, handle, parent=parent, limit=limit)

    def _netem(self, ifindex: int, minor: int, wanted: Netem) -> None:
        kind = next(
            (
                one.get_attr("TCA_KIND")
                for one in self._route.get_qdiscs(ifindex)
                if one["parent"] == HANDLE | minor
            ),
            None,
        )
        self._route.tc(
            # `change` keeps what is queued; `replace` with the same handle would too, and with
            # another it drops it all
            "change" if kind == "netem" else "replace",
            "netem",
            ifindex,
            minor << 16,
            parent=HANDLE | minor,
            delay=round(wanted.delay_ms * 1e3),
            jitter=round(wanted.jitter_ms * 1e3),
            limit=NETEM_PACKETS_MAX,
            loss=wanted.loss * 100,
            duplicate=wanted.duplicate * 100,
            prob_corrupt=wanted.corrupt * 100,
            prob_reorder=wanted.reorder * 100,
            gap=1 if wanted.reorder else 0,
        )

    @contextmanager
    def _said(self, what: str, *, absent_is_fine: bool = False) -> Iterator[None]:
        try:
            yield
        except NetlinkError as error:
            absent = error.code in {errno.ENOENT, errno.ENODEV, errno.EINVAL}
            if not (absent and absent_is_fine):
                raise HarnessError(f"{what} could not be set: {os.strerror(error.code)}") from error


def asked_tree(link: int, rate_bps: int | None, leaves: Mapping[int, Leaf]) -> Standing:
    """Say what stands on a link where `Qdiscs` has made its tree: class → leaf."""
    node_bps = rate_bps or UNLIMITED_BPS
    made: Standing = {
        qdisc(link, "htb", HANDLE): Numbers((ROOT, DEFAULT_CLASS)),
        htb_class(link, HANDLE | NODE_CLASS): _asked_class(node_bps, node_bps).below(ROOT),
    }
    for minor, leaf in {DEFAULT_CLASS: Leaf(rate_bps=node_bps), **leaves}.items():
        rate = leaf.rate_bps or UNLIMITED_BPS
        numbers = _asked_class(LEAST_BPS, rate).below(HANDLE | NODE_CLASS)
        made[htb_class(link, HANDLE | minor)] = numbers
        handle, parent = minor << 16, HANDLE | minor
        if leaf.netem is not None:
            made[qdisc(link, "netem", handle)] = _asked_netem(leaf.netem).below(parent)
            handle, parent = _below(minor)
        made[qdisc(link, "bfifo", handle)] = Numbers((parent, _queue_bytes(rate)))
    return made


def names_of_leaf(link: int, minor: int) -> set[str]:
    """Name a class and what may be its leaf."""
    leaves = {qdisc(link, kind, minor << 16) for kind in ("bfifo", "netem")}
    return {htb_class(link, HANDLE | minor), qdisc(link, "bfifo", _below(minor)[0]), *leaves}


def _below(minor: int) -> tuple[int, int]:
    """Return the handle and the parent of the bfifo below the netem of a class."""
    return (BELOW | minor) << 16, minor << 16 | 1


def asked_ifb(ifb: int, rate_bps: int, of: int) -> Standing:
    """Say what stands where the packets that link `of` receives are limited behind a device."""
    burst = _burst(rate_bps)
    waiting = round(rate_bps / 8 * QUEUE_S) + burst
    return {
        qdisc(ifb, "tbf", HANDLE): Numbers(
            (ROOT,), (rate_bps // 8, waiting, ticks(burst, rate_bps))
        ),
        qdisc(of, "ingress", INGRESS): Numbers((INGRESS_PARENT,)),
        **disciplines.redirect(of, ifb),
    }


def _asked_class(rate_bps: int, ceil_bps: int) -> Numbers:
    bursts = ticks(_burst(rate_bps), rate_bps), ticks(_burst(ceil_bps), ceil_bps)
    return Numbers(amounts=(rate_bps // 8, ceil_bps // 8, *bursts))


def _asked_netem(what: Netem) -> Numbers:
    times = (disciplines.ticks_of_ms(one) for one in (what.delay_ms, what.jitter_ms))
    shares = (what.loss, what.duplicate, what.reorder, what.corrupt)
    gap = 1 if what.reorder else 0
    amounts = (*times, *(round(one * 0xFFFFFFFF) for one in shares), 0)
    return Numbers((gap, NETEM_PACKETS_MAX), amounts)


def _queue_bytes(rate_bps: int) -> int:
    return min(max(QUEUE_BYTES_LEAST, int(rate_bps / 8 * QUEUE_S)), 0xFFFFFFFF)


def _burst(rate_bps: int) -> int:
    return max(BURST_BYTES_LEAST, int(rate_bps / 8 * BURST_S))
