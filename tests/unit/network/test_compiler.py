"""A state of the network is compiled into classes: which paths share one, and for how long."""

from __future__ import annotations

from harness.faults.fault import NetworkState
from harness.network.injectors.compiler import Compiler
from harness.topology.impairment import CLEAR, Impairment


def compiler():
    return Compiler(
        {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.1.1"},
        {"eu": "10.0.0.0/29", "us": "10.0.1.0/29"},
        {"a": "eu", "b": "eu", "c": "us"},
    )


def test_a_class_keeps_its_number_while_it_is_used():
    """A number that was given up does not return at once."""
    made = compiler()
    slow = Impairment(delay_ms=50)
    first = made.compile(NetworkState(paths={("a", "b"): slow}), {})
    second = made.compile(
        NetworkState(paths={("a", "b"): slow, ("b", "a"): Impairment(loss=0.5)}), {}
    )
    assert second.paths["10.0.0.1", "10.0.0.2"] == first.paths["10.0.0.1", "10.0.0.2"]
    made.compile(NetworkState(), {})
    third = made.compile(NetworkState(paths={("a", "c"): Impairment(delay_ms=1)}), {})
    assert set(third.classes) & (set(first.classes) | set(second.classes)) == set()
    assert min(third.classes) > 1  # 1: is the root's own handle


def test_the_same_paths_keep_their_class():
    """Only what is wrong with them changes."""
    made = compiler()
    both = {("a", "b"), ("b", "a")}
    first = made.compile(NetworkState(paths=dict.fromkeys(both, Impairment(delay_ms=50))), {})
    second = made.compile(NetworkState(paths=dict.fromkeys(both, Impairment(delay_ms=90))), {})
    assert second.paths == first.paths
    assert [what.delay_ms for what in second.classes.values()] == [90]
    third = made.compile(NetworkState(paths={("a", "b"): Impairment(delay_ms=10)}), {})
    assert set(third.classes).isdisjoint(second.classes)  # other paths: a class of their own
    fourth = made.compile(NetworkState(paths={("a", "b"): Impairment(rate_bps=10**6)}), {})
    # It held packets and is to hold none: what it holds would be lost.
    assert set(fourth.classes).isdisjoint(third.classes)


def test_regions_are_prefixes_and_cuts_and_toxics_make_no_class():
    made = compiler().compile(
        NetworkState(
            paths={("a", "b"): Impairment(blocked=True), ("a", "c"): Impairment(refuses_new=True)}
        ),
        {("eu", "us"): Impairment(delay_ms=40)},
    )
    [region] = made.regions.values()
    assert set(made.regions) == {("10.0.0.0/29", "10.0.1.0/29")}
    assert made.classes[region] == Impairment(delay_ms=40)
    assert made.far == {"10.0.0.1": {"10.0.0.2"}}
    assert made.refusing == {("10.0.0.1", "10.0.1.1")}
    # Clear by name: its region's class must not be taken.
    assert made.paths == {("10.0.0.1", "10.0.1.1"): made.paths["10.0.0.1", "10.0.1.1"]}
    assert made.classes[made.paths["10.0.0.1", "10.0.1.1"]] == CLEAR
    assert made.into == {2: {region}}
