"""The DHT as a whole: networks of `Dht` nodes in virtual time. What is claimed of 10 to 1000 real
nodes, tried small; large networks are in tests/simulations.

Each check that could pass for the wrong reason has a twin in which the network is broken and the
check fails.
"""

import pytest
from kit.dht_simulation import (
    MS,
    Edge,
    Network,
    S,
    found,
    hops_grow_logarithmically,
    keys,
    mean_hops,
    mesh,
    node_id,
    random_regular,
    ring,
)
from meshnode.dht.contact import position_of
from meshnode.dht.table import Table


@pytest.mark.parametrize(
    ("count", "edges"), [(10, mesh(10)), (10, ring(10)), (100, ring(100)), (2, [(0, 1)])]
)
def test_every_overlay_is_enough_to_join(count: int, edges: list[Edge]) -> None:
    network = Network(count, k=4)
    network.link(edges)
    network.join_all()
    assert found(network, 100, label="overlay") == 100


def test_puts_are_not_found_across_two_halves_that_never_met() -> None:
    network = Network(20, k=4)
    network.link(ring(10))
    network.link((one + 10, other + 10) for one, other in ring(10))
    network.join_all()
    assert 20 < found(network, 100, label="halves") < 80


def test_hops_grow_faster_where_nodes_know_only_neighbours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hops = []
    for count in (10, 100):
        network = Network(count, k=4)
        order = sorted(range(count), key=lambda index: position_of(node_id(index)))
        network.link(
            (order[at], order[(at + step) % count]) for at in range(count) for step in (1, 2)
        )
        with monkeypatch.context() as patch:  # nobody learns anything more
            patch.setattr(Table, "heard", lambda *_: None)
            patch.setattr(Table, "told", lambda *_: None)
            hops.append(mean_hops(network))
    assert not hops_grow_logarithmically(hops), hops


def test_with_all_others_dead_a_put_fails_in_time() -> None:
    """It succeeds as soon as they live again."""
    network = Network(10, k=4)
    network.link(mesh(10))
    network.join_all()
    network.dead = set(range(1, 10))
    began_ns = network.now_ns
    key = bytes(32)
    put = network.put(0, key, b"v")
    assert not put.ok
    assert put.error == "none of the 9 nodes asked answered"
    assert network.nodes[0].values == 0
    assert network.now_ns - began_ns < 10 * S
    network.dead = set()
    assert network.put(0, key, b"v").ok


@pytest.mark.parametrize("alone", [True, False])
def test_who_is_cut_off_for_long_knows_all_others_afterwards(*, alone: bool) -> None:
    """Only a node that is silent while others answer is forgotten."""
    network = Network(10, k=4)
    network.link(mesh(10))
    network.join_all()
    known = len(network.nodes[0].contacts)
    network.dead = set(range(1, 10)) if alone else {1}
    for number in range(60):
        network.get(0, number.to_bytes(32))
        network.run_for(30 * S)
    assert len(network.nodes[0].contacts) == known - (not alone)
    network.dead = set()
    assert network.put(0, bytes(32), b"v").ok


def test_an_answer_never_comes_from_the_asker_itself() -> None:
    network = Network(10, k=4)
    network.link(mesh(10))
    network.join_all()
    mine, other = keys(2, "planted")
    holder = min(range(1, 10), key=lambda index: position_of(node_id(index)) ^ position_of(other))
    for index, key in ((0, mine), (holder, other)):  # one each: whose answer comes first is chance
        state = network.nodes[index].dump()
        state["values"] = [[key, b"planted", network.now_ns + S]]
        network.nodes[index].load(state)
        assert network.nodes[index].values == 1
    got = network.get(0, mine)
    assert not got.ok
    assert got.value is None
    assert got.error is not None
    assert "has a value for this key" in got.error
    got = network.get(0, other)
    assert (got.ok, got.value, got.value_from, got.hops) == (True, b"planted", node_id(holder), 1)


def test_the_putter_keeps_a_value_only_where_it_is_close() -> None:
    network = Network(30, k=4)
    network.link(random_regular(30, 6))
    network.join_all()
    kept = 0
    for key in keys(40, "own"):
        before = network.nodes[0].values
        assert network.put(0, key, b"v").stored == 4
        is_close = node_id(0) in network.truly_closest(key, 4)
        assert network.nodes[0].values - before == is_close
        kept += is_close
    assert 0 < kept < 40


def test_events_name_who_stored_and_who_asked() -> None:
    network = Network(3, k=1)
    network.link(mesh(3))
    network.join_all()
    network.events.clear()
    key = next(keys(1, "events"))
    network.put(0, key, b"12345")
    network.get(0, key)
    network.run_for(1 * S)
    seen = [
        (event.kind, event.key, event.peer_id, event.size)
        for index, event in network.events
        if index != 0
    ]
    assert seen == [("stored", key, node_id(0), 5), ("answered", key, node_id(0), 5)]


def test_an_idle_network_is_quiet() -> None:
    network = Network(50, k=20)
    network.link(random_regular(50, 6))
    network.join_all()
    network.run_for(10 * S)
    before = [node.requests_out for node in network.nodes]
    assert all((node.next_timeout_ns() or 0) - network.now_ns > 400 * S for node in network.nodes)
    network.run_for(400 * S)
    assert [node.requests_out for node in network.nodes] == before
    network.run_for(3600 * S)
    hourly = [node.requests_out - start for node, start in zip(network.nodes, before, strict=True)]
    assert all(4 * 20 < requests < 300 for requests in hourly), hourly
    assert not network.finished, "a refresh is nobody's operation"


def test_datagrams_stay_below_the_mtu() -> None:
    network = Network(40, k=30)
    network.link(mesh(40))
    network.join_all()
    network.put(0, bytes(32), bytes(1000))
    envelope = 200  # version, type, id, source, target, time, signature, and their tags
    assert 1000 < network.largest_body <= 1400 - envelope


def test_the_same_seed_is_the_same_network() -> None:
    def play() -> tuple[int, int, list[float]]:
        network = Network(30, k=4, loss=0.1)
        network.link(ring(30))
        network.join_all()
        return network.datagrams, network.now_ns // MS, [mean_hops(network, 20)]

    assert play() == play()
