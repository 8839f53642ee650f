"""Isolation against a model: messages that nodes hold and hand on over paths that are open, however
long each takes, are no leak under any cuts; messages that pass a closed one are.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

import pytest
from kit.histories import SECOND, fault, history, operation, record, seen

from harness.checks import isolation
from harness.checks.verdict import Answer
from harness.history.events import RunEnded
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

NODES, OVER_S, MESSAGES = range(4), 40.0, 30


@dataclass
class Run:
    """Cuts by when they truly held, in seconds: (from, to, one side); and what is told."""

    cuts: list[tuple[float, float, frozenset[int]]] = field(default_factory=list)
    events: list[object] = field(default_factory=list)
    proofs: list[object] = field(default_factory=list)
    operations: list[dict[str, object]] = field(default_factory=list)
    journal: list[tuple[object, ...]] = field(default_factory=list)
    lost: list[dict[str, object]] = field(default_factory=list)  # messages that nobody got

    def opens_s(self, at_s, one, other):
        """When a path is open next, from a moment on."""
        closed = [cut for cut in self.cuts if (one in cut[2]) != (other in cut[2])]
        while late := [cut[1] for cut in closed if cut[0] <= at_s < cut[1]]:
            at_s = max(late)
        return at_s


def ns(at_s):
    return round(at_s * SECOND)


def played(seed):
    chance, run = Random(seed), Run()
    for number in range(chance.randrange(1, 4)):
        cut(chance, run, f"cut-{number}")
    for number in chance.sample(range(0, 35_000, 7), MESSAGES):
        message(chance, run, number)
    return run


def cut(chance, run, name):
    """It comes and goes slowly, and holds from some moment of its coming to one of its going."""
    begin_s, came_s, went_s = chance.uniform(1, 30), chance.uniform(0, 2), chance.uniform(0, 2)
    end_s = begin_s + came_s + chance.uniform(0.5, 12)
    side = frozenset(chance.sample(NODES, chance.randrange(1, len(NODES))))
    sides = {f"node-{node}": int(node in side) for node in NODES}
    run.events += [
        fault("set", begin_s + came_s, name, sides=sides, took_ms=came_s * 1e3),
        fault("clear", end_s + went_s, name, sides=sides, took_ms=went_s * 1e3),
    ]
    run.proofs.append(seen(name, at_s=begin_s + came_s + 0.2))
    holds_s = begin_s + came_s * chance.random(), end_s + went_s * chance.random()
    run.cuts.append((*holds_s, side))


def message(chance, run, number):
    """One that is handed on by some nodes, each of which may hold it, and was on its way."""
    kind = chance.choice((Operation.PRIVATE_MESSAGE, Operation.BROADCAST, Operation.CONNECT))
    way = chance.sample(NODES, chance.randrange(2, len(NODES) + 1))
    if kind is Operation.CONNECT:
        way = [*way[:2], way[0]]  # there, and back
    sent_s = at_s = 1 + number / 1e3
    for one, other in pairwise(way):
        leaves_s = run.opens_s(at_s + chance.choice((0, chance.uniform(0, 4))), one, other)
        at_s = leaves_s + chance.choice((0.001, chance.uniform(0, 6)))
        if kind is Operation.BROADCAST:
            run.journal.append(record(number, RecordKind.RECEIVED, other, ns(at_s)))
    ends = {"source": way[0], "target": -1 if kind is Operation.BROADCAST else way[-1]}
    if kind is Operation.CONNECT:
        ends["target"] = way[1]
    made = operation(number, kind, sent_ns=ns(sent_s), done_ns=ns(at_s), **ends)
    if kind is Operation.PRIVATE_MESSAGE:
        if at_s > OVER_S or chance.random() < 0.1:
            made |= {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
            run.lost.append(made)
        else:
            run.journal.append(record(number, RecordKind.DELIVERED, way[-1], ns(at_s)))
    run.operations.append(made)


def judged(run, journal=()):
    found = history(
        run.operations,
        [*run.journal, *journal],
        nodes=len(NODES),
        seconds=OVER_S,
        events=(*run.events, RunEnded()),
        proofs=tuple(run.proofs),
    )
    return [one.answer for one in isolation.check(found)]


@pytest.mark.parametrize("part", range(4))
def test_what_goes_over_open_paths_is_no_leak(part):
    answers = [judged(played(seed)) for seed in range(part * 100, part * 100 + 100)]
    assert [seed for seed, found in enumerate(answers) if Answer.FAIL in found] == []
    assert sum(found == [Answer.PASS] for found in answers) > 30


def test_what_passes_a_closed_path_is_found():
    """Each lost message that had no way stands in its target's journal a moment later."""
    found, asked = 0, 0
    for seed in range(200):
        run = played(seed)
        crossed = [
            record(one["intended_ns"] // 1_000_000 - 1000, RecordKind.DELIVERED, one["target"], at)
            for one in run.lost
            if (at := one["sent_ns"] + SECOND // 10) and surely_apart(run, one, at / SECOND)
        ]
        asked += bool(crossed)
        found += bool(crossed) and judged(run, crossed) == [Answer.FAIL]
    assert found == asked > 20


def surely_apart(run, one, at_s):
    """Whether one cut that stood as a whole parted a message's ends all the while."""
    sent_s = one["sent_ns"] / SECOND
    for came, went in zip(run.events[::2], run.events[1::2], strict=True):
        side = [came.sides[f"node-{one[end]}"] for end in ("source", "target")]
        if side[0] != side[1] and came.set_ns <= ns(sent_s) and ns(at_s) < went.begun_ns:
            return True
    return False
