"""The trees of the hub's links while classes wait to be empty, without a kernel: the one that runs
this may have no netem.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest

from harness.kernel.disciplines import Numbers, Standing
from harness.kernel.qdisc import Leaf, asked_tree
from harness.network.fabric import HUB_IFINDEX_FIRST
from harness.network.injectors import qdisc
from harness.network.injectors.compiler import Compiled
from harness.network.injectors.injector import Site
from harness.network.injectors.qdisc import Qdisc
from harness.topology.impairment import Impairment

CLEARED = Compiled()


class Links:
    """The trees of links: index → rate of the node, and leaves by class."""

    def __init__(self, _: int) -> None:
        self.rates: dict[int, int | None] = {}
        self.leaves: dict[int, dict[int, Leaf]] = {}

    def add_tree(self, link: int) -> None:
        self.rates[link], self.leaves[link] = None, {}

    def remove_tree(self, link: int) -> None:
        del self.rates[link], self.leaves[link]

    def set_node_rate(self, link: int, rate_bps: int | None) -> None:
        self.rates[link] = rate_bps

    def set_leaf(self, link: int, minor: int, leaf: Leaf) -> None:
        self.leaves[link][minor] = leaf

    def remove_leaf(self, link: int, minor: int) -> None:
        del self.leaves[link][minor]

    def standing(self, trees: list[int], _: list[int]) -> Standing:
        found: Standing = {}
        for link in trees:
            found |= asked_tree(link, self.rates[link], self.leaves[link])
        return found


def wan(node: int) -> Compiled:
    """A node with a delay on a path to it, and its own rate."""
    slow = Impairment(delay_ms=50)
    return Compiled(classes={5: slow}, into={node: frozenset({5})}, down={node: 10**6})


@pytest.fixture
def made(monkeypatch) -> Qdisc:
    monkeypatch.setattr(qdisc, "Qdiscs", Links)
    site = SimpleNamespace(fabric=SimpleNamespace(hub=0), backends={"delay": "netem"})
    return Qdisc(cast("Site", site))


def bring(made: Qdisc, wanted: Compiled) -> Links:
    made.prepare(wanted)
    made.finish(wanted)
    return cast("Links", made._qdiscs)


def test_a_tree_that_waits_until_it_is_empty_limits_nobody(made):
    """Its rate stayed until the next change of any fault, and read-back did not look."""
    link = HUB_IFINDEX_FIRST + 2
    assert bring(made, wan(2)).rates == {link: 10**6}
    assert made.drift(wan(2)) is None
    links = bring(made, CLEARED)
    assert links.rates == {link: None}
    assert made.drift(CLEARED) is None
    links.rates[link] = 10**6
    assert f"of link {link}: asked" in made.drift(CLEARED)


def test_a_tree_that_waited_is_limited_anew(made):
    link = HUB_IFINDEX_FIRST + 2
    bring(made, wan(2))
    bring(made, CLEARED)
    assert bring(made, Compiled(down={2: 10**6})).rates == {link: 10**6}


def test_what_a_netem_lets_go_waits_in_bytes_of_its_rate(made):
    """Its own queue counts packets: at 5 Mbit/s, 100,000 of them were four minutes of delay."""
    wan = Compiled(
        classes={5: Impairment(delay_ms=50, rate_bps=5 * 10**6), 6: Impairment(delay_ms=9)},
        into={2: frozenset({5, 6})},
        down={2: 10**6},
    )
    bring(made, wan)
    link = HUB_IFINDEX_FIRST + 2
    found = cast("Links", made._qdiscs).standing([link], [])
    queues = {name: numbers for name, numbers in found.items() if "bfifo" in name}
    assert queues == {
        f"qdisc bfifo fffd: of link {link}": Numbers((0x1FFFD, 15_140)),
        f"qdisc bfifo 8005: of link {link}": Numbers((0x50001, 15_140)),
        f"qdisc bfifo 8006: of link {link}": Numbers((0x60001, 15_140)),
    }
