"""Isolation: what crossed a cut, by whatever way, and what only seems to have."""

from __future__ import annotations

import numpy as np
import pytest
from kit.histories import MS, SECOND, fault, history, operation, record, seen

from harness.checks import isolation, reach
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.history.proof import ProofAnswer
from harness.history.resolved import ResolvedFault
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

SIDES = {"node-0": 0, "node-1": 1, "node-2": 1}
NO = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
SEEN = (seen(),)
CUT = (fault("set", 2, sides=SIDES), fault("clear", 5, sides=SIDES))


def judged(operations, journal=(), events=CUT, nodes=3, proofs=SEEN, **more):
    """A run of ten seconds; node-0 is cut off from 2 s to 5 s."""
    made = history(
        operations, journal, nodes=nodes, events=(*events, RunEnded()), proofs=proofs, **more
    )
    return isolation.check(made)


def at(number, kind=RecordKind.DELIVERED, node=0, at_s=0.0):
    return record(number, kind, node, int(at_s * SECOND))


def test_what_came_to_nobody_is_kept_apart():
    (finding,) = judged([operation(1500, **NO), operation(1600, **NO)])
    assert (finding.answer, finding.measured) == (Answer.PASS, "2 of 2")


def test_what_arrived_while_the_cut_held_is_a_leak():
    """Sent at 2.5 s from node-1 to node-0, delivered at 3 s."""
    (finding,) = judged([operation(1500)], [at(1500, at_s=3)])
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 crossed")
    assert "a private_message that node-1 sent while cut stood was at node-0" in finding.sentence


@pytest.mark.parametrize(
    ("number", "arrives_s"),
    [(999, 3.0), (1500, 5.5)],
    ids=["sent before the cut came", "delivered after it began to go"],
)
def test_what_was_under_way_at_its_edges_is_no_leak(number, arrives_s):
    kept = operation(1600, **NO)
    (finding,) = judged([operation(number), kept], [at(number, at_s=arrives_s)])
    assert finding.answer is Answer.PASS


def test_a_cut_that_goes_slowly_is_judged_until_it_began_to():
    changes = (fault("set", 2, sides=SIDES), fault("clear", 5, sides=SIDES, took_ms=1500.0))
    (finding,) = judged([operation(1500)], [at(1500, at_s=4)], changes)
    assert finding.answer is Answer.PASS


def test_a_broadcast_may_reach_its_own_side_only():
    sent = [operation(1500, Operation.BROADCAST, target=-1)]
    own = at(1500, RecordKind.RECEIVED, 2, 3)
    (finding,) = judged(sent, [own])
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")
    (finding,) = judged(sent, [own, at(1500, RecordKind.RECEIVED, 0, 3)])
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 crossed")


@pytest.mark.parametrize("answered", [0, 2])
def test_a_get_is_answered_by_a_node_of_its_own_side(answered):
    """One that answers from a cache names a node that it cannot have asked."""
    done_ns = 3 * SECOND
    get = operation(1500, Operation.DHT_GET, target=-1, answered_by=answered, done_ns=done_ns)
    (finding,) = judged([get])
    assert finding.answer is (Answer.PASS if answered == 2 else Answer.FAIL)


def test_a_connection_across_is_a_leak():
    met = operation(1500, Operation.CONNECT, done_ns=3 * SECOND)
    (finding,) = judged([met])
    assert finding.measured == "1 crossed"


def test_a_node_that_no_cut_holds_is_a_way():
    """Jepsen's bridge: node-1 reaches both sides."""
    sides = {"node-0": 0, "node-2": 1}
    changes = (fault("set", 2, sides=sides), fault("clear", 5, sides=sides))
    over = operation(1500, source=2)
    assert judged([over], [at(1500, at_s=3)], changes) == []  # nothing to check


def test_cuts_that_stand_together_part_more_than_each():
    """node-2 → node-1 → node-0 is open until the second cut comes, at 3 s."""
    first, second = {"node-0": 0, "node-2": 1}, {"node-0": 0, "node-1": 1}
    changes = (
        fault("set", 2, "a", sides=first),
        fault("set", 3, "b", sides=second),
        fault("clear", 5, "a", sides=first),
        fault("clear", 5, "b", sides=second),
    )
    proofs = (seen("a"), seen("b", at_s=3.5))
    early, late = operation(1900, source=2), operation(2100, source=2)
    (finding,) = judged([early, late], [at(1900, at_s=4), at(2100, at_s=4)], changes, 3, proofs)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 crossed")
    assert "a and b stood" in finding.sentence


def test_a_way_may_open_in_between():
    """The cut flaps: what was sent in one spell may arrive in the next."""
    changes = [
        fault(verb, at_s, sides=SIDES)
        for verb, at_s in (("set", 2), ("clear", 3), ("set", 4), ("clear", 5))
    ]
    sent = [operation(1500), operation(3200, **NO)]
    (finding,) = judged(sent, [at(1500, at_s=4.5)], changes)
    assert finding.answer is Answer.PASS


def test_a_cut_of_one_direction_is_known_by_its_paths():
    """node-1 and node-2 cannot reach node-0, which reaches them; nobody planned it."""
    far = ((frozenset({"node-1", "node-2"}), frozenset({"node-0"})),)
    resolved = {4: ResolvedFault(number=4, far=far)}
    changes = (fault("set", 2, resolved=4), fault("clear", 5, resolved=4))
    there, back = operation(1500), operation(1600, source=0, target=1)
    journal = [at(1600, node=1, at_s=3)]
    (finding,) = judged([there, back], journal, changes, resolved=resolved)
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")
    (finding,) = judged([there, back], [*journal, at(1500, at_s=3)], changes, resolved=resolved)
    assert finding.answer is Answer.FAIL


def test_a_cut_of_which_nothing_says_whom_it_parts_is_unknown():
    (finding,) = judged([operation(1500, **NO)], (), (fault("set", 2), fault("clear", 5)))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert finding.sentence == "the record does not say whom cut parted"


@pytest.mark.parametrize(
    ("proofs", "says"),
    [
        ((), "nothing showed cut in force"),
        ((seen(), seen(answer=ProofAnswer.NOT_IN_FORCE)), "not in force"),
    ],
)
def test_a_leak_through_a_cut_that_was_not_proven_accuses_nobody(proofs, says):
    (finding,) = judged([operation(1500)], [at(1500, at_s=3)], proofs=proofs)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert says in finding.sentence


def test_a_cut_that_was_not_proven_kept_nothing_apart():
    """Nothing crossed it, as nothing crosses a path that is merely slow."""
    (finding,) = judged([operation(1500, **NO)], proofs=())
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    assert finding.sentence == "nothing showed cut in force"


DEAD = NodeChanged(at_ns=SECOND, node="node-0", condition="killed")


def sent_to(kind):
    is_addressed = kind in (Operation.PRIVATE_MESSAGE, Operation.CONNECT)
    return [operation(1500, kind, target=0 if is_addressed else -1, **NO)]


@pytest.mark.parametrize(
    "kind",
    [
        Operation.PRIVATE_MESSAGE,
        Operation.BROADCAST,
        Operation.DHT_GET,
        Operation.CONNECT,
    ],
)
def test_nothing_comes_to_the_dead(kind):
    """Behind the cut nobody runs, as behind that around a crash: it keeps nothing apart."""
    assert judged(sent_to(kind))[0].answer is Answer.PASS
    assert judged(sent_to(kind), events=(DEAD, *CUT)) == []


@pytest.mark.parametrize("kind", [Operation.PRIVATE_MESSAGE, Operation.BROADCAST])
def test_who_does_not_journal_yet_does_not_tell_what_came(kind):
    sent, dead = sent_to(kind), DEAD
    back = NodeStarted(at_ns=2 * SECOND, node="node-0", journals_ns=2200 * MS)
    (finding,) = judged(sent, events=(dead, back, *CUT))
    assert (finding.answer, finding.measured) == (Answer.PASS, "1 of 1")
    late = NodeStarted(at_ns=2 * SECOND, node="node-0", journals_ns=2700 * MS)
    assert judged(sent, events=(dead, late, *CUT)) == []


def test_nothing_to_check_is_no_finding():
    assert judged([operation(1500, source=2, target=1)], [at(1500, node=1, at_s=3)]) == []
    assert judged([operation(1)], [record(1)], ()) == []
    # A delay is no cut, whatever crosses it.
    slow = (fault("set", 2, does="delay 50 ms", paths=2), fault("clear", 5, does="delay 50 ms"))
    assert judged([operation(1500)], [at(1500, at_s=3)], slow) == []


def test_records_that_a_system_does_not_keep_show_nothing():
    assert judged([operation(1500, **NO)], kept=frozenset({RecordKind.RECEIVED})) == []


def test_ways_are_found_over_any_nodes():
    """Against a plain walk, on drawn graphs."""
    chance = np.random.default_rng(1)
    for share in (0.02, 0.1, 0.3, 0.9):
        is_open = chance.random((24, 24)) < share
        is_open |= np.eye(24, dtype=bool)
        walked = is_open
        for _ in range(24):
            walked = (walked.astype(int) @ is_open.astype(int)) > 0
        assert (reach.ways(is_open) == walked).all()


def test_a_stand_ends_with_the_next_change_of_its_fault():
    """One that nobody took back stood until the last phase was over, at 11 s."""
    changes = (fault("set", 2), fault("set", 4, took_ms=500.0))
    found = reach.stands(history(events=changes))
    assert [(one.begin_ns, one.end_ns) for one in found] == [
        (2 * SECOND, 3500 * MS),
        (4 * SECOND, 11 * SECOND),
    ]
