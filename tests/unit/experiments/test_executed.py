"""The changes of faults as they were executed: by whoever, in their order, inside the run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from kit.histories import MS, SECOND
from kit.run_folders import T0

from harness.errors import BadFileError
from harness.experiments import executed
from harness.faults import spec
from harness.faults.fault import Verb
from harness.history.events import FaultChanged, RunEnded
from harness.scenario.timeline import PlannedChange, Timeline
from harness.topology.topology import Node

NODES = [Node(name=f"node-{index}") for index in range(4)]
SLOW = spec.parse({"where": "node-1 -> node-2", "delay": "5ms", "name": "slow"}).resolve(NODES, 1)
LOSSY = spec.parse({"where": "node-0", "loss": "5%", "name": "slow"}).resolve(NODES, 1)
CUT = spec.parse({"cut": "halves"}).resolve(NODES, 1)
CRASH = spec.parse({"where": "node-3", "condition": "crashed", "name": "crash"}).resolve(NODES, 1)
AROUND = replace(CUT, name="crash: cut")
KEPT = {0: SLOW, 1: CUT, 2: LOSSY, 3: CRASH, 4: AROUND}
NOTHING = Timeline(seed=1, phases=())


def changed(verb: str, number: int, at_s: float, took_ms: float = 2.0) -> FaultChanged:
    """A change that began to be made so many seconds into the run."""
    set_ns = T0 + round(at_s * SECOND) + round(took_ms * MS)
    return FaultChanged(
        at_ns=set_ns + MS,
        verb=verb,
        fault=KEPT[number].name,
        set_ns=set_ns,
        took_ms=took_ms,
        resolved=number,
    )


def played(*happened) -> list[tuple[float, str, object]]:
    found = executed.changes(happened, KEPT, NOTHING, T0)
    return [(round(one.at_s, 6), str(one.verb), one.fault) for one in found]


def test_a_change_is_at_the_moment_at_which_it_began():
    assert played(changed("set", 0, 1.000_001), changed("clear", 0, 4.5, took_ms=300)) == [
        (1.000_001, "set", SLOW),
        (4.5, "clear", SLOW),
    ]


def test_what_stood_before_and_after_the_run():
    """It is set before the first phase, and stays until the run is closed."""
    assert played(changed("set", 1, -0.75, took_ms=0)) == [(-0.75, "set", CUT)]


def test_one_that_comes_and_goes_is_one_fault():
    happened = [changed(verb, 0, at_s) for at_s, verb in ((1, "set"), (2, "clear"), (3, "set"))]
    found = executed.changes(happened, KEPT, NOTHING, T0)
    assert len(Timeline(seed=1, phases=(), changes=found).faults) == 1
    assert [one.verb for one in found] == [Verb.SET, Verb.CLEAR, Verb.SET]


def test_one_that_takes_the_place_of_its_namesake():
    """Also where it is the same one again: it was set twice, and cleared once."""
    for number in (2, 0):
        found = executed.changes(
            [changed("set", 0, 1), changed("set", number, 2), changed("clear", number, 3)],
            KEPT,
            NOTHING,
            T0,
        )
        assert [one.fault for one in found] == [SLOW, KEPT[number], KEPT[number]]
        first, second, third = (id(one.fault) for one in found)
        assert first != second == third


def test_of_one_moment_what_goes_is_before_what_comes():
    happened = [changed("set", 0, 1), changed("set", 1, 5, 9), changed("clear", 0, 5, 1)]
    assert [one[1:] for one in played(*happened)][1:3] == [("clear", SLOW), ("set", CUT)]


def test_the_cut_around_a_crash_is_a_part_of_it():
    """The crash makes it again; it was played beside it, as a fault of its own."""
    happened = [changed("set", 4, 1), changed("set", 3, 1), changed("clear", 4, 5)]
    assert [one[1:] for one in played(*happened, changed("clear", 3, 5))] == [
        ("set", CRASH),
        ("clear", CRASH),
    ]


def test_an_older_folder_knows_planned_faults_by_name():
    planned = Timeline(
        seed=1,
        phases=(),
        changes=(
            PlannedChange(at_s=1, verb=Verb.SET, fault=SLOW),
            PlannedChange(at_s=2, verb=Verb.CLEAR, fault=SLOW),
            PlannedChange(at_s=3, verb=Verb.SET, fault=LOSSY),
        ),
    )
    happened = [changed("set", 0, 1), changed("clear", 0, 2), changed("set", 2, 3)]
    found = executed.changes(happened, {}, planned, T0)
    assert [one.fault for one in found] == [SLOW, SLOW, LOSSY]
    with pytest.raises(BadFileError, match="'cut halves' was set by hand"):
        executed.changes([changed("set", 1, 1)], {}, planned, T0)


def as_nodes_have_it(event: FaultChanged) -> FaultChanged:
    return replace(event, nodes=("node-3",))


@pytest.mark.parametrize(
    ("happened", "says"),
    [
        (
            [changed("set", 0, 4), changed("clear", 0, 1)],
            "line 2: clear of 'slow' began at 1.000 s, before the set of line 1, .* at 4.000 s",
        ),
        (
            [changed("clear", 0, 4), changed("set", 0, 1)],
            "line 2: set of 'slow' began at 1.000 s, before the clear of line 1",
        ),
        (  # the lines of two faults, in another order
            [
                *(changed("set", 0, 1), changed("set", 2, 5)),
                *(changed("clear", 0, 3), changed("clear", 2, 7)),
            ],
            "line 3: clear of 'slow' began at 3.000 s, before the set of line 2, .* at 5.000 s",
        ),
        ([changed("set", 1, -2031)], "line 1: set of 'cut halves' began at -2,031.000 s; expected"),
        (
            [changed("set", 1, 3), changed("clear", 1, 41), RunEnded(at_ns=T0 + 40 * SECOND)],
            "line 2: clear of .* began at 41.000 s; .* until it was closed, at 40.000 s",
        ),
    ],
)
def test_what_no_run_can_have_made_is_refused(happened, says):
    """It would be played as if it had been."""
    with pytest.raises(BadFileError, match=says):
        executed.changes(happened, KEPT, NOTHING, T0)


def test_what_a_busy_run_made_is_taken():
    """Before its first phase, for long, and told of as it was over only: a node's fault that goes,
    while the network has one of its name already.
    """
    crash = as_nodes_have_it(replace(changed("set", 3, -2.5), fault="slow"))
    back = as_nodes_have_it(replace(changed("clear", 3, 5, took_ms=6300), fault="slow"))
    assert played(crash, changed("set", 0, 6), back, changed("clear", 0, 9)) == [
        (-2.5, "set", CRASH),
        (5, "clear", CRASH),
        (6, "set", SLOW),
        (9, "clear", SLOW),
    ]
