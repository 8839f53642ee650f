"""Forks: each change of the list, and what is refused, with what is possible."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit import run_folders

from harness.errors import UsageError
from harness.experiments import fork, original
from harness.experiments.original import Original
from harness.faults import spec
from harness.faults.fault import Verb
from harness.operations import Operation
from harness.scenario.rate import Profile
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.scenario.timeline import PlannedChange, PlannedPhase, Timeline, in_order
from harness.topology import shapes
from harness.topology.topology import Node, Topology

NAMES = [f"node-{index}" for index in range(12)]
TOPOLOGY = Topology(
    name="ring",
    nodes=tuple(Node(name=name) for name in NAMES),
    links=shapes.links("ring", NAMES, {}, 1),
)
WORDS = (
    ({"cut": "halves", "name": "halves"}, [(2, 6)]),
    ({"where": "node-7", "up": "1mbit", "down": "2mbit", "name": "narrow"}, [(3, 5), (7, 9)]),
    ({"where": "node-3 -> node-5", "delay": "20ms", "loss": "1%", "name": "slow"}, [(4, 30)]),
    ({"where": "node-9", "condition": "paused", "name": "asleep"}, [(10, 12)]),
)


def _timeline() -> Timeline:
    changes = []
    for words, spells in WORDS:
        fault = spec.parse(words).resolve(TOPOLOGY.nodes, 1)
        for begin_s, end_s in spells:
            changes.append(PlannedChange(at_s=begin_s, verb=Verb.SET, fault=fault))
            changes.append(PlannedChange(at_s=end_s, verb=Verb.CLEAR, fault=fault))
    phases = (PlannedPhase(name="load", begin_s=0.0, end_s=30.0),)
    return Timeline(seed=1, phases=phases, changes=in_order(changes))


@pytest.fixture
def of(tmp_path) -> Original:
    """A run of twelve nodes in a ring, with four faults."""
    found = original.read(run_folders.good(tmp_path))
    streams = (
        Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=10, sources=("node-2", "node-4")),
        Stream(
            operation=Operation.BROADCAST, rate_per_s=8, profile=Profile(points=((0, 2), (9, 8)))
        ),
    )
    phases = (Phase(name="load", duration_s=30.0, streams=streams),)
    return replace(
        found,
        scenario=replace(found.scenario, topology=TOPOLOGY, phases=phases),
        timeline=_timeline(),
    )


def spells(of: Original, name: str) -> list[tuple[str, float]]:
    return [(str(one.verb), one.at_s) for one in of.timeline.changes if one.fault.name == name]


def streams(of: Original) -> list[Stream]:
    return [stream for phase in of.scenario.phases for stream in phase.streams]


@pytest.mark.parametrize("which", ["3", "slow"])
def test_drop(of, which):
    found = fork.made(of, f"drop fault {which}")
    assert [one.name for one in found.timeline.faults] == ["halves", "narrow", "asleep"]
    assert found.scenario == of.scenario


def test_later_and_earlier(of):
    assert spells(fork.made(of, "fault 2 later 5s"), "narrow") == [
        *(("set", 8), ("clear", 10)),
        *(("set", 12), ("clear", 14)),
    ]
    assert spells(fork.made(of, "fault halves earlier 1500ms"), "halves") == [
        ("set", 0.5),
        ("clear", 4.5),
    ]
    moved = fork.made(of, "fault 3 later 5s")
    assert spells(moved, "slow") == [("set", 9), ("clear", 30)]  # no longer than the run
    assert [one.at_s for one in moved.timeline.changes] == sorted(
        one.at_s for one in moved.timeline.changes
    )


def test_longer_and_shorter(of):
    assert spells(fork.made(of, "fault 2 longer 1s"), "narrow") == [
        *(("set", 3), ("clear", 6)),
        *(("set", 7), ("clear", 10)),
    ]
    assert spells(fork.made(of, "fault 1 shorter 3s"), "halves") == [("set", 2), ("clear", 3)]


def test_what_went_as_the_run_was_closed_goes_no_earlier_by_being_longer(of):
    """The last answers came after its phases; the fault stood until then."""
    closed = tuple(
        replace(one, at_s=32.5) if (one.verb, one.at_s) == (Verb.CLEAR, 30) else one
        for one in of.timeline.changes
    )
    of = replace(of, timeline=replace(of.timeline, changes=closed))
    with pytest.raises(UsageError, match="nothing would change"):
        fork.made(of, "fault 3 longer 1s")
    assert spells(fork.made(of, "fault 3 later 1s"), "slow") == [("set", 5), ("clear", 32.5)]
    assert spells(fork.made(of, "fault 3 shorter 5s"), "slow") == [("set", 4), ("clear", 27.5)]


def test_amounts(of):
    assert fork.made(of, "fault 3 loss 5%").timeline.faults[2].impairment.loss == 0.05
    slower = fork.made(of, "fault slow delay 1s").timeline.faults[2]
    assert (slower.impairment.delay_ms, slower.impairment.loss) == (1000, 0.01)
    assert set(slower.paths) == {("node-3", "node-5")}
    wider = fork.made(of, "fault 2 up 8mbit").timeline
    assert [one.up for one in wider.faults if one.name == "narrow"] == [{"node-7": 8_000_000}]
    assert [one.down for one in wider.faults if one.name == "narrow"] == [{"node-7": 2_000_000}]
    assert len(wider.faults) == 4  # it comes twice, and is one still


def test_a_fork_can_be_made_a_scenario_again(of):
    """Its words are those of another amount, and the topology's file is kept where it is true."""
    changed = fork.made(of, "fault 3 loss 5%").timeline.faults[2]
    again = spec.parse({**spec.table_of(changed.words), "name": "slow"})
    assert again.resolve(TOPOLOGY.nodes, 1).as_json() == changed.as_json()
    of = replace(of, files={"topology.toml": "its text", "scenario.toml": "another"})
    assert fork.made(of, "fault 3 loss 5%").files == {"topology.toml": "its text"}
    assert fork.made(of, "nodes 9").files == {}


def test_rates(of):
    first, second = streams(fork.made(of, "rate x2.5"))
    assert first.rate_per_s == 25
    assert second.profile == Profile(points=((0, 5), (9, 20)))
    assert second.rate_per_s == 20
    first, second = streams(fork.made(of, "rate broadcast x0.5"))
    assert (first.rate_per_s, second.rate_per_s) == (10, 4)


@pytest.mark.parametrize(("factor", "count"), [("2", 200), ("0.5", 50), ("0.001", 1)])
def test_the_rate_of_a_stream_that_ends_after_so_many(of, factor, count):
    """It sends so many times as much, and not the same sooner; one operation at least."""
    burst = Stream(operation=Operation.BROADCAST, rate_per_s=50, count=100)
    rising = replace(burst, profile=Profile(points=((0, 2), (9, 50))))
    [phase] = of.scenario.phases
    phases = (replace(phase, streams=(burst, rising)),)
    of = replace(of, scenario=replace(of.scenario, phases=phases))
    found = streams(fork.made(of, f"rate x{factor}"))
    assert [one.count for one in found] == [count, count]
    assert [one.rate_per_s for one in found] == [pytest.approx(50 * float(factor))] * 2


def test_seed(of):
    found = fork.made(of, "seed 7")
    assert (found.scenario.seed, found.timeline.seed, found.workload.seed) == (7, 7, 7)
    assert found.timeline.changes == of.timeline.changes


def test_nodes(of):
    """Those that faults and streams name remain; a ring stays a ring."""
    found = fork.made(of, "nodes 8")
    names = [node.name for node in found.scenario.topology.nodes]
    assert len(names) == 8
    assert {"node-2", "node-3", "node-5", "node-7", "node-9"} <= {*names}
    assert len(found.scenario.topology.links) == 8
    assert {len(one) for one in found.scenario.topology.neighbours().values()} == {2}
    halves, narrow, slow, asleep = found.timeline.faults
    assert {*halves.far} == {*names}
    assert len(set(halves.far.values())) == 2
    assert set(slow.paths) == {("node-3", "node-5")}
    assert (asleep.nodes, {*narrow.up}) == (("node-9",), {"node-7"})
    assert [one.at_s for one in found.timeline.changes] == [one.at_s for one in of.timeline.changes]
    assert fork.made(of, "nodes 8") == found


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("drop fault 9", "there is no fault 9; expected .*: 1 halves, 2 narrow, 3 slow, 4 asleep"),
        ("drop fault fast", "there is no fault fast"),
        ("fault 1 later 40s", r"halves would come at 42 s; expected 0 to 30 s"),
        ("fault 1 earlier 3s", "halves would come at -1 s"),
        ("fault 2 longer 2s", "would go before it comes, or come again"),
        ("fault 1 shorter 4s", "would go before it comes, or come again"),
        ("fault 3 longer 1s", "nothing would change"),
        ("fault 3 loss 1%", "nothing would change"),
        ("fault 3 delay 0.02s", "nothing would change"),
        ("fault 2 up 1000kbit", "nothing would change"),
        ("fault 1 later 5", "units: us"),
        ("fault 1 loss 5%", "halves has no loss; it does: cut"),
        ("fault 3 up 1mbit", "slow has no up; it does: delay 20 ms, loss 1 %"),
        ("fault 3 loss 500%", "expected 0% to 100%"),
        ("rate x0", "above 0"),
        ("rate x1", "nothing would change"),
        ("rate teleport x2", "expected one of broadcast, private_message; found 'teleport'"),
        ("rate x1000000", "rate_per_s: expected above 0 and at most 1,000,000"),
        ("seed 99999999999999999999", "seed: expected 0 to"),
        ("nodes 12", "nothing would change"),
        ("nodes 1", "expected 2 to 1,000,000 nodes, found 1"),
        ("nodes 1000001", "expected 2 to 1,000,000 nodes"),
        ("nodes 3", "expected at least .* streams and faults are about"),
        ("make it fail", "possible: drop fault N; fault N later|earlier TIME;"),
        ("drop fault 3; rate x2", "there is no fault 3; rate x2"),
        ("", "possible: drop fault N"),
    ],
)
def test_what_is_refused(of, words, says):
    with pytest.raises(UsageError, match=says) as refused:
        fork.made(of, words)
    assert str(refused.value).startswith(f"--fork {words!r}: ")


def test_two_faults_of_one_name_are_told_apart_by_number(of):
    again = replace(of.timeline.faults[0])
    changes = [
        *of.timeline.changes,
        PlannedChange(at_s=20, verb=Verb.SET, fault=again),
        PlannedChange(at_s=21, verb=Verb.CLEAR, fault=again),
    ]
    of = replace(of, timeline=replace(of.timeline, changes=in_order(changes)))
    with pytest.raises(UsageError, match="2 faults have the name 'halves'"):
        fork.made(of, "drop fault halves")
    assert spells(fork.made(of, "drop fault 5"), "halves") == [("set", 2), ("clear", 6)]


@pytest.fixture
def namesakes(of) -> Original:
    """A run in which `wan` took the place of another `wan`, and two faults were called `again`."""

    def fault(where: str, name: str, **words: str):
        return spec.parse({"where": where, "name": name, **words}).resolve(TOPOLOGY.nodes, 1)

    first, second = fault("node-1", "wan", delay="30ms"), fault("node-2", "wan", delay="60ms")
    once, more = fault("node-3", "again", loss="5%"), fault("node-4", "again", loss="7%")
    changes = [
        PlannedChange(at_s=2.871, verb=Verb.SET, fault=first),
        PlannedChange(at_s=6.432, verb=Verb.SET, fault=second),
        PlannedChange(at_s=11.167, verb=Verb.CLEAR, fault=second),
        PlannedChange(at_s=12.694, verb=Verb.SET, fault=once),
        PlannedChange(at_s=14.698, verb=Verb.CLEAR, fault=once),
        PlannedChange(at_s=17.158, verb=Verb.SET, fault=more),
    ]
    return replace(of, timeline=replace(of.timeline, changes=tuple(changes)))


def delays(of: Original) -> list[tuple[str, float, float]]:
    """The changes of both `wan`, each told by its delay."""
    return [
        (str(one.verb), one.fault.impairment.delay_ms, pytest.approx(one.at_s))
        for one in of.timeline.changes
        if one.fault.name == "wan"
    ]


@pytest.mark.parametrize(
    ("words", "first", "second"),
    [
        ("drop fault 2", (2.871, 6.432), ()),
        ("drop fault 1", (), (6.432, 11.167)),
        ("fault 2 later 1s", (2.871, 6.432), (7.432, 12.167)),
        ("fault 1 earlier 1s", (1.871, 5.432), (6.432, 11.167)),
        ("fault 1 shorter 1s", (2.871, 5.432), (6.432, 11.167)),
        ("fault 2 longer 1s", (2.871, None), (6.432, 12.167)),
        ("drop fault 3", (2.871, None), (6.432, 11.167)),
        ("fault 1 delay 40ms", (2.871, None), (6.432, 11.167)),
    ],
)
def test_a_fault_that_another_of_its_name_ended_ends_then_in_a_fork_too(
    namesakes, words, first, second
):
    """Also where that one is dropped or moved; where it is not, it ends it, as it was played."""
    found = fork.made(namesakes, words)
    delay_ms = 40.0 if "delay" in words else 30.0
    wanted = [
        (verb, delay_ms, at_s)
        for delay_ms, times in ((delay_ms, first), (60.0, second))
        for verb, at_s in zip(("set", "clear"), times, strict=False)
        if at_s is not None
    ]
    assert delays(found) == sorted(wanted, key=lambda one: one[2])


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (
            "fault 3 later 4s",
            "there from 16.694 s to 18.698 s, and fault 4, .* from 17.158 s until",
        ),
        ("fault 3 later 16s", "and fault 4, which has its name, is from 17.158 s until the run"),
        ("fault 3 longer 3s", "again would be there from 12.694 s to 17.698 s"),
        ("fault 4 earlier 3s", "and fault 3, which has its name, is from 12.694 s to 14.698 s"),
        ("fault 1 later 1s", "wan would be there from 3.871 s to 7.432 s, and fault 2"),
        ("fault 1 longer 1s", "wan would be there from 2.871 s to 7.432 s, and fault 2"),
        ("fault 2 earlier 1s", "and fault 1, which has its name, is from 2.871 s to 6.432 s"),
    ],
)
def test_a_fault_is_not_moved_over_another_of_its_name(namesakes, words, says):
    """One of the two would be there for another time than it was, and nobody asked for that."""
    with pytest.raises(UsageError, match=f"{says}.*: of one name there is one fault at a time"):
        fork.made(namesakes, words)


def test_a_fault_is_moved_beside_another_of_its_name(namesakes):
    moved = fork.made(namesakes, "fault 3 later 2400ms")
    assert spells(moved, "again") == [
        ("set", pytest.approx(15.094)),
        ("clear", pytest.approx(17.098)),
        ("set", 17.158),
    ]


def test_every_change_has_an_example_that_is_taken(of):
    """The words of the list, filled in, are changes of that kind and of no other."""
    examples = [
        "drop fault 1",
        "fault 2 later 1s",
        "fault 2 shorter 1s",
        "fault 3 delay 30ms",
        "rate x2",
        "nodes 9",
        "seed 2",
    ]
    assert len(examples) == len(fork.CHANGES)
    for example, change in zip(examples, fork.CHANGES, strict=True):
        assert [one for one in fork.CHANGES if one.pattern.fullmatch(example)] == [change]
        fork.made(of, example)
