"""Faults that met nothing, and operations that went nowhere."""

from __future__ import annotations

import pytest
from kit.histories import MS, SECOND, beginning, fault, history, operation, record

from harness.checks import vacuity
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.history.resolved import ResolvedFault
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

SLOW = ResolvedFault(number=0, paths=((frozenset({"node-1"}), frozenset({"node-0"})),))
NO = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}


def stood(name="slow", does="delay 50 ms", resolved=0, **more):
    """A fault that stood from 2 s to 5 s."""
    return tuple(
        fault(verb, at_s, name, does=does, resolved=resolved, **more)
        for verb, at_s in (("set", 2), ("clear", 5))
    )


def met(operations, journal=(), events=None, nodes=4):
    """The finding of the faults."""
    changes = stood(paths=1) if events is None else events
    found = history(
        operations, journal, nodes=nodes, events=(*changes, RunEnded()), resolved={0: SLOW}
    )
    finding = vacuity.check(found)[0]
    assert finding.name == vacuity.MET
    return finding


def restarted():
    """A fault that was over 2 ms after it came, and kept a node from running for 165 ms."""
    of_nodes = {"does": "restarted", "nodes": ("node-1",)}
    return (
        fault("set", 2, "again", took_ms=1, **of_nodes),
        NodeChanged(node="node-1", condition="stopped", at_ns=2 * SECOND),
        fault("clear", 2.166, "again", took_ms=164, **of_nodes),
        NodeStarted(node="node-1", at_ns=2 * SECOND + 165 * MS),
    )


def test_a_pause_met_nothing_of_the_time_before_it():
    """The node had been away for another reason since before."""
    of_nodes = {"does": "paused", "nodes": ("node-1",)}
    events = (
        NodeChanged(node="node-1", condition="stopped", at_ns=2 * SECOND),
        fault("set", 8.5, "pause", **of_nodes),
        fault("clear", 9.5, "pause", **of_nodes),
        NodeStarted(node="node-1", at_ns=10 * SECOND),
    )
    assert met([operation(4000)], events=events).answer is Answer.UNKNOWN
    assert met([operation(8000)], events=events).answer is Answer.PASS


@pytest.mark.parametrize(("at_ms", "answer"), [(1100, Answer.PASS), (1300, Answer.UNKNOWN)])
def test_what_was_for_a_node_while_it_started_again_met_its_restart(at_ms, answer):
    """Twelve operations were, of which six did not come true: "in the 0.0 s it stood"."""
    assert met([operation(at_ms)], events=restarted()).answer is answer


def test_a_message_over_the_path_met_the_fault():
    finding = met([operation(1500)])
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")


@pytest.mark.parametrize(
    "message",
    [
        operation(500),
        operation(4500),
        operation(1500, source=2),
        operation(1500, hops=2),
        operation(1500, sent_ns=0),
    ],
    ids=["before it came", "after it went", "another path", "over other nodes", "never sent"],
)
def test_a_fault_that_nothing_met_is_named(message):
    finding = met([message])
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.VACUOUS)
    assert finding.measured == "0 of 1"
    assert finding.sentence == (
        "slow: no operation is known to have crossed what it touched in the 3.0 s it stood"
    )


def test_the_answer_to_a_message_takes_the_path_back():
    assert met([operation(1500, source=0, target=1)]).answer is Answer.PASS


def test_one_spell_of_a_fault_that_flaps_is_enough():
    changes = [
        fault(verb, at_s, "slow", does="delay 50 ms", resolved=0, paths=1)
        for verb, at_s in (("set", 2), ("clear", 3), ("set", 4), ("clear", 5))
    ]
    assert met([operation(3500)], events=changes).answer is Answer.PASS
    assert "in the 2.0 s it stood" in met([operation(2500)], events=changes).sentence


def test_journals_say_which_paths_a_broadcast_took():
    """It came to node-0 by node-1, or by node-2 only."""
    sent = [operation(1500, Operation.BROADCAST, target=-1)]

    def heard(by, at_s=3):
        return [record(1500, RecordKind.RECEIVED, 0, int(at_s * SECOND), peer=beginning(by))]

    assert met(sent, heard(1)).answer is Answer.PASS
    assert met(sent, heard(2)).answer is Answer.UNKNOWN
    assert met(sent, heard(1, 6)).answer is Answer.UNKNOWN
    assert met(sent).answer is Answer.PASS  # where no journal tells of any path, its source does


def test_a_relay_took_the_path():
    relayed = record(1500, RecordKind.RELAYED, 1, 3 * SECOND, peer=beginning(0))
    assert met([operation(1500, source=3, hops=2)], [relayed]).answer is Answer.PASS


def test_a_cut_met_what_was_to_cross_it():
    sides = {"node-0": 0, "node-1": 1, "node-2": 1, "node-3": 1}
    cut = stood("cut", "cut", -1, sides=sides, paths=6)
    assert met([operation(1500, **NO)], events=cut).answer is Answer.PASS
    finding = met([operation(1500, source=2, target=3)], events=cut)
    assert finding.answer is Answer.UNKNOWN
    # A broadcast is everybody's, though no journal tells of what the cut held back.
    sent = operation(1500, Operation.BROADCAST, source=2, target=-1)
    heard = record(1500, RecordKind.RECEIVED, 3, 3 * SECOND, peer=beginning(2))
    assert met([sent], [heard], events=cut).answer is Answer.PASS


@pytest.mark.parametrize(
    ("message", "answer"),
    [
        (operation(1500, **NO), Answer.PASS),
        (operation(1500, source=2, target=3), Answer.UNKNOWN),
        (operation(1500, Operation.BROADCAST, source=2, target=-1), Answer.PASS),
        (operation(4500), Answer.UNKNOWN),
    ],
)
def test_a_stopped_node_was_wanted(message, answer):
    gone = stood("gone", "stopped", -1, nodes=("node-0",))
    assert met([message], events=gone).answer is answer


def test_a_limited_node_tells_of_what_came_to_it():
    """It runs and journals: what others asked each other did not meet it."""
    limited = stood("slow", "cpu 2 %", -1, nodes=("node-0",))
    sent = [operation(1500, Operation.BROADCAST, source=2, target=-1)]
    by = [record(1500, RecordKind.RECEIVED, 3, 3 * SECOND, peer=beginning(2))]
    assert met(sent, by, events=limited).answer is Answer.UNKNOWN
    to = record(1500, RecordKind.RECEIVED, 0, 3 * SECOND, peer=beginning(3))
    assert met(sent, [*by, to], events=limited).answer is Answer.PASS


def test_a_link_of_a_node_is_every_path_of_it():
    thin = stood("thin", "up 1 Mbit/s", -1, up={"node-0": 1_000_000})
    assert met([operation(1500)], events=thin).answer is Answer.PASS
    assert met([operation(1500, source=2, target=3)], events=thin).answer is Answer.UNKNOWN


def test_a_fault_of_which_nothing_says_where_it_is_is_unknown():
    finding = met([operation(1500)], events=stood("by hand", resolved=-1, paths=2))
    assert finding.answer is Answer.UNKNOWN
    assert finding.sentence == "by hand: the record does not say which paths it was on"


def test_a_run_without_faults_has_none_that_met_nothing():
    assert vacuity.check(history([operation(1)])) == []


@pytest.mark.parametrize(("hops", "is_told"), [(1, False), (0, True), (-1, True)])
def test_a_lookup_that_asked_nobody_is_not_counted(hops, is_told):
    sent = [operation(1, Operation.DHT_LOOKUP, hops=hops), operation(2, Operation.DHT_LOOKUP)]
    found = vacuity.check(history(sent))
    assert [(one.name, one.answer, one.measured) for one in found] == (
        [(vacuity.CROSSED, Answer.UNKNOWN, "1 of 2")] if is_told else []
    )
