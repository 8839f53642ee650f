"""The schedule: the workers' shares make one whole, seeded, and nobody is asked to send to
itself.
"""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.load.flight import KEYS_MAX, Keys
from harness.operations import Operation
from harness.scenario.schedule import CHUNK, Share, schedule, tick_ns
from harness.scenario.stream import Arrivals, Stream

T0_NS = 10**12
NODES = tuple(f"node-{index}" for index in range(7))


def rows(stream, share, *, seconds, nodes=NODES):
    parts = list(schedule(stream, nodes, share, T0_NS, T0_NS + round(seconds * 1e9)))
    return [
        row
        for part in parts
        for row in zip(
            part.number.tolist(),
            part.intended_ns.tolist(),
            part.source.tolist(),
            part.target.tolist(),
            part.draw.tolist(),
            strict=True,
        )
    ]


@settings(max_examples=40, deadline=None)
@given(
    workers=st.integers(1, 5),
    rate=st.floats(0.5, 9_000),
    seed=st.integers(0, 1 << 30),
    arrivals=st.sampled_from(Arrivals),
    operation=st.sampled_from(list(Operation)),
)
def test_the_union_over_workers_is_the_whole_schedule(workers, rate, seed, arrivals, operation):
    stream = Stream(operation=operation, rate_per_s=rate, arrivals=arrivals)
    whole = rows(stream, Share(seed=seed, phase=1, stream=2), seconds=1)
    shares = [
        rows(stream, Share(seed=seed, phase=1, stream=2, worker=w, workers=workers), seconds=1)
        for w in range(workers)
    ]
    assert sorted(row for share in shares for row in share) == whole
    if arrivals is Arrivals.UNIFORM:
        assert max(map(len, shares)) - min(map(len, shares)) <= 1
        assert abs(len(whole) - rate) <= 1


@pytest.mark.parametrize("operation", [Operation.PRIVATE_MESSAGE, Operation.DHT_LOOKUP])
def test_nobody_sends_to_itself_and_every_pair_occurs(operation):
    found = rows(
        Stream(operation=operation, rate_per_s=4_000), Share(seed=3, phase=0, stream=0), seconds=1
    )
    pairs = {(source, target) for _, _, source, target, _ in found}
    assert pairs == {(a, b) for a in range(7) for b in range(7) if a != b}


def test_one_named_target_is_loaded_by_all_others():
    stream = Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=1_000, target="node-2")
    found = rows(stream, Share(seed=3, phase=0, stream=0), seconds=1)
    assert {target for *_, target, _ in found} == {2}
    assert {source for _, _, source, _, _ in found} == {0, 1, 3, 4, 5, 6}


def test_the_same_seed_repeats_a_schedule():
    """Other seeds, phases and streams have other ones."""
    stream = Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=100, arrivals=Arrivals.POISSON)
    shares = [Share(seed=s, phase=p, stream=n) for s in (1, 2) for p in (0, 1) for n in (0, 1)]
    found = [tuple(rows(stream, share, seconds=1)) for share in shares]
    assert len(set(found)) == len(shares)
    assert found[0] == tuple(rows(stream, shares[0], seconds=1))


def test_poisson_gaps_are_exponential():
    stream = Stream(operation=Operation.BROADCAST, rate_per_s=2_000, arrivals=Arrivals.POISSON)
    parts = islice(schedule(stream, NODES, Share(seed=5, phase=0, stream=0), T0_NS, None), 10)
    gaps_ns = np.diff(np.concatenate([part.intended_ns for part in parts]))
    assert len(gaps_ns) == 10 * CHUNK - 1
    assert gaps_ns.mean() == pytest.approx(500_000, rel=0.02)
    assert gaps_ns.std() == pytest.approx(500_000, rel=0.03)
    assert (gaps_ns >= 0).all()


@given(st.floats(0.1, 1e6), st.integers(0, 10**8))
def test_what_waits_for_others_waits_for_less_than_it_may_be_late(rate, late_ns):
    waits_ns = tick_ns(rate, late_ns)
    assert 0 <= waits_ns <= 0.6 * late_ns + 1
    assert (waits_ns == 0) == (rate <= 2_000 or late_ns == 0)
    assert waits_ns * rate <= 33e9


def test_what_cannot_be_sent_is_refused_in_words():
    message = Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=1)
    share = Share(seed=1, phase=0, stream=0)
    with pytest.raises(BadFileError, match="at least 2 nodes, found 1"):
        rows(message, share, seconds=1, nodes=("alone",))
    with pytest.raises(BadFileError, match="no node 'nobody'"):
        rows(
            Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=1, target="nobody"),
            share,
            seconds=1,
        )
    with pytest.raises(BadFileError, match="would send to itself"):
        rows(
            Stream(
                operation=Operation.PRIVATE_MESSAGE,
                rate_per_s=1,
                target="node-1",
                sources=("node-1",),
            ),
            share,
            seconds=1,
        )


@given(st.lists(st.integers(0, 3), max_size=30), st.integers(0, (1 << 32) - 1), st.integers(0, 3))
def test_a_get_never_reads_what_its_asker_put(putters, draw, asker):
    keys = Keys()
    for number, putter in enumerate(putters):
        keys.add(bytes([number]), putter)
    key = keys.pick(draw, asker)
    if key is not None:
        assert putters[key[0]] != asker
    elif len(putters) <= 16:
        assert set(putters) <= {asker}


def test_keys_keep_the_newest():
    keys = Keys()
    for number in range(KEYS_MAX + 1):
        keys.add(number.to_bytes(4, "little"), 0)
    assert len(keys) == KEYS_MAX
    assert keys.pick(0, 1) == KEYS_MAX.to_bytes(4, "little")
