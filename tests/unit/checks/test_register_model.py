"""The register against a model: replicas that take each put at some moment between its sending and
its end, and gets that read one of them; and replicas that miss one, and stay behind.
"""

from __future__ import annotations

from random import Random

import pytest
from kit.histories import MS, SECOND, history, identifier, operation, stored

from harness.checks import linearizability, register
from harness.checks.register import FRESH, WRITTEN
from harness.checks.verdict import Answer
from harness.operations import Operation, Outcome

REPLICAS, PUTS, GETS, MOST_MS = range(3), 12, 40, 400
OK, UNKNOWN = int(Outcome.OK), int(Outcome.UNKNOWN)


def played(seed, *, misses=False, one_by_one=False):
    """A history, and what each get read. `misses`: a replica does not take an acknowledged put."""
    chance, taken, operations, values = Random(seed), [], [], []
    numbers = chance.sample(range(1, MOST_MS), PUTS + GETS)
    puts = sorted(numbers[:PUTS])
    for put, following in zip(puts, [*puts[1:], MOST_MS], strict=True):
        most_ms = following - put - 0.5 if one_by_one else 60
        end_ms = put + chance.uniform(0.2, most_ms)
        is_told = one_by_one or chance.random() < 0.8
        # Who never had an answer may be taken much later, or never.
        last_ms = end_ms if is_told else put + chance.uniform(1, 300)
        for replica in REPLICAS:
            if is_told and misses and replica == 0 and chance.random() < 0.3:
                continue
            if is_told or chance.random() < 0.5:
                taken.append((chance.uniform(put + 0.15, last_ms), replica, put))
        operations.append(made(Operation.DHT_PUT, put, end_ms if is_told else None))
        values.append((put, 7, None))
    for get in numbers[PUTS:]:
        end_ms = get + chance.uniform(0.2, 60)
        at_ms, replica = chance.uniform(get + 0.1, end_ms), chance.choice(REPLICAS)
        held = [one for one in sorted(taken) if one[1] == replica and one[0] <= at_ms]
        if held:
            operations.append(made(Operation.DHT_GET, get, end_ms))
            values.append((get, 7, held[-1][2]))
    return history(operations, values=stored(*values))


def made(kind, number, end_ms):
    ended = {"outcome": UNKNOWN, "done_ns": 0}
    if end_ms is not None:
        ended = {"outcome": OK, "done_ns": SECOND + round(end_ms * MS)}
    return operation(number, kind, target=-1, id=identifier(number), **ended)


def answers(found):
    return {one.name: one.answer for one in register.check(found)}


@pytest.mark.parametrize("one_by_one", [False, True])
def test_replicas_that_take_each_put_in_time_are_never_accused(*, one_by_one):
    for seed in range(200):
        found = answers(played(seed, one_by_one=one_by_one))
        assert (found[WRITTEN], found[FRESH]) == (Answer.PASS, Answer.PASS), seed


def test_a_replica_that_missed_a_put_is_found():
    found = [answers(played(seed, misses=True, one_by_one=True)) for seed in range(100)]
    assert sum(one[FRESH] is Answer.FAIL for one in found) > 50


def test_a_regular_register_need_not_be_linearizable():
    """Of replicas that take a put one after the other, a new value may be followed by the old."""
    found = [linearizability.check(played(seed, one_by_one=True))[0] for seed in range(60)]
    assert {one.answer for one in found} == {Answer.PASS, Answer.FAIL}
