"""Coverage of broadcasts by side of a partition, and of all after the heal."""

from __future__ import annotations

import pyarrow as pa
import pytest
from kit.histories import SECOND, fault, history, host, operation, record

from harness.checks import coverage
from harness.checks.coverage import AFTER, BY_SIDE
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import NodeChanged, RunEnded
from harness.history.gaps import Gap, Part
from harness.history.resolved import ResolvedFault
from harness.operations import Operation
from harness.operations.records import RecordKind

SIDES = {"node-0": 0, "node-1": 0, "node-2": 0, "node-3": 1, "node-4": 1}
CUT = (fault("set", 2, sides=SIDES), fault("clear", 8, sides=SIDES))


def sent(number, source=0):
    return operation(number, Operation.BROADCAST, source=source, target=-1)


def heard(number, *nodes, at_s):
    return [record(number, RecordKind.RECEIVED, node, int(at_s * SECOND)) for node in nodes]


def judged(operations, journal, events=CUT, **more):
    """The findings by name, of five nodes that are parted from 2 s to 8 s."""
    found = history(operations, journal, nodes=5, events=(*events, RunEnded()), **more)
    return {one.name: one for one in coverage.check(found)}


def test_what_reaches_its_own_side_is_enough_while_the_cut_stands():
    found = judged([sent(1500)], heard(1500, 1, 2, at_s=3))
    assert (found[BY_SIDE].answer, found[BY_SIDE].measured) == (Answer.PASS, "1 of 1")
    assert AFTER not in found


def test_a_node_of_its_own_side_that_lacks_it_is_missed():
    operations = [sent(1500), sent(1600, 3)]
    found = judged(operations, heard(1500, 1, 3, 4, at_s=3) + heard(1600, 4, at_s=3))
    assert (found[BY_SIDE].answer, found[BY_SIDE].measured) == (Answer.FAIL, "1 of 2")


def test_what_comes_only_after_the_heal_was_not_there_while_the_cut_stood():
    found = judged([sent(1500)], heard(1500, 1, at_s=3) + heard(1500, 2, at_s=9))
    assert found[BY_SIDE].answer is Answer.FAIL


def test_what_was_sent_just_before_the_heal_is_not_judged_by_sides():
    assert judged([sent(6000)], heard(6000, 1, at_s=7.5)) == {}  # at 7 s


def test_after_the_heal_all_are_due():
    found = judged([sent(7500)], heard(7500, 1, 2, 3, 4, at_s=9))
    assert (found[AFTER].answer, found[AFTER].measured) == (Answer.PASS, "1 of 1")
    found = judged([sent(7500)], heard(7500, 1, 2, at_s=9))
    assert (found[AFTER].answer, found[AFTER].measured) == (Answer.FAIL, "0 of 1")


def test_who_sends_while_a_cut_still_goes_is_not_heard_by_all():
    """It began to go at 6 s, and was gone at 8 s."""
    slow = (CUT[0], fault("clear", 8, sides=SIDES, took_ms=2000.0))
    assert AFTER not in judged([sent(6500)], heard(6500, 1, 2, at_s=7.6), slow)
    assert judged([sent(7500)], heard(7500, 1, 2, at_s=9), slow)[AFTER].answer is Answer.FAIL


def test_a_side_is_what_its_own_links_hold_together():
    """node-2 is linked with node-3 alone, which the cut takes from it."""
    links = frozenset({(0, 1), (2, 3), (3, 4), (1, 3)})
    found = judged([sent(1500)], heard(1500, 1, at_s=3), links=links)
    assert found[BY_SIDE].answer is Answer.PASS
    assert judged([sent(1500, 2)], [], links=links) == {}  # it is alone


def test_a_node_that_did_not_run_holds_nothing_together():
    """0 – 1 – 2 is a line, of which the harness stopped the middle."""
    links = frozenset({(0, 1), (1, 2)})
    gone = NodeChanged(node="node-1", condition="stopped", at_ns=SECOND)
    assert judged([sent(1500)], [], (*CUT, gone), links=links) == {}


def test_a_cut_of_which_nothing_says_whom_it_parts_is_unknown():
    finding = judged([sent(1500)], [], (fault("set", 2), fault("clear", 8)))[BY_SIDE]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "does not say whom cut parted" in finding.sentence


def test_journals_without_receptions_cannot_tell():
    finding = judged([sent(1500)], [], kept=frozenset({RecordKind.DELIVERED}))[BY_SIDE]
    assert finding.answer is Answer.UNKNOWN


def test_a_run_without_cuts_has_no_sides():
    assert judged([sent(1500)], heard(1500, 1, at_s=3), ()) == {}


LOSES_ALL = ResolvedFault(number=5, paths=((frozenset({"node-0"}), frozenset({"node-2"})),))


def test_a_link_that_another_fault_is_on_is_none_of_a_side():
    """A loss of 100 % is no cut, and lets nothing through."""
    line = frozenset({(0, 1), (0, 2)})
    lost = {"does": "loss 100 %", "paths": 1, "resolved": 5}
    events = (*CUT, fault("set", 2.2, "lost", **lost), fault("clear", 7, "lost", **lost))
    more = {"links": line, "resolved": {5: LOSES_ALL}}
    found = judged([sent(1500)], heard(1500, 1, at_s=3), events, **more)
    assert (found[BY_SIDE].answer, found[BY_SIDE].measured) == (Answer.PASS, "1 of 1")
    assert judged([sent(1500)], [], events, **more)[BY_SIDE].answer is Answer.FAIL


def test_after_the_heal_nothing_is_due_while_another_fault_stands():
    lost = {"does": "loss 100 %", "paths": 1, "resolved": 5}
    events = (*CUT, fault("set", 11, "lost", **lost), fault("clear", 13, "lost", **lost))
    during, later = sent(11_500), sent(12_100)
    more = {"resolved": {5: LOSES_ALL}, "seconds": 20}
    assert judged([during], heard(11_500, 1, 3, 4, at_s=12.9), events, **more) == {}
    assert judged([during, later], [], events, **more)[AFTER].measured == "0 of 1"


@pytest.mark.parametrize(("busy_s", "answer"), [(1.0, Answer.UNKNOWN), (0.1, Answer.FAIL)])
def test_what_came_too_late_while_others_had_the_host_is_nobodys(busy_s, answer):
    others = pa.Table.from_pylist([host(at + 0.5, at * busy_s) for at in range(12)], h.HOST)
    late = heard(1500, 1, at_s=3) + heard(1500, 2, at_s=9)
    finding = judged([sent(1500)], late, host=others)[BY_SIDE]
    assert (finding.answer, finding.measured) == (answer, "0 of 1")
    assert finding.cause is (Cause.HOST_LIMITED if answer is Answer.UNKNOWN else None)
    # What never came is lost on any host.
    assert judged([sent(1500)], late[:1], host=others)[BY_SIDE].answer is Answer.FAIL


def test_what_came_too_late_while_nobody_looked_at_the_host_is_not_known():
    torn = (Gap(what=frozenset({Part.HOST}), why="host.arrow is torn"),)
    late = heard(1500, 1, at_s=3) + heard(1500, 2, at_s=9)
    finding = judged([sent(1500)], late, gaps=torn)[BY_SIDE]
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.GAP)
