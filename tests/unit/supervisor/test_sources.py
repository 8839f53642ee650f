"""What is read of processes: memory that they hold, of many nodes in turns."""

from __future__ import annotations

import itertools

import pytest

from harness.supervisor import sources
from harness.supervisor.sources import Held

NODES = 10


@pytest.fixture
def costs_ms(monkeypatch):
    """Makes each look cost so much."""

    def make(cost: float) -> None:
        ticks = itertools.count()
        monkeypatch.setattr(sources.memory, "held", sum)
        monkeypatch.setattr(
            sources.time, "thread_time", lambda: ((next(ticks) + 1) // 2) * cost / 1000
        )

    return make


def pass_of(held: Held) -> list[int]:
    held.begin()
    return [node for node in range(NODES) if held.of(node, [node, 7]) == node + 7]


def test_few_nodes_are_looked_at_in_each_pass(costs_ms):
    costs_ms(0.01)
    held = Held()
    assert [pass_of(held) for _ in range(3)] == [list(range(NODES))] * 3


def test_many_nodes_are_looked_at_in_turns(costs_ms):
    """As far as a pass may cost, and each as often as any other."""
    costs_ms(Held.CPU_S * 1000 / 3.5)
    held = Held()
    assert [pass_of(held) for _ in range(4)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9], [0, 1, 2, 3]]


def test_one_is_looked_at_however_dear(costs_ms):
    costs_ms(100.0)
    held = Held()
    seen = [pass_of(held) for _ in range(12)]
    assert seen[:10] == [[node] for node in range(NODES)]
    assert seen[10:] in ([[], [0]], [[0], [1]])
