"""Faults as values: how several fold into one state, and what is left of one among fewer nodes."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.regions import NODES

from harness.faults import spec
from harness.faults.fault import Condition, Fault, fold, fold_conditions
from harness.topology.impairment import CLEAR, Impairment, fold_two
from harness.topology.topology import Node


def test_everybody_to_everybody_is_one_group():
    fault = spec.parse({"where": "all", "loss": "1%"}).resolve(NODES, 1)
    assert [len(group[0]) for group in fault.as_json()["paths"]] == [len(NODES)]
    assert len(spec.parse({"cut": "halves"}).resolve(NODES, 1).as_json()["far"]) == 2


def test_of_two_conditions_the_worse_wins():
    paused = Fault(name="p", nodes=("a", "b"), condition=Condition.PAUSED)
    stopped = Fault(name="s", nodes=("b",), condition=Condition.STOPPED)
    for order in ([paused, stopped], [stopped, paused]):
        assert fold_conditions(order) == {"a": Condition.PAUSED, "b": Condition.STOPPED}


impairments = st.builds(
    lambda delay, share_of_jitter, loss, rate, blocked, half: Impairment(
        delay_ms=delay,
        jitter_ms=delay * share_of_jitter,
        loss=loss,
        rate_bps=rate,
        blocked=blocked,
        refuses_new=half,
    ),
    st.floats(0, 500),
    st.floats(0, 1),
    st.floats(0, 1),
    st.none() | st.integers(8_000, 10**10),
    st.booleans(),
    st.booleans(),
)


@given(impairments, impairments)
def test_folding_is_commutative(a, b):
    """A clear impairment is neutral, and nothing gets better by folding."""
    both = fold_two(a, b)
    other = fold_two(b, a)
    assert all(
        math.isclose(getattr(both, name), getattr(other, name), abs_tol=1e-9)
        for name in ("delay_ms", "jitter_ms", "loss")
    )
    assert (both.rate_bps, both.blocked, both.refuses_new) == (
        other.rate_bps,
        other.blocked,
        other.refuses_new,
    )
    assert fold_two(a, CLEAR) == a
    assert both.loss >= max(a.loss, b.loss) - 1e-12
    assert both.delay_ms == pytest.approx(a.delay_ms + b.delay_ms)
    assert both.rate_bps == min((rate for rate in (a.rate_bps, b.rate_bps) if rate), default=None)


def test_overlapping_faults_fold_on_the_paths_they_share():
    state = fold(
        [
            Fault(
                name="a",
                paths=frozenset({("x", "y"), ("y", "x")}),
                impairment=Impairment(delay_ms=20, loss=0.1),
            ),
            Fault(
                name="b",
                paths=frozenset({("x", "y")}),
                impairment=Impairment(delay_ms=30, loss=0.2, rate_bps=10**6),
            ),
            Fault(name="c", up={"x": 10**7}, down={"y": 10**6}),
            Fault(name="d", up={"x": 10**6}),
        ]
    )
    assert (state.of("x", "y").delay_ms, state.of("x", "y").rate_bps) == (50, 10**6)
    assert state.of("x", "y").loss == pytest.approx(0.28)
    assert state.of("y", "x") == Impairment(delay_ms=20, loss=0.1)
    assert (state.of("y", "z"), state.up, state.down) == (CLEAR, {"x": 10**6}, {"y": 10**6})


def test_a_fault_among_fewer_nodes():
    """Of what it is on, that remains which is there; nothing of a path whose end is gone."""
    names = [f"n{index}" for index in range(6)]
    nodes = [Node(name=name) for name in names]
    few = {"n0", "n1", "n5"}
    cut = spec.parse({"cut": "halves"}).resolve(nodes, 1).among(few)
    whole = spec.parse({"cut": "halves"}).resolve(nodes, 1)
    assert {(a, b) for a, far in cut.far.items() for b in far} == {
        (a, b) for a, far in whole.far.items() for b in far if {a, b} <= few
    }
    slow = spec.parse({"where": "n0,n2 -> n1,n2", "delay": "5ms"}).resolve(nodes, 1).among(few)
    assert set(slow.paths) == {("n0", "n1")}
    narrow = spec.parse({"where": "all", "rate": "1mbit"}).resolve(nodes, 1).among(few)
    assert {*narrow.up} == {*narrow.down} == few
    stopped = spec.parse({"where": "n1,n2", "condition": "stopped"}).resolve(nodes, 1)
    assert stopped.among(few).nodes == ("n1",)
    assert not stopped.among(few).is_empty
    assert stopped.among({"n0"}).is_empty
    assert spec.parse({"where": "n0 -> n2", "loss": "1%"}).resolve(nodes, 1).among(few).is_empty
