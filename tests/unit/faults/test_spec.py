"""The words of a fault: what they mean, and what is said of bad ones before anything changes."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.regions import NODES

from harness.errors import BadFileError
from harness.experiments import run
from harness.faults import spec, targets
from harness.scenario import files
from harness.topology import quantities
from harness.topology.impairment import Impairment


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


@given(st.text(max_size=12))
def test_no_text_breaks_the_readers_of_quantities(text):
    for read in (quantities.time_ms, quantities.rate_bps, quantities.share):
        with contextlib.suppress(BadFileError):
            assert read(text) >= 0
