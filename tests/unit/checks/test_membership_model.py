"""Membership against a model: nodes that do what they promise are never accused, whatever dies, is
cut and comes back; nodes that do not are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import combinations, permutations
from random import Random

import pytest
from kit.histories import SECOND, beginning, fault, history, record

from harness.checks import membership
from harness.checks.verdict import Answer
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.operations.records import RecordKind

NODES, BEGIN_S, OVER_S, BOUND_S = range(4), 1.0, 41.0, 5.0
KINDS = frozenset({RecordKind.LINK_UP, RecordKind.LINK_DOWN})
Span = tuple[float, float]


@dataclass
class Run:
    """What truly happened, in seconds, and what is told of it."""

    lives: dict[int, list[Span]] = field(default_factory=dict)
    cuts: list[tuple[Span, frozenset[int]]] = field(default_factory=list)
    events: list[object] = field(default_factory=list)
    journal: list[tuple[object, ...]] = field(default_factory=list)


def ns(at_s):
    return round(at_s * SECOND)


def played(seed):
    """A run of nodes of which each tells of a change, of the other or of the network, in time."""
    chance, run = Random(seed), Run()
    for node in NODES:
        run.lives[node] = lives(chance, run, node)
    for number in range(chance.randrange(3)):
        cut(chance, run, f"cut-{number}")
    for node, other in permutations(NODES, 2):
        for life in run.lives[node]:
            tell(chance, run, node, other, life)
    return run


def lives(chance, run, node):
    """When a node had a process. It ends while it is asked to, and runs before it is ready."""
    found, at_s, ready_s = [], 0.0, 0.0
    for _ in range(chance.randrange(3)):
        asked_s = ready_s + chance.uniform(1, 25)
        ended_s = asked_s + chance.choice([0, chance.uniform(0, 3)])
        told_s = ended_s + chance.uniform(0, 0.5)
        name = f"node-{node}"
        run.events.append(
            NodeChanged(at_ns=ns(told_s), since_ns=ns(asked_s), node=name, condition="stopped")
        )
        found.append((at_s, ended_s))
        if chance.random() < 0.2:
            return found
        at_s = told_s + chance.uniform(0.1, 15)
        ready_s = at_s + chance.uniform(0, 4)
        run.events.append(NodeStarted(at_ns=ns(ready_s), journals_ns=ns(at_s), node=name))
    return [*found, (at_s, 99.0)]


def cut(chance, run, name):
    """Part some nodes from the others; it comes and goes slowly."""
    begin_s, took_s = chance.uniform(2, 35), chance.uniform(0, 2)
    end_s = begin_s + took_s + chance.uniform(0.5, 20)
    side = frozenset(chance.sample(NODES, chance.randrange(1, len(NODES))))
    sides = {f"node-{node}": int(node in side) for node in NODES}
    for verb, at_s in (("set", begin_s), ("clear", end_s)):
        change = fault(verb, at_s + took_s, name, sides=sides, took_ms=took_s * 1e3)
        run.events.append(change)
    run.cuts.append(((begin_s + took_s * chance.random(), end_s + took_s * chance.random()), side))


def contacts(run, node, other, life):
    """When a node could hear another one in a life of its own."""
    parted = [span for span, side in run.cuts if (node in side) != (other in side)]
    found = []
    for begin_s, end_s in run.lives[other]:
        at_s, until_s = max(begin_s, life[0]), min(end_s, life[1])
        for from_s, to_s in sorted(parted):
            if at_s < min(from_s, until_s):
                found.append((at_s, min(from_s, until_s)))
            at_s = max(at_s, to_s)
        if at_s < until_s:
            found.append((at_s, until_s))
    return found


def tell(chance, run, node, other, life):
    """A link stands a while after two can hear each other, and falls a while after they cannot."""
    heard = contacts(run, node, other, life)
    is_up, late = False, lambda: chance.uniform(0.001, BOUND_S - 0.01)
    for number, (begin_s, end_s) in enumerate(heard):
        next_s = heard[number + 1][0] if number + 1 < len(heard) else life[1]
        up_s = begin_s + (0 if begin_s == 0 else late())
        if not is_up and up_s < end_s:
            is_up = True
            run.journal.append(told(node, other, RecordKind.LINK_UP, up_s))
        down_s = end_s + late()
        if is_up and down_s < next_s:
            is_up = False
            run.journal.append(told(node, other, RecordKind.LINK_DOWN, down_s))


def told(node, other, kind, at_s):
    return record(9, kind, node, ns(at_s), peer=beginning(other))


def judged(run, journal=None):
    """The answers by name."""
    found = history(
        (),
        run.journal if journal is None else journal,
        nodes=len(NODES),
        seconds=OVER_S - BEGIN_S,
        kept=KINDS,
        links=frozenset(combinations(NODES, 2)),
        events=(*run.events, RunEnded()),
    )
    return {one.name: one.answer for one in membership.check(found, ns(BOUND_S))}


@pytest.mark.parametrize("part", range(4))
def test_who_keeps_the_promise_is_never_accused(part):
    answers = []
    for seed in range(part * 150, part * 150 + 150):
        found = judged(played(seed))
        assert Answer.FAIL not in found.values(), (seed, found)
        answers += [(name, answer) for name, answer in found.items()]
    for name in (membership.DEAD, membership.LIVING):
        assert answers.count((name, Answer.PASS)) > 30


def test_who_breaks_it_is_found():
    """Nobody tells of a death; nobody takes a suspicion back."""
    wrong = dict.fromkeys((membership.DEAD, membership.LIVING), 0)
    for seed in range(100):
        run = played(seed)
        deaf = [one for one in run.journal if one[0] != RecordKind.LINK_DOWN]
        wrong[membership.DEAD] += judged(run, deaf).get(membership.DEAD) is Answer.FAIL
        first = [one for one in run.journal if one[5] == 0 or one[0] != RecordKind.LINK_UP]
        wrong[membership.LIVING] += judged(run, first).get(membership.LIVING) is Answer.FAIL
    assert min(wrong.values()) > 20, wrong
