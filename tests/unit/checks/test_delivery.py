"""The ledger and the load checker: each way in which a sender's word and the receivers' journals
can differ.
"""

from __future__ import annotations

from kit.histories import history, operation, record

from harness.checks import delivery, load
from harness.checks.verdict import Answer, Cause
from harness.history.events import RunEnded
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind


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


def test_an_answer_from_the_askers_own_store_does_not_count():
    assert (
        ledger(history([operation(1, Operation.DHT_GET, source=1, answered_by=2)])).answer
        is Answer.PASS
    )
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
