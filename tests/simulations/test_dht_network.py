"""Networks of 100 to 1000 `Dht` nodes in virtual time: values are found, lookups are exact, hops
grow with the logarithm, losses and deaths are survived.

A network of 1000 nodes takes ten seconds to join. What small networks can show is in
tests/unit/meshnode/test_dht_network.py.
"""

import functools
import random

import pytest
from kit.dht_simulation import (
    Network,
    contact_of,
    found,
    hops_grow_logarithmically,
    keys,
    mean_hops,
    mesh,
    node_id,
    random_regular,
)


# read-only for the tests but for values, which no test shares: each has keys of its own
@functools.cache
def joined(count: int, k: int) -> Network:
    """A network after its joins, from an overlay as a harness lays it."""
    network = Network(count, k=k)
    network.link(mesh(count) if count == 10 else random_regular(count, 8 if count > 100 else 6))
    network.join_all()
    assert sum(node.requests_out for node in network.nodes) / count <= 80, "both joins together"
    return network


@pytest.mark.parametrize("k", [4, 20])
def test_a_thousand_puts_on_a_hundred_nodes_are_all_found(k: int) -> None:
    assert found(joined(100, k), 1000, label=f"thousand {k}") == 1000


@pytest.mark.parametrize("k", [4, 20])
def test_puts_on_a_thousand_nodes_are_all_found(k: int) -> None:
    assert found(joined(1000, k), 50, label=f"large {k}") == 50


@pytest.mark.parametrize("k", [4, 20])
def test_lookups_find_the_truly_closest_nodes(k: int) -> None:
    network = joined(1000, k)
    rng = random.Random("exact")
    for key in keys(30, "exact"):
        asker = rng.randrange(1000)
        result = network.lookup(asker, key)
        assert result.ok
        assert [contact.id for contact in result.closest] == network.truly_closest(
            key, k, besides=asker
        )
        assert result.found >= k


@pytest.mark.parametrize("k", [4, 20])
def test_hops_grow_with_the_logarithm_of_the_nodes(k: int) -> None:
    hops = [mean_hops(joined(count, k)) for count in (10, 100, 1000)]
    assert hops_grow_logarithmically(hops), hops
    assert hops == sorted(hops), hops


def test_joins_among_a_thousand_are_cheap() -> None:
    network = joined(1000, 20)
    newcomer = network.grow()
    network.link((newcomer, other) for other in range(8))
    network.join_all(members=[newcomer])
    assert network.nodes[newcomer].requests_out <= 80
    assert found(network, 20, label="newcomer") == 20
    assert network.lookup(500, node_id(newcomer)).closest[0] == contact_of(newcomer)


@pytest.mark.parametrize("k", [4, 20])
def test_a_fifth_of_datagrams_lost(k: int) -> None:
    network = Network(100, k=k, loss=0.2)
    network.link(random_regular(100, 6))
    network.join_all()
    assert found(network, 100, label="loss") == 100


def test_a_fifth_of_nodes_dead() -> None:
    network = Network(100, k=20)
    network.link(random_regular(100, 6))
    network.join_all()
    rng = random.Random("dead")
    stored = list(keys(100, "dead"))
    assert all(network.put(rng.randrange(100), key, b"v").ok for key in stored)
    network.dead = set(rng.sample(range(100), 20))
    living = [index for index in range(100) if index not in network.dead]
    assert all(network.get(rng.choice(living), key).ok for key in stored), (
        "put before the nodes died"
    )
    assert found(network, 50, label="after") == 50, "put after the nodes died"
