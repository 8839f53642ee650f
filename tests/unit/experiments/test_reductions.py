"""Each way to make a case smaller: what it leaves, and that what it leaves can be played."""

from __future__ import annotations

import tomllib
from collections import Counter

import pytest
from kit.cases import case, fault, row, stream, twelve

from harness.experiments import amounts
from harness.experiments.case import differences
from harness.experiments.delta_debugging import Drop, Search, Trials
from harness.experiments.laboratory import Laboratory, _write
from harness.experiments.reductions import passes
from harness.experiments.sequential_test import Outcome, SequentialTest
from harness.scenario import files, timeline
from harness.topology import quantities

ALL = {one.name: one for one in passes({""})}


def readable(tmp_path, one):
    """The scenario that a case is, compiled; raises where it cannot be played."""
    planned = files.read_scenario(_write(tmp_path, one))
    timeline.compile(planned)
    return planned


def without(name, one, *gone):
    return ALL[name].without(one, set(gone))


def lowered(name, one, value, number=0):
    return ALL[name].numbers(one)[number].put(one, value)


def only_fault(one):
    [(_, _, found)] = one.documents().faults()
    return found


# What is left of these may be nothing that can be: a jitter above its delay, nobody to aim at.
NOT_ALWAYS = {"targets of faults", "words of faults", "amounts of faults"}


def test_every_part_and_number_of_a_case_can_be_reduced(tmp_path):
    one = twelve()
    for number, each in enumerate(ALL.values()):
        if isinstance(each, Drop):
            made = [each.without(one, {part}) for part in each.parts(one)]
        else:
            made = [found.put(one, found.goal) for found in each.numbers(one)]
        assert made or each.name == "nodes"  # all of its nodes are named by faults
        assert one not in made
        if each.name not in NOT_ALWAYS:
            for position, smaller in enumerate(made):
                readable(tmp_path / f"{number}-{position}", smaller)


def test_a_phase_goes_with_its_rows_but_not_the_last_wanted_one():
    one = case(
        [{"name": "a", "duration_s": 2}, {"name": "b", "duration_s": 3}],
        rows=[row("a"), row("b", "other")],
    )
    [only_b] = without("phases", one, "a").documents().phases
    assert only_b["name"] == "b"
    assert [each["name"] for each in without("phases", one, "a").documents().budget["row"]] == [
        "other"
    ]
    assert without("phases", one, "a", "b") is None
    wanted = passes({"a"})[0]
    assert wanted.without(one, {"a"}) is None
    assert wanted.without(one, {"b"}).documents().seconds == 2


def test_a_shorter_phase_keeps_its_faults_and_what_overlapped(tmp_path):
    phase = {
        "name": "chaos",
        "duration_s": 20,
        "stream": [stream() | {"after_s": 5}],
        "fault": [
            {"name": "a", "where": "node-1", "loss": "5%", "at_s": 12, "for_s": 3},
            {"name": "b", "where": "node-2", "loss": "5%", "at_s": 14},
            {"name": "c", "where": "node-3", "loss": "5%", "for_s": 15},
        ],
    }
    made = lowered("lengths of phases", case([phase]), 4.0)
    [found] = made.documents().phases
    spans = [(one.get("at_s"), one.get("for_s")) for one in found["fault"]]
    assert spans == [(1, 3), (0, None), (None, 4)]
    assert found["stream"][0]["after_s"] == 2
    readable(tmp_path, made)


def test_nodes_that_are_named_stay_and_keep_their_names(tmp_path):
    one = case([{"name": "a", "duration_s": 9, "fault": [fault(7)]}])  # of node-7 and node-0
    [number] = ALL["nodes"].numbers(one)
    assert (number.value, number.goal) == (12, 2)
    for count, names in (
        (2, ["node-0", "node-7"]),
        (4, ["node-0", "node-1", "node-2", "node-7"]),
        (9, [f"node-{index}" for index in range(9)]),
    ):
        made = number.put(one, count)
        planned = readable(tmp_path / str(count), made)
        assert [node.name for node in planned.topology.nodes] == names
    assert tomllib.loads(number.put(one, 9).documents().written("x")["x.topology.toml"]) == {
        "name": "t",
        "nodes": {"count": 9},
        "shape": {"kind": "full-mesh"},
    }
    assert number.put(one, 1) is None


def test_each_region_keeps_a_node_and_each_node_its_region(tmp_path):
    one = case(
        [{"name": "a", "duration_s": 2}],
        nodes={"count": 9, "regions": ["eu", "us", "asia"], "options": {"x": 1}},
        region_link=[{"between": ["eu", "us"], "delay": "40ms"}],
    )
    [number] = ALL["nodes"].numbers(one)
    assert number.goal == 3
    planned = readable(tmp_path, number.put(one, 4))
    assert [(node.name, node.region) for node in planned.topology.nodes] == [
        ("node-0", "eu"),
        ("node-1", "eu"),
        ("node-3", "us"),
        ("node-6", "asia"),
    ]
    assert {node.options["x"] for node in planned.topology.nodes} == {1}


def test_a_number_of_nodes_that_the_shape_cannot_have_is_none():
    one = case([{"name": "a", "duration_s": 2}], shape={"kind": "random-regular", "degree": 3})
    [number] = ALL["nodes"].numbers(one)
    assert number.put(one, 7) is None
    assert number.put(one, 8) is not None


def test_streams_and_iperf3_go_one_by_one():
    phase = {
        "name": "a",
        "duration_s": 2,
        "iperf3": ["node-1", "node-2"],
        "stream": [stream(), stream("broadcast")],
    }
    one = case([phase])
    assert list(ALL["streams"].parts(one)) == [("a", 0), ("a", 1), ("a", "iperf3")]
    [left] = without("streams", one, ("a", 0), ("a", "iperf3")).documents().phases
    assert left == {"name": "a", "duration_s": 2, "stream": [stream("broadcast")]}
    [left] = without("streams", one, *ALL["streams"].parts(one)).documents().phases
    assert left == {"name": "a", "duration_s": 2}


def test_a_rate_over_time_is_scaled():
    points = [[0, 10], [5, 200]]
    one = case([{"name": "a", "duration_s": 9, "stream": [stream(rate_per_s=points)]}])
    [found] = lowered("rates", one, 20.0).documents().phases
    assert found["stream"][0]["rate_per_s"] == [[0, 1], [5, 20]]


@pytest.mark.parametrize(
    ("words", "gone", "left"),
    [
        ({"where": "node-1, node-2"}, [("left", "node-1")], "node-2"),
        ({"where": "all"}, [("left", "node-0"), ("left", "node-2")], "node-1, node-3"),
        ({"where": "node-1 <-> node-2, node-3"}, [("right", "node-2")], "node-1 <-> node-3"),
        ({"where": "region:eu -> node-3"}, [("left", "node-0")], "node-1 -> node-3"),
        ({"where": "node-1 <-> node-2"}, [("way", "right")], "node-1 -> node-2"),
        ({"where": "node-1 <-> node-2"}, [("way", "left")], "node-2 -> node-1"),
    ],
)
def test_a_fault_is_aimed_at_fewer(words, gone, left):
    one = case(
        [{"name": "a", "duration_s": 2, "fault": [{"name": "f", "delay": "1ms"} | words]}],
        nodes={"count": 4, "regions": ["eu", "us"]},
    )
    made = without("targets of faults", one, *((("a", 0), *key) for key in gone))
    assert only_fault(made)["where"] == left


def test_an_isolated_node_is_left_out_of_a_cut_and_other_cuts_have_no_targets():
    isolate = {"name": "f", "cut": "isolate", "of": ["node-1", "node-2"]}
    one = case([{"name": "a", "duration_s": 2, "fault": [isolate, {"name": "g", "cut": "halves"}]}])
    keys = ALL["targets of faults"].parts(one)
    assert list(keys) == [(("a", 0), "of", "node-1"), (("a", 0), "of", "node-2")]
    made = without("targets of faults", one, keys[0])
    assert [fault["cut"] for _, _, fault in made.documents().faults()] == ["isolate", "halves"]
    assert next(iter(made.documents().faults()))[2]["of"] == ["node-2"]
    assert without("targets of faults", one, *keys) is None


def test_words_and_toxics_of_a_fault_go_one_by_one():
    words = {"name": "f", "where": "node-1", "delay": "5ms", "loss": "1%", "toxic": ["a", "b"]}
    one = case([{"name": "a", "duration_s": 2, "fault": [words]}])
    at = ("a", 0)
    assert [key[1] for key in ALL["words of faults"].parts(one)] == [
        "delay",
        "loss",
        "toxic 0",
        "toxic 1",
    ]
    made = only_fault(without("words of faults", one, (at, "loss"), (at, "toxic 0")))
    assert made == {"name": "f", "where": "node-1", "delay": "5ms", "toxic": ["b"]}


@pytest.mark.parametrize(
    ("word", "value", "goal", "written"),
    [
        ("delay", "80ms", 1.0, "1ms"),
        ("jitter", "5ms", 1.0, "1ms"),
        ("loss", "5%", 0.001, "0.1%"),
        ("rate", "1mbit", 1e9, "1000000kbit"),
        ("up", "10mbit", 1e9, "1000000kbit"),
        ("cpu", "20%", 1.0, "100%"),
        ("memory", "500mb", 1e10, "10000mb"),
        ("fds", "64", 1e4, "10000"),
    ],
)
def test_an_amount_is_made_milder(word, value, goal, written):
    """A rate, and what a node may use, is milder the higher it is."""
    words = {"name": "f", "where": "node-1", word: value}
    one = case([{"name": "a", "duration_s": 2, "fault": [words]}])
    [number] = ALL["amounts of faults"].numbers(one)
    assert number.goal == goal
    assert str(only_fault(number.put(one, goal))[word]) == written
    assert amounts.WORDS[word].read(written) == pytest.approx(goal)


CHURN = {"name": "coming", "rate_per_s": 2, "down_s": 1, "floor": 6}


def test_churn_is_left_out_like_a_fault_and_made_milder(tmp_path):
    phases = [{"name": "a", "duration_s": 9, "fault": [fault(1)], "churn": [CHURN]}]
    one = case(phases)
    assert one.documents().counts()["faults"] == 2
    assert list(ALL["faults"].parts(one)) == [("a", 0), ("a", "churn", 0)]
    [phase] = without("faults", one, ("a", "churn", 0)).documents().phases
    assert ("churn" in phase, len(phase["fault"])) == (False, 1)
    [phase] = without("faults", one, ("a", 0)).documents().phases
    assert phase["churn"] == [CHURN]
    milder = {number.name: number for number in ALL["amounts of faults"].numbers(one)}
    [(_, _, found)] = milder["coming: rate_per_s"].put(one, 0.5).documents().churns()
    assert found["rate_per_s"] == 0.5
    [(_, _, found)] = lowered("nodes", one, 8.0).documents().churns()
    assert (found["rate_per_s"], found["floor"]) == (1.333, 4)
    readable(tmp_path, lowered("nodes", one, 8.0))


def with_churn(one, nodes):
    """The rate and the floor of a case's churn that is left with so many nodes."""
    [(_, _, found)] = lowered("nodes", one, float(nodes)).documents().churns()
    return found["rate_per_s"], found["floor"]


def test_churn_of_nodes_that_stay_stays_as_it_is(tmp_path):
    """However many others are left out: as many leave of each node as before."""
    some = {"name": "some", "where": "node-5, node-6", "rate_per_s": 0.4, "down_s": 2, "floor": 1}
    one = case([{"name": "a", "duration_s": 9, "churn": [some]}], nodes=10)
    assert [with_churn(one, nodes) for nodes in (9, 5, 2)] == [(0.4, 1)] * 3
    readable(tmp_path, lowered("nodes", lowered("nodes", one, 5.0), 2.0))


def test_churn_of_a_region_goes_with_the_regions_nodes(tmp_path):
    """Of seven nodes three are of that region's four, of five one is; of the other all stay."""
    told = {}
    for region in ("eu", "us"):
        words = {"where": f"region:{region}", "rate_per_s": 0.4, "down_s": 1, "floor": 2}
        phase = {"name": "a", "duration_s": 9, "churn": [{"name": "some"} | words]}
        one = case([phase], nodes={"count": 8, "regions": ["eu", "us"]})
        told[region] = [with_churn(one, nodes) for nodes in (7, 5)]
        readable(tmp_path / region, lowered("nodes", one, 7.0))
    assert told == {"eu": [(0.4, 2), (0.4, 2)], "us": [(0.3, 2), (0.1, 1)]}


def test_a_floor_that_was_asked_for_is_never_gone():
    """It is rounded up: fewer that have to live would be another failure."""
    floors = {}
    for floor in (0, 1, 5):
        one = case([{"name": "a", "duration_s": 9, "churn": [CHURN | {"floor": floor}]}])
        floors[floor] = [with_churn(one, nodes)[1] for nodes in (10, 7, 3)]
    assert floors == {0: [0, 0, 0], 1: [1, 1, 1], 5: [5, 3, 2]}


def test_a_candidate_in_which_nobody_would_leave_any_more_cannot_be_played():
    phases = [{"name": "a", "duration_s": 9, "stream": [stream()], "churn": [CHURN]}]
    one = case(phases)
    assert Laboratory.refusal(one) is None
    [milder] = ALL["amounts of faults"].numbers(one)
    assert "nobody would leave" in Laboratory.refusal(milder.put(one, 0.1))


def test_a_system_keeps_the_time_that_it_is_given_to_start_and_to_recover():
    """Without a warm-up, or with a shorter time to converge, what is sound would fail too."""
    one = case(
        [
            {"name": "warm", "kind": "warm-up", "duration_s": 5},
            {"name": "chaos", "kind": "chaos", "duration_s": 6},
            {"name": "healed", "kind": "converge", "duration_s": 7},
            {"name": "late", "kind": "converge", "until": "coverage", "at_most_s": 40},
        ]
    )
    assert one.documents().seconds == 58
    assert list(ALL["phases"].parts(one)) == ["chaos", "healed", "late"]
    lengths = ALL["lengths of phases"].numbers(one)
    assert [number.name for number in lengths] == ["chaos: duration_s"]


def test_what_comes_after_a_recovery_keeps_it():
    """What is judged after it, or over the whole run, would fail for want of it."""
    one = case(
        [
            {"name": "chaos", "kind": "chaos", "duration_s": 6},
            {"name": "healed", "kind": "converge", "duration_s": 7},
            {"name": "after", "duration_s": 5},
        ]
    )
    some = passes({"chaos", "after"})[0]
    assert some.without(one, {"healed"}) is None
    assert some.without(one, {"healed", "after"}).documents().seconds == 6
    assert some.without(one, {"chaos", "healed"}) is None
    assert some.without(one, {"chaos"}).documents().seconds == 12
    whole = passes({""})[0]
    assert whole.without(one, {"healed", "after"}) is None
    assert whole.without(one, {"after"}).documents().seconds == 13


def test_twelve_faults_of_which_two_are_guilty():
    """They are found, with a quarter of the nodes or fewer, in the one phase that matters."""
    played = Counter()

    def play(one):
        played[one] += 1
        found = one.documents()
        phases = {phase["name"]: phase for phase in found.phases}
        faults = {fault["name"]: fault for _, _, fault in found.faults()}
        guilty = [faults.get("chaos-4"), faults.get("chaos-9")]
        fails = (
            all(guilty)
            and all(quantities.time_ms(one.get("delay", "0ms")) >= 30 for one in guilty)
            and len(found.nodes()) >= 3
            and phases["chaos"]["duration_s"] >= 3
            and any(one["operation"] == "broadcast" for one in phases["chaos"].get("stream", ()))
        )
        return Outcome.FAILS if fails else Outcome.PASSES

    search = Search(twelve(), Trials(play, SequentialTest(p1=0.95)))
    search.run(passes({"chaos"}))
    found = search.best.documents()
    assert search.is_minimal
    assert [phase["name"] for phase in found.phases] == ["chaos"]
    assert [fault["name"] for _, _, fault in found.faults()] == ["chaos-4", "chaos-9"]
    assert [one["operation"] for _, _, one in found.streams()] == ["broadcast"]
    assert len(found.nodes()) == 3
    assert 3 <= found.seconds <= 3.75
    assert all(30 <= quantities.time_ms(one["delay"]) <= 45 for _, _, one in found.faults())
    assert not any("jitter" in one for _, _, one in found.faults())
    assert set(played.values()) == {1}
    assert played.total() <= 100
    dropped, changed = differences(twelve(), search.best)
    assert len([line for line in dropped if line.startswith("fault chaos-")]) == 10
    assert "topology: nodes 3, was 12" in changed
