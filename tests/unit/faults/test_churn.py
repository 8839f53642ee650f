"""Churn is planned: all are back by the end, never below the floor, at the rate that was asked."""

from __future__ import annotations

import json
import statistics

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.errors import BadFileError
from harness.faults.churn import Away, Churn, Sessions
from harness.faults.fault import Condition, State, Verb
from harness.faults.spec import parse
from harness.scenario import files, timeline
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.timeline import Timeline
from harness.topology.topology import Node, Topology

HUNDRED = tuple(Node(name=f"node-{index}") for index in range(100))


def churn(**changes):
    return Churn(**{"rate_per_s": 1.0, "down_s": 2.0, "floor": 0, **changes})


@st.composite
def asked(draw):
    count = draw(st.integers(2, 12))
    how = draw(st.sampled_from([Condition.STOPPED, Condition.KILLED, Condition.CRASHED]))
    down_s = draw(st.floats(2.0 if how is Condition.CRASHED else 0.5, 5))
    floor = draw(st.integers(0, count - 1))
    most = min((count - floor) / down_s, count / down_s * 0.99)
    shape = draw(st.none() | st.floats(0.3, 3))
    return count, churn(
        rate_per_s=draw(st.floats(0.01, 0.99)) * most,
        down_s=down_s,
        floor=floor,
        sessions=Sessions.EXPONENTIAL if shape is None else Sessions.WEIBULL,
        shape=shape,
        how=how,
        at_s=draw(st.floats(0, 10)),
    )


@given(asked(), st.integers(0, 1000), st.booleans())
def test_churn_ends_healthy_and_keeps_the_floor(made, seed, beside):
    """Also beside a fault that keeps a node down meanwhile, and after one."""
    count, one = made
    nodes = HUNDRED[:count]
    faults = ({"where": "node-0", "condition": "stopped", "at_s": 3, "for_s": 9},) if beside else ()
    phases = (
        Phase(name="before", duration_s=7.0),
        Phase(name="churn", duration_s=30.0, churn=(one, one), faults=tuple(map(parse, faults))),
    )
    topology = Topology(name="t", nodes=nodes, links=frozenset())
    try:
        played = timeline.compile(Scenario(name="s", topology=topology, phases=phases, seed=seed))
    except BadFileError as refused:
        assume("nobody would leave" not in str(refused))
        raise
    assert Timeline.from_json(json.loads(json.dumps(played.as_json()))) == played
    assert (
        timeline.compile(Scenario(name="s", topology=topology, phases=phases, seed=seed)) == played
    )
    down: dict[str, str] = {}  # node → the fault that keeps it down
    lowest = count
    for change in played.changes:
        assert 7.0 <= change.at_s <= 37.0
        [node] = change.fault.nodes
        if change.verb is Verb.SET:
            assert node not in down
            down[node] = change.fault.name
        else:
            assert down.pop(node) == change.fault.name
        lowest = min(lowest, count - len(down))
    assert not down
    assert lowest >= one.floor


@pytest.mark.parametrize("shape", [None, 0.5, 2.0])
def test_as_many_leave_as_was_asked_from_the_first_second_on(shape):
    one = churn(
        rate_per_s=2.0,
        sessions=Sessions.EXPONENTIAL if shape is None else Sessions.WEIBULL,
        shape=shape,
    )
    away = [one.departures(HUNDRED, seed, 102.0) for seed in range(40)]
    for from_s, to_s in ((0, 10), (50, 60), (90, 100)):
        leaves = [sum(from_s <= each.from_s < to_s for each in run) for run in away]
        # 40 runs of 20 leaves each on average: 800, and at most so variable as Poisson's (28)
        # times the burstiness of the sessions (5 for a shape of 0.5).
        assert abs(sum(leaves) - 800) < 150, (shape, from_s, sum(leaves))


def test_weibull_sessions_of_a_small_shape_are_many_short_ones_and_a_few_long_ones():
    lasted = {}
    for shape in (None, 0.5):
        one = churn(
            rate_per_s=20.0,
            down_s=1.0,
            sessions=Sessions.EXPONENTIAL if shape is None else Sessions.WEIBULL,
            shape=shape,
        )
        back: dict[str, float] = {}
        lasted[shape] = found = []
        for each in one.departures(HUNDRED, 1, 1000.0):
            if each.node in back:
                found.append(each.from_s - back[each.node])
            back[each.node] = each.to_s
        assert statistics.mean(found) == pytest.approx(4.0, rel=0.1)
    assert statistics.median(lasted[None]) == pytest.approx(4.0 * 0.693, rel=0.1)
    assert statistics.median(lasted[0.5]) == pytest.approx(2.0 * 0.480, rel=0.15)


def test_churn_beside_another_keeps_the_floor_of_each():
    """One that came later, and had a lower floor or none, left nobody of the first one's."""
    first = churn(where="node-0,node-1,node-2,node-3", rate_per_s=0.2, floor=3, name="a")
    beside = churn(where="all", rate_per_s=1.0, floor=0, name="b")
    for churns in ((first, beside), (beside, first)):
        phase = Phase(name="churn", duration_s=60.0, churn=churns)
        topology = Topology(name="t", nodes=HUNDRED[:6], links=frozenset())
        # By most other seeds nobody of the first would leave beside the other: that is refused.
        played = timeline.compile(Scenario(name="s", topology=topology, phases=(phase,), seed=4))
        down: set[str] = set()
        for change in played.changes:
            (down.add if change.verb is Verb.SET else down.discard)(change.fault.nodes[0])
            assert len(down & {"node-0", "node-1", "node-2", "node-3"}) <= 1, change.at_s
        assert len(played.changes) > 40


def test_who_is_away_already_does_not_leave_and_does_not_count():
    one = churn(rate_per_s=0.5, floor=1)
    others = [Away("node-0", 0.0, 50.0)]
    away = one.departures(HUNDRED[:3], 1, 50.0, others)
    assert {each.node for each in away} == {"node-1", "node-2"}
    away.sort()
    for each in away:
        beside = [b for b in away if b.node != each.node and b.from_s < each.to_s]
        assert all(b.to_s <= each.from_s for b in beside)  # else nobody would live


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rate_per_s": 0.0}, "rate_per_s: expected above 0, found 0"),
        ({"down_s": 0.1}, "down_s: expected at least 0.5"),
        ({"down_s": 1.0, "how": Condition.CRASHED}, "down_s: expected at least 2 of crashed nodes"),
        ({"floor": -1}, "floor: expected 0 or more, found -1"),
        ({"at_s": -1.0}, "at_s: expected 0 or more, found -1"),
        ({"for_s": 2.0}, "for_s: expected more than down_s, 2"),
        ({"shape": 0.5}, "found sessions = 'exponential' and shape 0.5"),
        ({"sessions": Sessions.WEIBULL}, "found sessions = 'weibull' and shape none"),
        ({"sessions": Sessions.WEIBULL, "shape": 0.0}, "shape: expected above 0, found 0"),
    ],
)
def test_what_cannot_be_is_refused(changes, says):
    with pytest.raises(BadFileError) as refused:
        churn(**changes)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"rate_per_s": 2.0, "floor": 7}, "keep 4 of 10 nodes away on average; expected at most 3"),
        ({"rate_per_s": 5.0}, "leave less than 5 times a second; found 5"),
        ({"where": "node-99"}, "there is no node 'node-99'"),
    ],
)
def test_a_rate_that_these_nodes_cannot_have_is_refused(changes, says):
    with pytest.raises(BadFileError) as refused:
        churn(**changes).departures(HUNDRED[:10], 1, 60.0)
    assert says in str(refused.value)


def test_churn_that_nobody_would_take_part_in_is_refused():
    """Its phase was played and judged as one in which nodes leave, and every node stayed."""
    topology = Topology(name="t", nodes=HUNDRED[:5], links=frozenset())

    def compiled(seed, **changes):
        one = churn(**{"rate_per_s": 0.2, "floor": 3, **changes})
        phase = Phase(name="leaving", duration_s=6.0, churn=(one,))
        asked = Scenario(name="s", topology=topology, phases=(phase,), seed=seed)
        return timeline.compile(asked)

    def refusal(seed, **changes):
        with pytest.raises(BadFileError) as refused:
            compiled(seed, **changes)
        return str(refused.value)

    quiet, busy = 3, 1  # seeds
    assert compiled(busy).changes
    assert refusal(quiet) == (
        "phase leaving: churn 1: with seed 3 nobody would leave in the 6 s of the phase, by churn "
        "of all: 0.2 leave a second, exponential sessions, killed for 2 s, at least 3 live: "
        "nothing would be tested; possible: a higher rate_per_s, a longer phase, another seed, a "
        "lower floor"
    )
    assert refusal(quiet, floor=0, for_s=5.0).endswith("a longer for_s, another seed")
    assert compiled(quiet, rate_per_s=0.9).changes


SCENARIO = """
topology = "ten.toml"
[[phase]]
name = "churn"
duration_s = {seconds}
[[phase.churn]]
rate_per_s = 0.5
down_s = 3
floor = 7
sessions = "weibull"
shape = 0.6
how = "crashed"
state = "wipe"
{more}
"""


def test_a_scenario_asks_for_churn(tmp_path):
    (tmp_path / "ten.toml").write_text("[nodes]\ncount = 10\n[shape]\nkind = 'full-mesh'\n")
    path = tmp_path / "churn.toml"

    def read(seconds="20", more=""):
        path.write_text(SCENARIO.format(seconds=seconds, more=more))
        return files.read_scenario(path)

    [one] = read().phases[0].churn
    assert (one.how, one.state, one.shape, one.name) == (Condition.CRASHED, State.WIPE, 0.6, "")
    played = timeline.compile(read())
    assert {fault.does for fault in played.faults} == {"crashed, state wiped"}
    assert all(fault.name.startswith("churn-churn-1 node-") for fault in played.faults)
    for seconds, more, says in (
        ("20", "flor = 3", r"phase\[1\].churn\[1\].flor: unknown key; did you mean 'floor'"),
        ("2", "", "churn that takes 3 s at least does not fit into 2 s"),
        ("20", "at_s = 18", "churn that takes 21 s at least does not fit into 20 s"),
    ):
        with pytest.raises(BadFileError, match=says):
            read(seconds, more)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("node-1, node-2, node-3, node-4", "churn of node-1, node-2, node-3, node-4: "),
        ("region:eu", "churn of region:eu: "),
        (", ".join(f"node-{n}" for n in range(80, 100)), "node-80, node-81, node-82 and 17 more: "),
    ],
)
def test_of_many_nodes_the_first_are_named(where, said):
    """The line of a soak's window named twenty."""
    assert said in churn(where=where).words


def test_churn_without_an_end_is_refused():
    with pytest.raises(BadFileError, match="churn needs a duration_s"):
        Phase(name="a", duration_s=None, churn=(churn(),))
