"""Paths as blocks against the same paths as pairs, at every node count and in every state."""

from __future__ import annotations

import random
import time
from ipaddress import IPv4Network

import pytest

from harness.faults import spec
from harness.faults.fault import Fault, NetworkState, fold
from harness.faults.paths import Paths
from harness.network.fabric import plan_addresses
from harness.network.injectors.compiler import Compiled, Compiler
from harness.topology.impairment import CLEAR, Impairment
from harness.topology.topology import Node

BLOCK = IPv4Network("10.0.0.0/8")
WHERE = (
    "all",
    "node-3",
    "region:r0",
    "region:r0 -> region:r1",
    "region:r1 <-> all",
    "node-1 -> node-2",
    "node-1,region:r1 -> all",
)


def nodes_of(count: int, regions: int = 3) -> list[Node]:
    return [
        Node(name=f"node-{index}", region=f"r{index * regions // count}") for index in range(count)
    ]


def compiler_of(nodes: list[Node]) -> Compiler:
    plan = plan_addresses(nodes, BLOCK)
    return Compiler(
        {node.name: str(address) for node, address in zip(nodes, plan.nodes, strict=True)},
        {region: str(prefix) for region, prefix in plan.regions.items()},
        {node.name: node.region for node in nodes},
    )


def taken(compiled: Compiled, nodes: list[Node]) -> dict[tuple[str, str], Impairment]:
    """What each path gets of it, looked up as the kernel does. No two prefixes may match."""
    plan = plan_addresses(nodes, BLOCK)
    regions = [
        (IPv4Network(a), IPv4Network(b), number) for (a, b), number in compiled.regions.items()
    ]
    found = {}
    for a, here in zip(nodes, plan.nodes, strict=True):
        for b, there in zip(nodes, plan.nodes, strict=True):
            if a != b:
                number = compiled.paths.get((str(here), str(there)))
                matching = [of for left, right, of in regions if here in left and there in right]
                assert len(matching) < 2
                number = number or next(iter(matching), None)
                found[a.name, b.name] = CLEAR if number is None else compiled.classes[number]
                assert (
                    number is None
                    or number in compiled.into.get(nodes.index(b), ())
                    or (compiled.classes[number] == CLEAR)
                )
    return found


def slow(nodes: list[Node]) -> Fault:
    return spec.parse({"where": "all", "delay": "50ms"}).resolve(nodes, 1)


def test_a_gray_share_is_a_block_a_source():
    """As pairs, or as a block each, a look at one path went through all the others."""
    nodes = nodes_of(9)
    words = {"where": "all", "loss": "5%", "part": "30%"}
    paths = spec.parse(words).resolve(nodes, 1).paths
    assert isinstance(paths, Paths)
    assert len(paths) == round(0.3 * 9 * 8)
    assert len(paths.blocks) <= len(nodes)
    every = {(a.name, b.name) for a in nodes for b in nodes}
    assert {path for path in every if path in paths} == frozenset(paths)
    assert set(paths.some(random.Random(1), 5)) <= frozenset(paths)


@pytest.mark.parametrize("where", WHERE)
def test_paths_are_a_set_of_the_same_pairs(where):
    nodes = nodes_of(9)
    paths = spec.parse({"where": where, "delay": "5ms"}).resolve(nodes, 1).paths
    assert isinstance(paths, Paths)
    pairs = frozenset(paths)
    assert (len(paths), len(list(paths))) == (len(pairs), len(pairs))
    assert paths == pairs
    every = {(a.name, b.name) for a in nodes for b in nodes}
    assert {path for path in every if path in paths} == pairs
    some = paths.some(random.Random(1), 4)
    assert set(some) <= pairs
    assert len(set(some)) == len(some) == min(4, len(pairs))
    fault = Fault(name="x", paths=paths, impairment=Impairment(delay_ms=5))
    assert Fault.from_json(fault.as_json()) == fault


@pytest.mark.parametrize("with_baseline", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_what_is_compiled_of_blocks_is_what_is_compiled_of_pairs(seed, with_baseline):
    chance = random.Random(seed)
    nodes = nodes_of(chance.choice((6, 17, 40)))
    baseline = {("r0", "r1"): Impairment(delay_ms=30), ("r1", "r1"): Impairment(loss=0.01)}
    baseline = baseline if with_baseline else {}
    region = {node.name: node.region for node in nodes}

    def base(path: tuple[str, str]) -> Impairment:
        return baseline.get((region[path[0]], region[path[1]]), CLEAR)

    faults = []
    for number in range(chance.randint(1, 4)):
        words = {"where": chance.choice(WHERE), "name": f"f{number}"}
        words |= chance.choice(
            [{"delay": "50ms"}, {"loss": "10%"}, {"rate": "5mbit"}, {"delay": "9ms", "part": "20%"}]
        )
        if words.get("rate") and "->" not in words["where"]:
            words["where"] = "all -> all"
        faults.append(spec.parse(words).resolve(nodes, seed))
    state = fold(faults, base)
    pairs = NetworkState(paths=dict(state.paths))
    compiled = compiler_of(nodes).compile(state, baseline)
    expected = {
        (a.name, b.name): pairs.paths.get((a.name, b.name), base((a.name, b.name)))
        for a in nodes
        for b in nodes
        if a != b
    }
    assert taken(compiled, nodes) == expected
    assert taken(compiler_of(nodes).compile(pairs, baseline), nodes) == expected


def test_all_of_a_thousand_nodes_is_one_element_a_pair_of_regions():
    nodes = nodes_of(1000)
    state = fold([slow(nodes)])
    compiled = compiler_of(nodes).compile(state, {})
    assert (len(compiled.paths), len(compiled.regions)) == (0, 9)
    one = spec.parse({"where": "node-5 -> node-6", "loss": "1%"}).resolve(nodes, 1)
    compiled = compiler_of(nodes).compile(fold([slow(nodes), one]), {})
    assert (len(compiled.paths), len(compiled.regions)) == (1, 9)


def test_ten_thousand_nodes_cost_about_ten_times_a_thousand():
    """Pairs would cost a hundred times as much: the bound is between the two."""

    def seconds(count: int) -> float:
        nodes = nodes_of(count)
        made = compiler_of(nodes)
        begun = time.process_time()
        state = fold([slow(nodes)])
        made.compile(state, {})
        assert state.of("node-1", "node-2") == Impairment(delay_ms=50)
        return time.process_time() - begun

    few, many = min(seconds(1000) for _ in range(3)), min(seconds(10_000) for _ in range(2))
    assert many < 40 * few


def test_some_paths_of_a_cut():
    """A cut has no paths of its own: its sample is drawn from who is far from whom."""
    far = {f"a{one}": frozenset({f"b{two}" for two in range(10)}) for one in range(10)}
    some = Fault(name="cut", paths=Paths([]), far=far).some(random.Random(1), 4)
    assert 0 < len(some) <= 4
    assert all(target in far[source] for source, target in some)
