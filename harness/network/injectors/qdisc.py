"""Qdisc limits rates of nodes and of paths by HTB, TBF and IFB.

With netem it also makes delay, jitter, duplicates, reordering and corruption. Each node's link in
the hub has one tree: the node's download, shared by a class for each impairment of paths that lead
to the node. The priority that nftables sets chooses the class, so no filter is needed. Uploads are
limited where they enter the hub, behind an IFB.
"""

from __future__ import annotations

import os
import struct
import time

from harness.errors import HarnessError
from harness.kernel import disciplines, trials
from harness.kernel.disciplines import Standing
from harness.kernel.qdisc import (
    NODE_CLASS,
    Leaf,
    Netem,
    Qdiscs,
    asked_ifb,
    asked_tree,
    names_of_leaf,
)
from harness.kernel.wiring import Entry
from harness.network.fabric import HUB_IFINDEX_FIRST
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import Limit, OfTheKernel, Site, limits
from harness.topology.impairment import Impairment

DELAYS_BY = "HARNESS_DELAYS_BY"  # "nfqueue" leaves netem alone where the kernel has it
EMPTY_S = 0.1  # beyond its delay, until a class that nobody chooses is empty
IFB_FIRST = 1_000_000  # ifindex of a node's IFB: this + its position


def has_netem(site: Site) -> bool:
    """Whether netem makes the delays here: tried on the hub's loopback, which carries nothing."""
    if os.environ.get(DELAYS_BY) == "nfqueue":
        return False
    try:
        trials.qdisc(site.fabric.hub, 1, "netem")
    except HarnessError:
        return False
    return True


class Qdisc(OfTheKernel):
    """The trees of one hub."""

    name = "qdisc"

    def __init__(self, site: Site) -> None:
        self._fabric = site.fabric
        self._wired: set[Entry] = set()  # the devices of uploads
        self._qdiscs = Qdiscs(site.fabric.hub)
        self._netem = site.backends["delay"] == "netem"
        self._trees: dict[int, int | None] = {}  # node → its download rate
        self._leaves: dict[tuple[int, int], Leaf] = {}  # (node, class) → leaf
        self._ups: dict[int, int] = {}
        # Classes that nobody chooses any more → when they are empty.
        self._retired: dict[tuple[int, int], float] = {}

    def prepare(self, wanted: Compiled) -> None:
        """Make new classes before packets choose them, and narrow what gets narrower."""
        leaves, trees = self._wanted(wanted)
        for node, rate in trees.items():
            if node not in self._trees:
                self._qdiscs.add_tree(_ifindex(node))
                self._trees[node] = 0  # it is ours from here on, also where the rest fails
            if rate != self._trees[node]:
                self._qdiscs.set_node_rate(_ifindex(node), rate)
                self._trees[node] = rate
        for (node, number), leaf in leaves.items():
            if self._leaves.get((node, number)) != leaf:
                self._leaves.setdefault((node, number), Leaf())
                self._qdiscs.set_leaf(_ifindex(node), number, leaf)
                self._leaves[node, number] = leaf
        new = [node for node in wanted.up if node not in self._ups]
        if new:
            with self._fabric.rewiring() as made:
                for node in new:
                    self._qdiscs.add_ifb(IFB_FIRST + node, f"u{node}", _ifindex(node))
                    self._ups[node] = 0
            self._wired |= made
        for node, rate in wanted.up.items():
            if self._ups[node] != rate:
                self._qdiscs.set_tbf(IFB_FIRST + node, rate)
                self._ups[node] = rate

    def finish(self, wanted: Compiled) -> None:
        """Take away the classes that are not wanted, once no packet chooses them any more."""
        leaves, trees = self._wanted(wanted)
        now_s = time.monotonic()
        for key in [key for key in self._leaves if key not in leaves]:
            held = self._leaves.pop(key).netem or Netem()
            self._retired[key] = (
                now_s + (held.delay_ms + held.jitter_ms) / 1e3 + (EMPTY_S if held.delay_ms else 0.0)
            )
        empty = [key for key, empty_s in self._retired.items() if empty_s <= now_s or key in leaves]
        for key in empty:
            del self._retired[key]
        busy = {node for node, _ in self._retired}
        for node in [node for node in self._trees if node not in trees]:
            if node not in busy:
                del self._trees[node]
                self._qdiscs.remove_tree(_ifindex(node))
            elif self._trees[node] is not None:  # it waits, and limits nobody meanwhile
                self._qdiscs.set_node_rate(_ifindex(node), None)
                self._trees[node] = None
        for node, number in empty:
            if node in self._trees and (node, number) not in leaves:
                self._qdiscs.remove_leaf(_ifindex(node), number)
        gone = [node for node in self._ups if node not in wanted.up]
        if gone:
            with self._fabric.rewiring():
                for node in gone:
                    del self._ups[node]
                    self._qdiscs.remove_ifb(IFB_FIRST + node, _ifindex(node))
            devices = {f"link u{node}" for node in gone}
            self._fabric.forget(entry for entry in self._wired if entry.what in devices)

    def drift(self, wanted: Compiled) -> str | None:
        """Say why what the kernel has is not what was asked; None where it is. Never raises."""
        try:
            return disciplines.difference(self._asked(wanted), self._standing())
        except (HarnessError, KeyError, struct.error) as error:
            return f"the trees cannot be read back: {error}"

    def _asked(self, wanted: Compiled) -> Standing:
        leaves, trees = self._wanted(wanted)
        of_node: dict[int, dict[int, Leaf]] = {node: {} for node in trees}
        for (node, number), leaf in leaves.items():
            of_node[node][number] = leaf
        asked: Standing = {}
        for node in {*trees, *self._trees}:  # a tree that only waits must not limit
            asked |= asked_tree(_ifindex(node), trees.get(node), of_node.get(node, {}))
        for node, rate in wanted.up.items():
            asked |= asked_ifb(IFB_FIRST + node, rate, _ifindex(node))
        return asked

    def _standing(self) -> Standing:
        """Read what stands, without the classes that only wait until they are empty."""
        found = self._qdiscs.standing(
            [_ifindex(node) for node in self._trees], [_ifindex(node) for node in self._ups]
        )
        waiting: set[str] = set()
        for node, number in self._retired:
            waiting |= names_of_leaf(_ifindex(node), number)
        return {name: numbers for name, numbers in found.items() if name not in waiting}

    def sent(self, wanted: Compiled) -> dict[Limit, int]:
        """Read the bytes that each rate has let through, cumulative."""
        rates = limits(wanted)
        if not rates:
            return {}
        trees = {limit.node for limit in rates if limit.which != "up"} & self._trees.keys()
        passed = self._qdiscs.passed([_ifindex(node) for node in trees])
        of_each = {limit: passed.get(_counter(limit)) for limit in rates}
        return {limit: count for limit, count in of_each.items() if count is not None}

    def close(self) -> None:
        """Take away every tree, with what is queued in it, and close the connection."""
        self._leaves.clear()  # they go with their trees
        self._retired.clear()
        self.finish(Compiled())
        self._qdiscs.close()

    def _wanted(
        self, wanted: Compiled
    ) -> tuple[dict[tuple[int, int], Leaf], dict[int, int | None]]:
        leaves = {
            (node, number): leaf
            for node, numbers in wanted.into.items()
            for number in numbers
            if (leaf := self._leaf(wanted.classes[number], wanted.down.get(node))) is not None
        }
        trees: dict[int, int | None] = {node: wanted.down.get(node) for node, _ in leaves}
        return leaves, trees | dict(wanted.down)

    def _leaf(self, what: Impairment, node_bps: int | None) -> Leaf | None:
        """Return the leaf of a class at a node of this rate, which bounds its queue too."""
        delays = (
            Netem(
                delay_ms=what.delay_ms,
                jitter_ms=what.jitter_ms,
                duplicate=what.duplicate,
                reorder=what.reorder,
                corrupt=what.corrupt,
            )
            if self._netem
            else Netem()
        )
        if what.rate_bps is None and delays == Netem():
            return None
        rate_bps = min((rate for rate in (what.rate_bps, node_bps) if rate), default=None)
        return Leaf(rate_bps=rate_bps, netem=delays if delays != Netem() else None)


def _ifindex(node: int) -> int:
    """Return the index, in the hub, of the link of the node at that position."""
    return HUB_IFINDEX_FIRST + node


def _counter(limit: Limit) -> tuple[int, int]:
    """Return the link and class, or the device and 0, that count what a rate lets through."""
    if limit.which == "up":
        return IFB_FIRST + limit.node, 0
    return _ifindex(limit.node), limit.number or NODE_CLASS
