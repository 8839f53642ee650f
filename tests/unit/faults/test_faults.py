"""Faults as values: words to faults, cuts, folding, compiling, and what the checker says of proofs.
No network is touched.
"""

from __future__ import annotations

import contextlib
import json
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import MS, SECOND, history, operation

from harness.checks import faults as checker
from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError, HarnessError
from harness.experiments import run
from harness.faults import partitions, spec, targets
from harness.faults.fault import Condition, Fault, NetworkState, fold, fold_conditions
from harness.history.events import FaultChanged
from harness.history.proof import Proof, ProofAnswer, seen_as
from harness.network.injectors.compiler import Compiler
from harness.scenario import files, timeline
from harness.scenario.budget import Conditions, Row
from harness.scenario.scenario import Phase, Scenario
from harness.topology import quantities
from harness.topology.impairment import CLEAR, Impairment, fold_two
from harness.topology.topology import Node, Topology

NODES = [Node(name=f"node-{index}", region="eu" if index < 4 else "us") for index in range(9)]
NAMES = [node.name for node in NODES]


def reaches(pairs, a, b):
    return (a, b) not in pairs


# ---- cuts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pattern", [name for name in partitions.PATTERNS if name not in ("isolate", "k-way")]
)
def test_every_cut_goes_both_ways_and_never_from_a_node_to_itself(pattern):
    pairs = partitions.pairs(partitions.cut(pattern, [], NODES, seed=3))
    assert pairs
    assert all((b, a) in pairs and a != b for a, b in pairs)
    assert partitions.pairs(partitions.cut(pattern, [], NODES, seed=3)) == pairs


def test_halves_and_a_minority():
    assert len(partitions.pairs(partitions.halves(NODES))) == 2 * 4 * 5
    assert len({id(far) for far in partitions.halves(NODES).values()}) == 2
    few = {source for source, far in partitions.minority(NODES, 1).items() if len(far) == 5}
    assert len(few) == 4  # the largest group below half of nine


def test_a_bridge_reaches_both_halves():
    """The halves do not reach each other."""
    pairs = partitions.pairs(partitions.bridge(NODES))
    middle = "node-4"
    assert all(reaches(pairs, middle, name) and reaches(pairs, name, middle) for name in NAMES)
    assert not reaches(pairs, "node-0", "node-8")


@pytest.mark.parametrize("count", [5, 6, 9, 20])
def test_in_a_majority_ring_each_reaches_a_majority(count):
    """No two nodes reach the same one."""
    nodes = [Node(name=f"n{index}") for index in range(count)]
    pairs = partitions.pairs(partitions.majority_ring(nodes, 1))
    seen = [
        frozenset(
            other.name
            for other in nodes
            if other.name == one.name or reaches(pairs, one.name, other.name)
        )
        for one in nodes
    ]
    assert all(len(view) > count / 2 for view in seen)
    assert len(set(seen)) == count


@given(st.integers(2, 9), st.integers(0, 99))
def test_k_ways_are_groups_of_nearly_equal_size(groups, seed):
    pairs = partitions.pairs(partitions.k_way(NODES, groups, seed))
    views = {
        frozenset(other for other in NAMES if other == one or reaches(pairs, one, other))
        for one in NAMES
    }
    assert len(views) == groups
    assert max(map(len, views)) - min(map(len, views)) <= 1


def test_one_way_gray_isolate_and_regions():
    both = partitions.pairs(partitions.halves(NODES))
    one = partitions.pairs(partitions.one_way(partitions.halves(NODES), NAMES))
    assert len(one) * 2 == len(both)
    assert not any((b, a) in one for a, b in one)
    assert len(partitions.gray(both, 0.25, 1)) == round(0.25 * len(both))
    assert partitions.pairs(partitions.isolate(NODES, ["node-2"])) == {
        pair for name in NAMES if name != "node-2" for pair in (("node-2", name), (name, "node-2"))
    }
    assert len(partitions.pairs(partitions.by_region(NODES))) == 2 * 4 * 5


# ---- words ---------------------------------------------------------------------------------------


def test_where_in_words():
    assert targets.nodes_of("region:eu", NODES) == ("node-0", "node-1", "node-2", "node-3")
    assert targets.paths_of("node-1 -> node-2", NODES) == {("node-1", "node-2")}
    assert targets.paths_of("node-1 <-> node-2, node-3", NODES) == {
        ("node-1", "node-2"),
        ("node-2", "node-1"),
        ("node-1", "node-3"),
        ("node-3", "node-1"),
    }
    assert len(targets.paths_of("node-1", NODES)) == 16
    assert len(targets.paths_of("region:eu -> region:us", NODES)) == 20


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ({"where": "node-99", "delay": "1ms"}, "there is no node 'node-99'"),
        ({"where": "region:moon", "delay": "1ms"}, "there is no region 'moon'; there are eu, us"),
        ({"where": "node-1 -> node-1", "delay": "1ms"}, "a path leads from one node to another"),
        ({"where": "node-1"}, "expected at least one of delay, jitter, loss"),
        ({"delay": "1ms"}, "expected where (a node, region:NAME, all, A -> B, A <-> B) or cut"),
        ({"where": "all", "cut": "halves"}, "expected where or cut, found both"),
        (
            {"where": "all", "delay": "50 furlongs"},
            "delay: expected a time such as 80ms, found '50 furlongs'; units: us",
        ),
        ({"where": "all", "delay": "-5ms"}, "delay: expected a time such as 80ms, found '-5ms'"),
        ({"where": "all", "loss": "101%"}, "loss: expected 0% to 100%, found '101%'"),
        ({"where": "all", "rate": "10 horses"}, "rate: expected a rate such as 10mbit"),
        ({"where": "all", "jitter": "5ms"}, "jitter: expected at most the delay"),
        ({"where": "all", "reorder": "5%"}, "reorder: expected a delay too"),
        ({"where": "node-1 -> node-2", "up": "1mbit"}, "up and down are of nodes"),
        ({"where": "all", "dealy": "5ms"}, "dealy: unknown key; did you mean 'delay'?"),
        ({"where": 5}, "where: expected text, found 5"),
        ({"where": "all", "toxic": [5]}, "toxic: expected text, found 5"),
        ({"where": "all", "for_s": "5"}, "for_s: expected a number of seconds, found '5'"),
        ({"where": "all", "delay": "1ms", "for_s": 0}, "for_s: expected above 0, found 0"),
        ({"where": "all", "delay": "1ms", "at_s": -1}, "at_s: expected 0 or more, found -1"),
        ({"where": "all", "one_way": "yes"}, "one_way: expected true or false, found 'yes'"),
        (
            {"where": "all", "half_open": "old"},
            "half_open: expected one of new, established; found 'old'",
        ),
        (
            {"where": "node-1", "condition": "asleep"},
            "one of paused, restarted, stopped, killed, crashed; found 'asleep'",
        ),
        (
            {"where": "node-1", "condition": "running"},
            "one of paused, restarted, stopped, killed, crashed; found 'running'",
        ),
        ({"where": "node-1 -> node-2", "condition": "paused"}, "condition: it is of nodes"),
        ({"cut": "halves", "condition": "paused"}, "condition: it is of nodes and stands alone"),
        ({"where": "node-1", "condition": "paused", "loss": "1%"}, "stands alone"),
        (
            {"where": "node-1 -> node-2", "toxic": "warp speed=9"},
            "toxic: expected one of latency, bandwidth",
        ),
        (
            {"where": "node-1 -> node-2", "toxic": "latency speed=9"},
            "toxic latency: attribute: expected one of latency, jitter",
        ),
        (
            {"where": "node-1 -> node-2", "toxic": "latency latency"},
            "toxic latency: expected NAME=VALUE, found 'latency'",
        ),
        (
            {"where": "node-1 -> node-2", "toxic": "latency latency=x"},
            "toxic latency: latency: expected a whole number, found 'x'",
        ),
        ({"cut": "thirds"}, "cut: expected one of halves, random-halves"),
        ({"cut": "halves", "of": ["node-1"]}, "cut halves: expected nothing after it"),
        ({"cut": "isolate"}, "isolate: expected the name of at least one node"),
        ({"cut": "k-way", "of": ["x"]}, "k-way: expected a number of groups"),
        ({"cut": "k-way", "of": ["99"]}, "k-way: expected 2 to 9 groups"),
        ({"cut": "halves", "part": "0%"}, "gray: expected a share above 0 %"),
        ({"where": "node-1", "loss": "1%", "of": ["node-2"]}, "of: it is what a cut's pattern"),
        ({"where": "node-1", "loss": "1%", "one_way": True}, "one_way: it is of a cut"),
        ({"where": "node-1", "condition": "paused", "one_way": True}, "one_way: it is of a cut"),
        ({"where": "node-1", "delay": "5ms", "state": "wipe"}, "found none"),
        ({"where": "node-1", "condition": "paused", "state": "keep"}, "found paused"),
        ({"where": "node-1", "condition": "killed", "state": "lose"}, "one of keep, wipe"),
        ({"where": "node-1", "condition": "restarted", "for_s": 3}, "for_s: a restart is a moment"),
        ({"where": "node-1", "condition": "restarted", "flap_s": 3}, "flap_s: a restart is a mo"),
        ({"cut": "halves", "up": "1mbit"}, "cut halves: up and down are of nodes"),
        ({"cut": "halves", "loss": "1%", "down": "1mbit"}, "of the cut's paths, say rate"),
        ({"where": "node-1", "down": "1mbit", "part": "50%"}, "part: it is of paths"),
        ({"where": "node-1", "rate": "1mbit", "part": "50%"}, "a node are of its own link"),
        ({"cut": "halves", "name": "x: cut"}, "does not end with ': cut', as the cut around a m"),
    ],
)
def test_bad_words_are_said_before_anything_changes(words, said):
    with pytest.raises(BadFileError) as refused:
        spec.parse(words).resolve(NODES, 1)
    assert said in str(refused.value)


def test_a_rate_of_a_node_is_of_its_link_and_of_a_path_of_the_path():
    node = spec.parse({"where": "node-1", "rate": "10mbit"}).resolve(NODES, 1)
    assert (node.up, node.down, node.paths) == (
        {"node-1": 10_000_000},
        {"node-1": 10_000_000},
        frozenset(),
    )
    assert spec.parse({"where": "node-1", "rate": "10mbit", "up": "1mbit"}).resolve(
        NODES, 1
    ).up == {"node-1": 1_000_000}
    assert (
        spec.parse({"where": "node-1 -> node-2", "rate": "10mbit"})
        .resolve(NODES, 1)
        .impairment.rate_bps
        == 10_000_000
    )
    assert spec.parse({"cut": "halves", "loss": "30%"}).resolve(NODES, 1).impairment == Impairment(
        loss=0.3
    )
    for words in (
        {"where": "node-1 -> region:us, node-3", "loss": "1%"},
        {"cut": "isolate", "of": ["node-1", "node-3"]},
    ):
        assert spec.parse(words).named_nodes(NODES) == {"node-1", "node-3"}


def test_a_scenario_s_faults_are_checked_before_it_is_run(tmp_path):
    (tmp_path / "t.toml").write_text("[nodes]\ncount = 4\n")
    scenario = tmp_path / "s.toml"
    text = (
        "topology = 't.toml'\n[[phase]]\nname = 'load'\nduration_s = "
        "10\n[[phase.fault]]\nwhere = 'node-1 -> node-2'\ndelay = '50ms'\n"
    )
    scenario.write_text(text)
    run.check(files.read_scenario(scenario))
    for old, new, said in (
        ("node-2'", "node-7'", "phase load: fault 1: there is no node 'node-7'"),
        ("50ms", "50 furlongs", "phase[1].fault[1]: delay: expected a time"),
        ("delay", "dealy", "unknown key; did you mean 'delay'?"),
        (
            "delay",
            "at_s = 8\nfor_s = 5\ndelay",
            "a fault that ends after 13 s does not fit into 10 s",
        ),
        ("delay", "flap_s = 0.1\ndelay", "flap_s: expected at least 0.5"),
        ("delay", "at_s = 10\ndelay", "a fault at its end, 10 s, would never be set"),
        ("delay", "at_s = nan\ndelay", "at_s: expected a finite number of seconds, found nan"),
        ("delay", "for_s = nan\ndelay", "for_s: expected a finite number of seconds"),
        ("delay", "for_s = 5\nflap_s = nan\ndelay", "flap_s: expected a finite number"),
        ("10\n[[", "nan\n[[", "duration_s: expected a number, found nan"),
    ):
        scenario.write_text(text.replace(old, new))
        with pytest.raises(BadFileError, match=re.escape(said)):
            run.check(files.read_scenario(scenario))


def scenario(*phases):
    return Scenario(
        name="s", topology=Topology(name="t", nodes=tuple(NODES), links=frozenset()), phases=phases
    )


def phase(name, duration_s, *faults):
    return Phase(name=name, duration_s=duration_s, faults=tuple(map(spec.parse, faults)))


FLAPPING = {"cut": "halves", "at_s": 2, "for_s": 5, "flap_s": 2}
RAIN = {"where": "all", "loss": "1%", "name": "rain", "at_s": 1}
STOPPED = {"where": "region:us", "condition": "stopped", "for_s": 3}


def test_faults_come_go_and_flap_by_the_clock():
    played = timeline.compile(scenario(phase("a", 10.0, FLAPPING), phase("b", 5.0, RAIN, STOPPED)))
    assert [(one.at_s, one.verb, one.fault.name) for one in played.changes] == [
        (2.0, "set", "a-1"),
        (4.0, "clear", "a-1"),
        (6.0, "set", "a-1"),
        (7.0, "clear", "a-1"),
        (10.0, "set", "b-2"),
        (11.0, "set", "rain"),
        (13.0, "clear", "b-2"),
        (15.0, "clear", "rain"),
    ]
    assert played.changes[4].fault.nodes == tuple(NAMES[4:])
    assert played.changes[4].fault.condition is Condition.STOPPED


def test_a_timeline_is_the_same_after_json():
    many = ("isolate", "majority-ring", "minority", "halves", "by-region")
    cuts = [{"cut": name, "of": ["node-2"] if name == "isolate" else []} for name in many]
    toxic = {"where": "node-1 -> node-2", "toxic": ["latency latency=5", "slicer"], "up": None}
    node = {"where": "node-1", "rate": "10mbit", "delay": "5ms", "jitter": "1ms"}
    played = timeline.compile(
        scenario(phase("a", 10.0, *cuts, toxic, node, FLAPPING), phase("b", None, RAIN, STOPPED))
    )
    again = timeline.Timeline.from_json(json.loads(json.dumps(played.as_json())))
    assert again == played
    assert [change.fault.name for change in again.changes] == [
        change.fault.name for change in played.changes
    ]


def test_of_two_faults_of_one_name_both_are_the_timelines():
    """Only the last was held against what the kernel can do."""
    wet, torn = ({"where": "all", "loss": "1%", "name": "f"}, {"cut": "halves", "name": "f"})
    played = timeline.compile(scenario(phase("a", 10.0, wet), phase("b", 10.0, torn)))
    assert [fault.does for fault in played.faults] == ["loss 1 %", "cut"]
    assert [one["fault"] for one in played.as_json()["changes"]] == [0, 0, 1, 1]


def test_everybody_to_everybody_is_one_group():
    fault = spec.parse({"where": "all", "loss": "1%"}).resolve(NODES, 1)
    assert [len(group[0]) for group in fault.as_json()["paths"]] == [len(NODES)]
    assert len(spec.parse({"cut": "halves"}).resolve(NODES, 1).as_json()["far"]) == 2


@pytest.mark.parametrize("broken", [{}, {"version": 2}, {"version": 1, "seed": 1, "phases": [{}]}])
def test_what_is_no_timeline_is_refused(broken):
    with pytest.raises(HarnessError, match="timeline"):
        timeline.Timeline.from_json(broken)


def test_of_two_conditions_the_worse_wins():
    paused = Fault(name="p", nodes=("a", "b"), condition=Condition.PAUSED)
    stopped = Fault(name="s", nodes=("b",), condition=Condition.STOPPED)
    for order in ([paused, stopped], [stopped, paused]):
        assert fold_conditions(order) == {"a": Condition.PAUSED, "b": Condition.STOPPED}


# ---- folding and compiling -----------------------------------------------------------------------

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


# ---- the checker ---------------------------------------------------------------------------------


def change(verb, at_s, paths=1, name="slow", **more):
    at_ns = at_s * SECOND
    return FaultChanged(verb=verb, fault=name, paths=paths, set_ns=at_ns, at_ns=at_ns, **more)


def proof(what, answer, at_s, name="slow", **more):
    return Proof(
        at_ns=int(at_s * SECOND),
        fault=name,
        what=what,
        answer=ProofAnswer(answer),
        **{"backend": "nftables", **more},
    )


def judged(events, proofs):
    return checker.check(history(events=tuple(events), proofs=tuple(proofs)))


PROVEN = [
    proof("read back", "in force", 2.1),
    proof("delay", "in force", 2.5),
    proof("read back", "in force", 5.1),
    proof("clear", "gone", 5.5),
]


def test_a_run_without_faults_has_no_finding():
    assert judged([], []) == []


def test_in_force_and_gone_is_a_pass_and_anything_less_is_not():
    events = [change("set", 2), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")
    for missing, said in (
        (0, "it was not read back"),
        (1, "no probe showed it in force"),
        (3, "no probe showed it gone"),
    ):
        [finding] = judged(events, [one for index, one in enumerate(PROVEN) if index != missing])
        assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
        assert said in finding.sentence


def test_a_fault_of_streams_wants_a_stream():
    events = [change("set", 2, does="toxic latency"), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, "no stream showed it in force" in finding.sentence) == (
        Answer.UNKNOWN,
        True,
    )
    [finding] = judged(events, [*PROVEN, proof("toxic latency downstream", "in force", 2.6)])
    assert finding.answer is Answer.PASS


def test_a_condition_wants_a_look_at_its_nodes():
    events = [change("set", 2, 0, nodes=("node-1",)), change("clear", 5, 0, nodes=("node-1",))]
    shown = [proof("condition", "in force", 2.1), proof("condition", "gone", 5.1)]
    [finding] = judged(events, shown)
    assert finding.answer is Answer.PASS
    for missing, said in ((0, "(set): no look at its nodes"), (1, "(clear): no look at its")):
        [finding] = judged(events, [one for index, one in enumerate(shown) if index != missing])
        assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
        assert said in finding.sentence


def test_a_wiped_state_wants_a_look_too():
    of = {"paths": 0, "nodes": ("node-1",)}
    events = [change("set", 2, does="killed, state wiped", **of), change("clear", 5, **of)]
    shown = [proof("condition", "in force", 2.1), proof("condition", "gone", 5.1)]
    [finding] = judged(events, shown)
    assert "(set): nobody looked at its state" in finding.sentence
    [finding] = judged(events, [*shown, proof("state", "in force", 2.2)])
    assert finding.answer is Answer.PASS


def test_one_contradiction_is_enough_and_names_the_path():
    wrong = proof(
        "delay",
        "not in force",
        3,
        path=("node-1", "node-2"),
        sentence="the median of 10 probes took 0.1 ms, asked are 50 ms",
        backend="nfqueue",
    )
    [finding] = judged([change("set", 2), change("clear", 5)], [*PROVEN, wrong])
    assert finding.cause is Cause.FAULT_NOT_PROVEN
    assert (
        "slow: delay on node-1 -> node-2 not in force by nfqueue: the median of 10 probes took "
        "0.1 ms" in finding.sentence
    )
    [finding] = judged(
        [change("set", 2), change("clear", 5)], [*PROVEN, proof("clear", "not gone", 6)]
    )
    assert finding.answer is Answer.UNKNOWN


def test_an_amount_that_could_not_be_shown_is_said():
    [finding] = judged(
        [change("set", 2), change("clear", 5)], [*PROVEN, proof("loss", "amount not shown", 4)]
    )
    assert finding.answer is Answer.PASS
    assert "amount not shown: loss of slow" in finding.sentence


def test_a_row_about_a_fault_wants_its_amount_and_others_do_not():
    lossy = [
        proof("read back", "in force", 2.1),
        proof("delay", "in force", 2.5),
        proof("loss", "amount not shown", 4),
    ]
    found = history(events=(change("set", 2), change("clear", 5)), proofs=tuple(lossy))
    load = found.phase("load")
    assert checker.not_shown(found, "slow", load) == "slow: in force, amount not shown: loss"
    assert (
        checker.not_shown(
            replace(found, proofs=(*lossy, proof("loss", "in force", 4.5))), "slow", load
        )
        is None
    )
    assert checker.not_shown(found, "other", load) == "the run had no fault 'other' in phase load"
    assert "not in force" in checker.not_shown(
        replace(found, proofs=(*lossy, proof("delay", "not in force", 4.5))), "slow", load
    )
    about = Row(
        name="r",
        metric="rss",
        statistic="max",
        unit="MB",
        bound=1e6,
        conditions=Conditions(phase="load", under="slow"),
    )
    [finding] = rows.check(found, [about])
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)


@given(st.text(max_size=12))
def test_no_text_breaks_the_readers_of_quantities(text):
    for read in (quantities.time_ms, quantities.rate_bps, quantities.share):
        with contextlib.suppress(BadFileError):
            assert read(text) >= 0


def test_a_fault_is_proven_for_what_looks_cover():
    """A look at 0.1 s says nothing of ten minutes."""
    found = history(
        seconds=600,
        events=(change("set", 2, does="delay 50 ms"),),
        proofs=(proof("read back", "in force", 2.1), proof("delay", "in force", 2.1)),
    )
    [finding] = checker.check(found)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert "nobody looked at it for 598.9 s of the 599.0 s that it stood" in finding.sentence
    looks = tuple(proof("read back", "in force", at, name="all") for at in range(3, 601, 5))
    [finding] = checker.check(replace(found, proofs=(*found.proofs, *looks)))
    assert finding.answer is Answer.PASS


@pytest.mark.parametrize(
    ("does", "what"),
    [
        ("rate 5 Mbit/s", "rate into"),
        ("up 5 Mbit/s, down 5 Mbit/s", "rate up"),
        ("delay 50 ms, jitter 5 ms", "jitter"),
        ("delay 50 ms, reorder 5 %", "reorder"),
        ("duplicate 1 %", "duplicate"),
        ("corrupt 1 %", "corrupt"),
        ("loss 1 %", "loss"),
        ("half-open new", "half-open"),
        ("half-open established", "flows"),
    ],
)
def test_every_impairment_wants_a_record(does, what):
    events = [change("set", 2, does=does), change("clear", 5)]
    [finding] = judged(events, PROVEN)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert f"nobody looked at its {what}" in finding.sentence
    records = [proof(one, "amount not shown", 4) for one in seen_as(does)]
    [finding] = judged(events, [*PROVEN, *records])
    assert finding.answer is Answer.PASS
    assert "amount not shown: " in finding.sentence


def test_a_fault_of_which_nothing_happened_is_under_no_row():
    """The delay was shown and the duplicates were not: the row is about both."""
    events = (change("set", 2, does="delay 50 ms, duplicate 1 %"), change("clear", 5))
    found = history(events=events, proofs=tuple(PROVEN))
    load = found.phase("load")
    assert "amount not shown: duplicate" in checker.not_shown(found, "slow", load)
    shown = replace(found, proofs=(*PROVEN, proof("duplicate", "in force", 4)))
    assert checker.not_shown(shown, "slow", load) is None


def test_a_row_under_a_fault_is_judged_on_what_was_due_while_it_stood():
    """The slow ones were due before it, or in the pause between its two stretches."""
    due = [
        (at, 2 if 3_000 <= at < 4_000 or 6_000 <= at < 7_000 else 500) for at in range(0, 9_000, 10)
    ]  # ms into the phase, ms that it took
    found = history(
        [
            operation(at, sent_ns=SECOND + at * MS, done_ns=SECOND + (at + took) * MS)
            for at, took in due
        ],
        events=(change("set", 4), change("clear", 5), change("set", 7), change("clear", 8)),
    )
    load = found.phase("load")
    window = checker.under(found, "slow", load)
    assert (window.begin_ns, window.end_ns) == (4 * SECOND, 8 * SECOND)
    [finding] = rows.check(
        replace(found, phases=(window,)),
        [
            Row(
                name="r",
                metric="private_message.end_to_end",
                statistic="max",
                unit="ms",
                bound=10.0,
                conditions=Conditions(phase="load"),
            )
        ],
    )
    assert (finding.answer, finding.measured) == (Answer.PASS, "2 ms (n=200)")
    assert checker.under(found, "other", load).seconds == 0


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
