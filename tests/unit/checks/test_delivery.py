"""The ledger and the load checker: each way in which a sender's word and the receivers' journals
can differ.
"""

from __future__ import annotations

import numpy as np
import pytest
from kit.histories import MS, SECOND, beginning, history, operation, record, stored

from harness.checks import delivery, load
from harness.checks.verdict import Answer, Cause
from harness.history.events import NodeChanged, NodeEnded, NodeStarted, PhasesOver, RunEnded
from harness.operations import Operation, Outcome
from harness.operations.records import FORMERLY_COUNTED, RecordKind


def ledger(found):
    (finding,) = delivery.check(found)
    return finding


def test_all_acknowledged_and_all_in_the_receivers_journal():
    finding = ledger(history([operation(n) for n in range(50)], [record(n) for n in range(50)]))
    assert (finding.answer, finding.measured) == (Answer.PASS, "50 of 50")


def test_acknowledged_but_lost():
    finding = ledger(history([operation(n) for n in range(50)], [record(n) for n in range(49)]))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 acknowledged but in no journal")


def test_delivered_twice():
    finding = ledger(history([operation(1)], [record(1), record(1)]))
    assert finding.measured == "1 delivered more than once"


def test_delivered_to_the_wrong_node_or_to_the_sender_itself():
    assert (
        "1 delivered to another node"
        in ledger(history([operation(1)], [record(1, node=2)])).measured
    )
    assert (
        "1 delivered to the sender itself"
        in ledger(history([operation(1)], [record(1, node=1)])).measured
    )


def test_what_was_not_acknowledged_is_not_the_ledgers_business():
    found = history([operation(1), operation(2, outcome=int(Outcome.UNKNOWN))], [record(1)])
    assert ledger(found).answer is Answer.PASS


def test_a_broadcast_must_be_in_every_other_journal():
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]

    def heard(*nodes):
        return ledger(history(sent, [record(1, RecordKind.RECEIVED, node) for node in nodes]))

    assert heard(1, 2).answer is Answer.PASS
    assert heard(1).measured == "1 not everywhere"
    assert heard(1, 0).answer is Answer.FAIL


@pytest.mark.parametrize("outcome", [Outcome.OK, Outcome.UNKNOWN])
@pytest.mark.parametrize(
    ("kind", "target", "record_kind"),
    [
        (Operation.PRIVATE_MESSAGE, 2, RecordKind.DELIVERED),
        (Operation.BROADCAST, -1, RecordKind.RECEIVED),
    ],
)
def test_what_came_with_another_size_is_not_what_was_sent(kind, target, record_kind, outcome):
    """Half of each broadcast arrived, and all journals said so: PASS."""
    sent = [operation(1, kind, source=0, target=target, outcome=int(outcome))]

    def judged(size):
        nodes = (2,) if target == 2 else (1, 2)
        seen = [record(1, record_kind, node, size=size) for node in nodes]
        return delivery.check(history(sent, seen))

    assert all(one.answer is Answer.FAIL for one in judged(128))
    assert [one.measured for one in judged(128)] == ["1 of another size"]
    for size in (256, 0):  # 0: the system does not tell it
        assert all(one.answer is Answer.PASS for one in judged(size))


def test_what_came_empty_is_not_what_was_sent_where_others_tell_their_size():
    seen = [record(1, size=0), record(2, size=256)]
    finding = ledger(history([operation(1), operation(2)], seen))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 of another size")


@pytest.mark.parametrize(("ended_s", "answer"), [(4.9, Answer.UNKNOWN), (5.1, Answer.FAIL)])
def test_what_was_still_spreading_when_the_journals_ended_is_not_lost(ended_s, answer):
    """Ctrl-C of `harness run` ends them with the load: what nobody had yet was lost, FAIL."""
    at = {"sent_ns": 3 * SECOND, "done_ns": 3 * SECOND + MS}
    broadcast = operation(1, Operation.BROADCAST, source=0, target=-1, **at)
    message, arrived = operation(2, **at), operation(3, **at)
    seen = [record(1, RecordKind.RECEIVED, 1, at_ns=4 * SECOND), record(3, at_ns=4 * SECOND)]
    ended = RunEnded(at_ns=9 * SECOND, journals_ns=round(ended_s * SECOND))
    found = history([broadcast, message, arrived], seen, events=(ended,))
    for finding in delivery.check(found):
        assert finding.answer is answer
        if answer is Answer.UNKNOWN:
            assert finding.measured.startswith("1 ")


def test_a_run_that_does_not_say_when_its_journals_ended_kept_them_while_its_phases_went_on():
    over = (PhasesOver(at_ns=4 * SECOND), RunEnded(at_ns=9 * SECOND))
    for sent_ns, answer in ((3 * SECOND, Answer.UNKNOWN), (SECOND, Answer.FAIL)):
        sent = operation(1, sent_ns=sent_ns, done_ns=sent_ns + MS)
        assert ledger(history([sent], events=over)).answer is answer


def test_a_broadcast_must_not_be_in_a_journal_twice_acknowledged_or_not():
    heard = [record(1, RecordKind.RECEIVED, node) for node in (1, 2, 2)]
    acknowledged = operation(1, Operation.BROADCAST, source=0, target=-1)
    twice = ledger(history([acknowledged], heard))
    assert (twice.answer, twice.measured) == (Answer.FAIL, "1 delivered more than once at a node")
    unknown = operation(1, Operation.BROADCAST, source=0, target=-1, outcome=int(Outcome.UNKNOWN))
    (astray,) = [
        one
        for one in delivery.check(history([unknown], heard))
        if "not delivered wrongly" in one.name
    ]
    assert astray.answer is Answer.FAIL


def test_what_a_node_has_twice_is_forgiven_only_where_it_began_anew_in_between():
    """A pause, or a stop at the end, hid each duplicate of before: PASS."""
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]

    def judged(times_s, *events):
        heard = [record(1, RecordKind.RECEIVED, 2, int(at_s * SECOND)) for at_s in times_s]
        heard.append(record(1, RecordKind.RECEIVED, 1))
        return ledger(history(sent, heard, events=(*events, RunEnded())))

    def changed(condition, at_s):
        return NodeChanged(node="node-2", condition=condition, at_ns=int(at_s * SECOND))

    early, ended = (1.1, 1.2), NodeEnded(node="node-2", at_ns=4 * SECOND)
    started = NodeStarted(node="node-2", at_ns=5 * SECOND)
    for events in ([changed("paused", 9), changed("running", 9.5)], [changed("stopped", 9)]):
        assert judged(early, *events).measured == "1 delivered more than once at a node"
    stop = (changed("stopped", 4), started)
    assert judged((1.1, 6), *stop).answer is Answer.PASS
    assert judged((1.1, 6, 6.1), *stop).answer is Answer.FAIL
    # Who ended by itself knows what it had.
    assert judged((1.1, 6), ended, started).answer is Answer.FAIL
    assert judged((1.1, 6), changed("paused", 4), changed("running", 5)).answer is Answer.FAIL


def test_a_message_that_came_twice_is_forgiven_only_where_its_target_began_anew_in_between():
    """A sender sends again what a target that the harness killed had not acknowledged: FAIL."""

    def judged(times_s, *events, also=()):
        came = [record(1, at_ns=int(at_s * SECOND)) for at_s in times_s]
        return ledger(history([operation(1)], [*came, *also], events=(*events, RunEnded())))

    stopped = NodeChanged(node="node-0", condition="stopped", at_ns=4 * SECOND)
    started = NodeStarted(node="node-0", at_ns=5 * SECOND)
    ended = NodeEnded(node="node-0", at_ns=4 * SECOND)
    twice = "1 delivered more than once"
    assert judged((1.1, 6), stopped, started).answer is Answer.PASS
    assert judged((1.1, 6, 6.1), stopped, started).measured == twice
    assert judged((1.1, 6), ended, started).measured == twice
    elsewhere = [record(1, node=2, at_ns=6 * SECOND)]
    assert judged((1.1,), stopped, started, also=elsewhere).measured == twice


def test_a_broadcast_is_not_due_to_a_node_that_the_harness_kept_from_running():
    """Hole 24: a stopped or paused node is none of "all other nodes" while it is."""
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]  # at 1.001 s
    heard = [record(1, RecordKind.RECEIVED, 1)]

    def judged(*events):
        return ledger(history(sent, heard, events=(*events, RunEnded())))

    def changed(condition, at_s, **more):
        return NodeChanged(node="node-2", condition=condition, at_ns=int(at_s * SECOND), **more)

    assert judged(changed("stopped", 0.5)).answer is Answer.PASS
    assert judged(changed("paused", 0.5)).answer is Answer.PASS
    assert judged(changed("paused", 0.5), changed("running", 0.9)).answer is Answer.FAIL
    assert judged(changed("paused", 0.5), changed("running", 1.5)).answer is Answer.PASS
    assert judged(changed("stopped", 9)).answer is Answer.FAIL
    started = NodeStarted(node="node-2", at_ns=int(0.9 * SECOND))
    assert judged(changed("stopped", 0.5), started).answer is Answer.FAIL
    # One that ended by itself was due it.
    assert judged(NodeEnded(node="node-2", at_ns=SECOND // 2)).answer is Answer.FAIL


def test_what_a_restarted_node_took_before_it_journalled_again_is_not_known():
    """Hole 24: 29 "acknowledged but in no journal", all delivered."""
    sent = [operation(1), operation(2000)]  # at 1.001 s and at 3 s, to node 0
    stopped = NodeChanged(node="node-0", condition="stopped", at_ns=SECOND // 2)

    def judged(journal, **more):
        started = NodeStarted(node="node-0", at_ns=2 * SECOND, **more)
        return ledger(history(sent, journal, events=(stopped, started, RunEnded())))

    found = judged([record(2000)])
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert found.measured == "1 to a node that could not journal then"
    assert judged([record(1)]).measured == "1 acknowledged but in no journal"
    assert judged([record(1), record(2000)]).answer is Answer.PASS
    # One that journals before it listens has no such excuse.
    assert judged([record(2000)], journals_ns=SECOND).answer is Answer.FAIL


def test_done_or_received_before_it_was_sent():
    """Hole 16: receipts of 2 s before sending, p99 −1,994 ms, PASS."""
    early = operation(1, done_ns=SECOND // 2)
    found = {one.name: one for one in delivery.check(history([early], [record(1)]))}
    assert found["private_message: done after it was sent"].answer is Answer.FAIL
    found = delivery.check(history([operation(1)], [record(1, at_ns=SECOND // 2)]))
    assert found[0].measured == "1 done before it was sent"
    sent = [operation(1, Operation.BROADCAST, source=0, target=-1)]
    heard = [record(1, RecordKind.RECEIVED, node, SECOND // node) for node in (1, 2)]
    assert delivery.check(history(sent, heard))[0].answer is Answer.FAIL
    lookup = operation(1, Operation.DHT_LOOKUP, done_ns=SECOND // 2)  # it has no other ledger
    assert [one.answer for one in delivery.check(history([lookup]))] == [Answer.FAIL]


def test_a_put_is_stored_at_another_node_by_its_key():
    """Hole 4: no journal record at all, and PASS."""
    put = [operation(1, Operation.DHT_PUT, source=1, target=-1)]

    def stored(*nodes):
        return ledger(history(put, [record(1, RecordKind.STORED, node) for node in nodes]))

    assert stored(2).answer is stored(1, 2).answer is Answer.PASS
    assert "by key, as stored" in stored(2).sentence
    assert stored().measured == stored(1).measured == "1 stored at no other node"
    other_key = history(put, [record(2, RecordKind.STORED, 2)])
    assert ledger(other_key).answer is Answer.FAIL


def test_a_file_has_its_size_and_its_hash():
    sent = [operation(1, Operation.FILE_TRANSFER, payload_bytes=1000)]  # from node 1 to node 0

    def judged(size=1000, at_source=7, at_target=7):
        journal = [
            record(1, RecordKind.FILE_DELIVERED, size=size),
            record(1, RecordKind.FILE_HASHED, 1, peer=at_source),
            record(1, RecordKind.FILE_HASHED, 0, peer=at_target),
        ]
        return ledger(history(sent, journal))

    assert judged().answer is Answer.PASS
    assert judged(size=999).measured == "1 of another size"
    assert judged(at_target=8).measured == "1 of another content than was sent"
    assert ledger(history(sent)).measured == "1 acknowledged but in no journal"


def test_a_connection_is_in_the_peers_journal():
    dialled = [operation(n, Operation.CONNECT) for n in range(2)]  # from node 1 to node 0

    def met(*found):
        journal = [
            record(n, RecordKind.CONNECTED, node, at_ns, peer=beginning(peer))
            for n, node, peer, at_ns in found
        ]
        return ledger(history(dialled, journal))

    assert met((0, 0, 1, None), (1, 0, 1, None)).answer is Answer.PASS
    # One record is one connection's; one of another node, or of another time, is none.
    lacking = "1 acknowledged but not in the peer's journal"
    assert met((0, 0, 1, None)).measured == lacking
    assert met((0, 0, 1, None), (1, 0, 2, None)).measured == lacking
    assert met((0, 0, 1, None), (1, 0, 1, 9 * SECOND)).measured == lacking


def test_records_that_a_systems_journals_cannot_have_are_not_missing():
    """Hole 4: UNKNOWN where the system cannot tell; so is a folder of before they were kept."""
    put = [operation(1, Operation.DHT_PUT, target=-1)]
    found = ledger(history(put, kept=FORMERLY_COUNTED))
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "nothing but the sender's word" in found.sentence
    assert ledger(history([operation(1)], kept=FORMERLY_COUNTED)).answer is Answer.FAIL
    why = {"dht_put": "it does not say who stored it"}
    exempt = ledger(history(put, kept=FORMERLY_COUNTED, exempt=why))
    assert (exempt.answer, exempt.measured) == (Answer.MEASURED, "not told of 1")


def test_an_answer_from_the_askers_own_store_does_not_count():
    def answered(*found):
        get = [operation(1, Operation.DHT_GET, source=1, target=-1, answered_by=2)]
        journal = [
            record(9, RecordKind.ANSWERED, node, at_ns, peer=beginning(peer))
            for node, peer, at_ns in found
        ]
        return ledger(history(get, journal))

    at_ns = SECOND + 2 * MS
    assert answered((2, 1, at_ns)).answer is Answer.PASS
    assert "of the nodes named" in answered((2, 1, at_ns)).sentence
    for other in ((0, 1, at_ns), (2, 0, at_ns), (2, 1, 2 * SECOND)):
        found = answered(other)
        assert found.measured == "1 in no journal of who is said to have answered"
        assert found.answer is Answer.FAIL
    assert (
        "asker itself"
        in ledger(history([operation(1, Operation.DHT_GET, source=1, answered_by=1)])).measured
    )
    assert (
        "nobody named"
        in ledger(history([operation(1, Operation.DHT_GET, source=1, answered_by=-1)])).measured
    )


def test_a_run_that_was_cut_short_is_unknown():
    (finding,) = delivery.check(history([operation(1)], [record(1)], ended=False))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)


def test_gaps_in_the_record_are_unknown():
    gaps = (RunEnded(failures=("sampler: OSError: No space left on device",)),)
    found = delivery.check(history([operation(1)], [record(1)], events=gaps))
    assert found[0].answer is Answer.UNKNOWN
    assert "No space left" in found[0].sentence


def planned(operations, rate):
    (finding,) = load.check(history(operations, planned_per_s={("load", 1): rate}))
    return finding


def test_load_as_planned_and_load_that_fell_short():
    operations = [operation(n) for n in range(1000)]
    assert planned(operations, 100.0).answer is Answer.PASS
    short = planned(operations, 120.0)
    assert (short.answer, short.cause) == (Answer.UNKNOWN, Cause.LOAD_NOT_DELIVERED)
    assert "1,200 were planned" in short.sentence


def test_operations_that_were_never_sent_are_said():
    operations = [
        operation(n, sent_ns=0 if n < 20 else 1, outcome=1 if n < 20 else 0) for n in range(1000)
    ]
    blocked = planned(operations, 100.0)
    assert blocked.cause is Cause.GENERATOR_BEHIND
    assert "never sent 20 of 1,000 operations" in blocked.sentence


def test_listeners_are_counted_in_their_own_journals():
    put = [operation(n, Operation.DHT_LISTEN) for n in range(3)]

    def reported(kind):
        return ledger(history(put, [record(n, kind) for n in range(3)]))

    assert reported(RecordKind.NOTIFIED).answer is Answer.PASS
    assert reported(RecordKind.DELIVERED).measured == "3 acknowledged but in no journal"


def test_a_ledger_without_a_promise_is_measured():
    """A system that promises nothing is counted, and neither passes nor fails."""
    why = {"broadcast": "it promises nothing to anybody", "dht_get": "it does not say who answered"}
    sent = [operation(n, Operation.BROADCAST, source=0, target=-1) for n in range(2)]
    heard = [record(0, RecordKind.RECEIVED, node) for node in (1, 2)]
    finding = ledger(history(sent, heard, exempt=why))
    assert (finding.answer, finding.measured, finding.sentence) == (
        Answer.MEASURED,
        "1 not everywhere of 2",
        "not held to it: it promises nothing to anybody",
    )
    assert (
        ledger(history([operation(1, Operation.DHT_GET, answered_by=-1)], exempt=why)).answer
        is Answer.MEASURED
    )
    # Of this one it said nothing.
    assert ledger(history([operation(1)], [], exempt=why)).answer is Answer.FAIL


def test_what_was_not_acknowledged_is_delivered_once_and_to_its_target_all_the_same():
    """Every sender gave up, and each message was delivered twice or to another: in no finding."""
    gave_up = [operation(n, outcome=int(Outcome.UNKNOWN), done_ns=0) for n in range(3)]
    found = history(gave_up, [record(0), record(1), record(1), record(2, node=2)])
    finding = ledger(found)
    assert finding.answer is Answer.FAIL
    assert finding.name == "private_message: not acknowledged, and not delivered wrongly"
    assert finding.measured == "1 delivered to another node, 1 delivered more than once"
    some = history([*gave_up, operation(3)], [record(1), record(1), record(3)])
    assert [one.answer for one in delivery.check(some)] == [Answer.FAIL, Answer.PASS]
    exempt = history(gave_up, [record(1), record(1)], exempt={"private_message": "it says so"})
    assert ledger(exempt).answer is Answer.MEASURED
    # What never arrived, or arrived once, is as it may be.
    assert delivery.check(history(gave_up, [record(0)])) == []


@pytest.mark.parametrize(
    ("kind", "told"),
    [(Operation.PRIVATE_MESSAGE, RecordKind.DELIVERED), (Operation.BROADCAST, RecordKind.RECEIVED)],
)
def test_what_was_not_acknowledged_does_not_come_before_it_was_sent(kind, told):
    """A node journals at once what its peer has still to hear of, or what nobody ever sent."""
    gave_up = operation(1, kind, outcome=int(Outcome.UNKNOWN), done_ns=0)
    never = operation(1, kind, outcome=int(Outcome.FAILED), done_ns=0, sent_ns=0)
    for sent, at_ns in ((gave_up, SECOND), (never, None)):
        finding = ledger(history([sent], [record(1, told, at_ns=at_ns)]))
        assert (finding.answer, finding.measured) == (
            Answer.FAIL,
            "1 delivered before it was sent",
        )


def test_a_broadcast_that_nobody_was_there_to_hear_is_no_proof():
    """One node, or all others stopped: "in the journals of all 0 other nodes", PASS."""
    sent = [operation(1, Operation.BROADCAST, target=-1, source=0)]
    alone = ledger(history(sent, nodes=1))
    assert (alone.answer, alone.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert alone.measured == "1 while no other node ran"
    stops = [NodeChanged(at_ns=1, node=f"node-{n}", condition="stopped") for n in (1, 2)]
    kept = ledger(history(sent, events=(*stops, RunEnded())))
    assert kept.answer is Answer.UNKNOWN
    one = ledger(history(sent, [record(1, RecordKind.RECEIVED, 2)], events=(stops[0], RunEnded())))
    assert one.answer is Answer.PASS


def test_a_put_under_a_shared_key_is_told_by_its_source_and_time():
    """Two puts under one key, of which the record at the keeper names the key alone."""
    key, puts = (
        (7).to_bytes(16, "big"),
        [operation(n, Operation.DHT_PUT, target=-1) for n in (1, 5)],
    )

    def judged(*kept):
        """Each: the node that stored it, for whom, and when, in ms."""
        row = record(1, RecordKind.STORED)
        journal = [
            (*row[:4], np.void(key), SECOND + at_ms * MS, beginning(source), node)
            for node, source, at_ms in kept
        ]
        return ledger(history(puts, journal, values=stored((1, 7, None), (5, 7, None))))

    assert judged((0, 1, 2), (2, 1, 6)).answer is Answer.PASS
    lost = "1 stored at no other node"
    assert judged((0, 1, 2), (0, 1, 9)).measured == lost  # after the second's end
    assert judged((0, 1, 2), (0, 2, 6)).measured == lost  # for somebody else
    assert judged((0, 1, 2), (1, 1, 6)).measured == lost  # at its own node
