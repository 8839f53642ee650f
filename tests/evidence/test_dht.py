"""Evidence at scale: values found, hops bounded, a broadcast everywhere. Prints the figures that
docs/evidence.md quotes.
"""

from __future__ import annotations

import itertools
import math
import os
import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from kit.desk import Desk, ask, begin_by_hand, request, wait_for

from harness.control.client import Client
from harness.history import reader
from harness.operations import Operation, Outcome, Response
from harness.operations.records import RecordKind

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]
HOPS_A_TENFOLD_MAX = math.log2(10)


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "evidence")
    yield made
    made.close()


def up(desk: Desk, count: int, k: int) -> list[dict]:
    shape = "kind = 'full-mesh'" if count == 10 else "kind = 'random-regular'\ndegree = 6"
    path = desk.write(
        "some.toml", f"[nodes]\ncount = {count}\noptions = {{ k = {k} }}\n[shape]\n{shape}\n"
    )
    desk.ok("up", str(path))
    return desk.status()["nodes"]


def found(nodes: list[dict], count: int, seed: int) -> tuple[int, int]:
    """Put `count` values through random nodes and get each from another one: (found, answered by
    the asker itself).
    """
    rng = random.Random(seed)
    putters = [rng.randrange(len(nodes)) for _ in range(count)]
    getters = [(putter + rng.randrange(1, len(nodes))) % len(nodes) for putter in putters]
    key = [random.Random(f"{seed}/{number}").randbytes(32) for number in range(count)]
    stored = 0
    for index, node in enumerate(nodes):
        mine = [
            request(number, Operation.DHT_PUT, key[number], b"value %d" % number)
            for number in range(count)
            if putters[number] == index
        ]
        stored += (
            sum(answer.outcome is Outcome.OK for answer in ask(node["control"], mine).values())
            if mine
            else 0
        )
    assert stored == count
    good = own = 0
    for index, node in enumerate(nodes):
        mine = [
            request(number, Operation.DHT_GET, key[number])
            for number in range(count)
            if getters[number] == index
        ]
        counted = by_others((ask(node["control"], mine) if mine else {}).values(), node["wire_id"])
        good, own = good + counted[0], own + counted[1]
    return good, own


def by_others(answers: Iterable[Response], asker: str) -> tuple[int, int]:
    """Of a node's gets: how many were found at another node, and how many in its own store."""
    good = own = 0
    for answer in answers:
        is_own = answer.answered_by is not None and answer.answered_by.hex() == asker
        own += is_own
        good += answer.outcome is Outcome.OK and answer.answered_by is not None and not is_own
    return good, own


def test_only_what_another_node_answered_counts_as_found():
    def answer(outcome: Outcome, by: bytes | None) -> Response:
        return Response(id=bytes(16), outcome=outcome, done_ns=1, answered_by=by)

    me, another = b"a" * 32, b"b" * 32
    answers = [
        answer(Outcome.OK, another),
        answer(Outcome.OK, me),
        answer(Outcome.OK, None),
        answer(Outcome.FAILED, None),
        answer(Outcome.FAILED, another),
    ]
    assert by_others(answers, me.hex()) == (1, 1)


@pytest.mark.parametrize("k", [20, 4])
def test_a_thousand_puts_on_a_hundred_nodes_are_all_found(desk, k):
    nodes = up(desk, 100, k)
    good, own = found(nodes, 1000, k)
    print(
        f"\nDHT, 100 nodes, k={k}: {good} of 1000 values found by get from other nodes, {own} "
        "answered by the asker itself"
    )
    assert (good, own) == (1000, 0)
    missing = ask(nodes[0]["control"], [request(1, Operation.DHT_GET, b"?" * 32)])
    assert next(iter(missing.values())).outcome is Outcome.FAILED
    desk.ok("down")
    desk.assert_nothing_left()


@pytest.mark.parametrize("k", [20, 4])
def test_hops_grow_by_at_most_log2_of_ten_for_each_tenfold(desk, k):
    means = []
    for count in (10, 100, 1000):
        nodes = up(desk, count, k)
        rng = random.Random(count)
        hops = []
        for _ in range(200):
            asker, target = rng.sample(nodes, 2)
            answer = next(
                iter(
                    ask(
                        asker["control"],
                        [request(1, Operation.DHT_LOOKUP, bytes.fromhex(target["wire_id"]))],
                    ).values()
                )
            )
            assert answer.outcome is Outcome.OK
            hops.append(answer.hops)
        means.append(sum(hops) / len(hops))
        desk.ok("down")
        desk.assert_nothing_left()
    print(
        f"\nlookup hops, k={k}: "
        + ", ".join(
            f"{count} nodes {mean:.2f}" for count, mean in zip((10, 100, 1000), means, strict=True)
        )
    )
    assert steepest(means) <= HOPS_A_TENFOLD_MAX


def steepest(means: list[float]) -> float:
    """The largest rise from one mean to the next."""
    return max(after - before for before, after in itertools.pairwise(means))


def test_a_rise_by_more_than_log2_of_ten_is_seen():
    assert steepest([1.0, 2.0, 5.4]) > HOPS_A_TENFOLD_MAX
    assert steepest([1.0, 4.5, 4.6]) > HOPS_A_TENFOLD_MAX
    assert steepest([1.0, 4.0, 7.0]) <= HOPS_A_TENFOLD_MAX


def test_a_broadcast_reaches_a_hundred_of_a_hundred(desk, tmp_path, monkeypatch):
    nodes = up(desk, 100, 20)
    inodes = {os.stat(f"/proc/{node['pid']}/ns/net").st_ino for node in nodes}
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    runs = tmp_path / "hand"
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, runs)
        ask(nodes[0]["control"], [request(1, Operation.BROADCAST, None, b"to all")])
        wait_for(lambda: len(heard(runs, 1)) == 99, lambda: len(heard(runs, 1)))
        client.call("condition", {"node": "node-50", "condition": "stopped"})
        ask(nodes[0]["control"], [request(2, Operation.BROADCAST, None, b"to all but one")])
        wait_for(lambda: len(heard(runs, 2)) == 98, lambda: len(heard(runs, 2)))
        client.end()
    print(
        f"\nbroadcast, 100 nodes: in the journals of {len(heard(runs, 1))} others, {len(inodes)} "
        f"namespaces; with one stopped {len(heard(runs, 2))}"
    )
    assert heard(runs, 1) == set(range(1, 100))
    # The counting sees a node that has not heard it.
    assert heard(runs, 2) == set(range(1, 100)) - {50}
    assert heard(runs, 3) == set()
    assert len(inodes) == 100
    desk.ok("down")
    desk.assert_nothing_left()


def heard(runs: Path, number: int) -> set[int]:
    """Positions of the nodes whose journals say that they received the broadcast of this number."""
    journal = reader.read(reader.find(runs)).journal
    mine = journal["id"] == np.frombuffer(request(number, Operation.BROADCAST).id, "V16")[0]
    return set(journal["node"][mine & (journal["kind"] == RecordKind.RECEIVED)].tolist())
