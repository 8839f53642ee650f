"""Qdisc limits rates of nodes and of paths by HTB, TBF and IFB.

With netem it also makes delay, jitter, duplicates, reordering and corruption. Each node's link in
the hub has one tree: the node's download, shared by a class for each impairment of paths that lead
to the node. The priority that nftables sets chooses the class, so no filter is needed. Uploads are
limited where they enter the hub, behind an IFB.
"""

from __future__ import annotations

import os
import time

from harness.errors import HarnessError
from harness.kernel import trials
from harness.kernel.qdisc import DEFAULT_CLASS, NODE_CLASS, UNLIMITED_BPS, Leaf, Netem, Qdiscs
from harness.network.fabric import HUB_IFINDEX_FIRST
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import Limit, OfTheKernel, Site
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
                self._trees[node] = None
            if rate != self._trees[node]:
                self._qdiscs.set_node_rate(_ifindex(node), rate)
                self._trees[node] = rate
        for (node, number), leaf in leaves.items():
            if self._leaves.get((node, number)) != leaf:
                self._qdiscs.set_leaf(_ifindex(node), number, leaf)
                self._leaves[node, number] = leaf
        for node, rate in wanted.up.items():
            if node not in self._ups:
                self._qdiscs.add_ifb(IFB_FIRST + node, f"u{node}", _ifindex(node))
            if self._ups.get(node) != rate:
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
        for node in [node for node in self._trees if node not in trees and node not in busy]:
            del self._trees[node]
            self._qdiscs.remove_tree(_ifindex(node))
        for node, number in empty:
            if node in self._trees and (node, number) not in leaves:
                self._qdiscs.remove_leaf(_ifindex(node), number)
        for node in [node for node in self._ups if node not in wanted.up]:
            del self._ups[node]
            self._qdiscs.remove_ifb(IFB_FIRST + node, _ifindex(node))

    def drift(self, wanted: Compiled) -> str | None:
        """Say why what the kernel has is not what was asked; None where it is. Never raises."""
        leaves, trees = self._wanted(wanted)
        try:
            for node, rate in trees.items():
                of = {number: leaf for (at, number), leaf in leaves.items() if at == node}
                asked = {
                    NODE_CLASS: rate or UNLIMITED_BPS,
                    DEFAULT_CLASS: rate or UNLIMITED_BPS,
                    **{number: leaf.rate_bps or UNLIMITED_BPS for number, leaf in of.items()},
                }
                retired = {number for at, number in self._retired if at == node}
                found = {
                    number: rate
                    for number, rate in self._qdiscs.rates(_ifindex(node)).items()
                    if number not in retired
                }
                if found.keys() != asked.keys() or any(
                    abs(found[number] - rate) > 8 for number, rate in asked.items()
                ):
                    return f"rates into node {node}: asked {asked}, the kernel has {found}"
                netems = self._qdiscs.netems(_ifindex(node))
                if netems.keys() - retired != {
                    number for number, leaf in of.items() if leaf.netem is not None
                }:
                    return (
                        f"netem into node {node}: asked {len(of)} classes, the kernel has "
                        f"{len(netems)}"
                    )
            for node, rate in wanted.up.items():
                if abs(self._qdiscs.rates(IFB_FIRST + node).get(0, 0) - rate) > 8:
                    return (
                        f"the upload of node {node}: asked {rate} bit/s, the kernel has "
                        f"{self._qdiscs.rates(IFB_FIRST + node)}"
                    )
        except HarnessError as error:
            return f"the trees cannot be read back: {error}"
        return None

    def sent(self, wanted: Compiled) -> dict[Limit, int]:
        """Read the bytes that each rate has let through, cumulative."""
        found = {
            Limit("up", node, 0, rate): self._qdiscs.sent(IFB_FIRST + node)
            for node, rate in wanted.up.items()
            if node in self._ups
        }
        rated = {
            number: what.rate_bps
            for number, what in wanted.classes.items()
            if what.rate_bps is not None
        }
        for node in self._trees:
            numbers = [
                (number, rate)
                for number, rate in rated.items()
                if number in wanted.into.get(node, ())
            ]
            if not numbers and node not in wanted.down:
                continue
            traffic = self._qdiscs.traffic(_ifindex(node))
            found |= {
                Limit("into", node, number, rate): traffic[number].bytes
                for number, rate in numbers
                if number in traffic
            }
            if node in wanted.down and NODE_CLASS in traffic:
                found[Limit("down", node, NODE_CLASS, wanted.down[node])] = traffic[
                    NODE_CLASS
                ].bytes
        return found

    def close(self) -> None:
        """Take away every tree, with what is queued in it, and close the connection."""
        self.finish(Compiled())
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
            if (leaf := self._leaf(wanted.classes[number])) is not None
        }
        trees: dict[int, int | None] = {node: wanted.down.get(node) for node, _ in leaves}
        return leaves, trees | dict(wanted.down)

    def _leaf(self, what: Impairment) -> Leaf | None:
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
        return Leaf(rate_bps=what.rate_bps, netem=delays if delays != Netem() else None)


def _ifindex(node: int) -> int:
    """Return the index, in the hub, of the link of the node at that position."""
    return HUB_IFINDEX_FIRST + node
