"""What a system does not promise is counted, shown with its exemption, and no FAIL; nothing else is
covered by it.
"""

from __future__ import annotations

import pytest
from kit.histories import MS, SECOND, fault, history, operation, record

from harness.checks import coverage, delivery, denials, ordered, phantoms
from harness.checks.verdict import Answer, Finding
from harness.history.events import NodeChanged, NodeStarted, RunEnded
from harness.history.history import Before
from harness.operations import Operation, Outcome
from harness.operations.promises import COVERS, words_for
from harness.operations.records import RecordKind

MESSAGE, BROADCAST = "private_message", "broadcast"


def ledger(*words: str, sent=None, journal=(), of=MESSAGE, **more) -> Finding:
    """The ledger of messages, 1 and 2 unless others are `sent`, of a system that promises this."""
    made = [operation(1), operation(2)] if sent is None else sent
    found = history(made, journal, unpromised={of: words}, **more)
    [finding] = delivery.check(found)
    return finding


def heard(number, *nodes, **more):
    return [record(number, RecordKind.RECEIVED, node, **more) for node in nodes]


def broadcast(number, **more):
    return operation(number, Operation.BROADCAST, target=-1, **more)


def test_at_most_once_covers_what_is_lost():
    assert ledger(journal=[record(1)]).answer is Answer.FAIL
    found = ledger("at most once", journal=[record(1)])
    assert (found.answer, found.promised) == (Answer.MEASURED, "–")
    assert found.measured == "1 acknowledged but in no journal"
    assert found.sentence.endswith("not held to it: this system promises at most once")
    whole = ledger("at most once", journal=[record(1), record(2)])
    assert (whole.answer, "not held" in whole.sentence) == (Answer.PASS, False)


@pytest.mark.parametrize(
    ("journal", "measured"),
    [
        ([record(1), record(2), record(2)], "1 delivered more than once"),
        ([record(1), record(2, node=2)], "1 delivered to another node"),
        ([record(1), record(2, size=1)], "1 of another size"),
    ],
)
def test_at_most_once_covers_nothing_else(journal, measured):
    found = ledger("at most once", journal=journal)
    assert (found.answer, found.measured) == (Answer.FAIL, measured)


def test_what_is_covered_is_told_beside_what_is_not():
    found = ledger("at most once", journal=[record(2), record(2)])
    assert found.answer is Answer.FAIL
    assert found.measured == "1 acknowledged but in no journal, 1 delivered more than once"
    assert "not held to it (acknowledged but in no journal)" in found.sentence


def test_at_least_once_covers_repeats_and_no_loss():
    twice = [record(1), record(2), record(2)]
    found = ledger("at least once", journal=twice)
    assert (found.answer, found.measured) == (Answer.MEASURED, "1 delivered more than once")
    assert ledger("at least once", journal=[record(1)]).answer is Answer.FAIL
    gave_up = [operation(1, outcome=int(Outcome.UNKNOWN), done_ns=0)]
    found = ledger("at least once", sent=gave_up, journal=[record(1), record(1)])
    assert found.answer is Answer.MEASURED
    assert ledger(sent=gave_up, journal=[record(1), record(1)]).answer is Answer.FAIL


def test_best_effort_covers_all_three_and_no_alteration():
    found = ledger("best effort", journal=[record(2), record(2)])
    assert found.answer is Answer.MEASURED
    resized = ledger("best effort", journal=[record(1), record(2, size=9)])
    assert resized.answer is Answer.FAIL


def test_two_words_cover_what_each_covers():
    found = ledger("at most once", "at least once", journal=[record(2), record(2)])
    assert found.answer is Answer.MEASURED
    assert found.sentence.endswith("promises at most once and at least once")


def test_a_broadcast_that_is_not_everywhere_is_lost():
    journal = heard(1, 0, 2) + heard(2, 0)
    sent = [broadcast(1), broadcast(2)]
    assert ledger(sent=sent, journal=journal).answer is Answer.FAIL
    assert ledger("at most once", sent=sent, journal=journal).answer is Answer.FAIL  # of messages
    found = ledger("at most once", of=BROADCAST, sent=sent, journal=journal)
    assert (found.answer, found.measured) == (Answer.MEASURED, "1 not everywhere")


def test_what_may_be_lost_need_not_be_known_of_a_node_that_was_stopped():
    """Without the exemption nobody can say whether it is missing."""
    stopped = NodeChanged(at_ns=SECOND // 2, node="node-0", condition="stopped")
    events = (stopped, NodeStarted(at_ns=2 * SECOND, node="node-0"), RunEnded())
    assert ledger(journal=[record(1)], events=events).answer is Answer.UNKNOWN
    assert ledger("at most once", journal=[record(1)], events=events).answer is Answer.MEASURED
    again = [record(1), record(2), record(2)]
    assert ledger("at most once", journal=again, events=events).answer is Answer.FAIL


def test_no_exemption_covers_what_is_made_up_or_denied():
    everything = dict.fromkeys((MESSAGE, BROADCAST), tuple(COVERS))
    journal = [record(1), record(9)]
    made_up = history([operation(1)], journal, unpromised=everything, before=Before())
    assert [one.answer for one in phantoms.check(made_up)] == [Answer.FAIL]
    denied = [operation(1, outcome=int(Outcome.FAILED))]
    found = history(denied, [record(1)], unpromised=everything, failed_is_certain=True)
    assert [one.answer for one in denials.check(found)] == [Answer.FAIL]
    early = history([operation(1)], [record(1, at_ns=SECOND)], unpromised=everything)
    assert Answer.FAIL in [one.answer for one in delivery.check(early)]


@pytest.mark.parametrize(
    ("words", "answer"),
    [((), "FAIL"), (("unordered",), "MEASURED"), (("at least once",), "FAIL")],
)
def test_unordered_covers_what_is_overtaken(words, answer):
    journal = [record(n, at_ns=SECOND + at * MS) for n, at in ((1, 12), (2, 10), (3, 11))]
    sent = [operation(number) for number in (1, 2, 3)]
    [found] = ordered.check(history(sent, journal, unpromised={MESSAGE: words}))
    assert (found.answer, found.measured) == (Answer(answer), "1 overtaken")
    assert ("promises unordered" in found.sentence) == (answer == "MEASURED")


@pytest.mark.parametrize(("words", "answer"), [((), "FAIL"), (("at most once",), "MEASURED")])
def test_coverage_by_side_is_not_held_to_what_is_lost(words, answer):
    sides = {"node-0": 0, "node-1": 0, "node-2": 1}
    events = (fault("set", 2, sides=sides), fault("clear", 8, sides=sides), RunEnded())
    sent = [broadcast(1500, source=0), broadcast(7500, source=0)]
    found = coverage.check(
        history(sent, heard(7500, 1), events=events, unpromised={BROADCAST: words})
    )
    assert [(one.answer, one.measured) for one in found] == [(Answer(answer), "0 of 1")] * 2
    # What came too late is no loss.
    late = heard(1500, 1, at_ns=int(8.5 * SECOND)) + heard(7500, 1, 2)
    found = coverage.check(history(sent, late, events=events, unpromised={BROADCAST: words}))
    assert found[0].answer is not Answer.MEASURED


def test_words_are_of_operations_of_which_something_is_judged():
    assert words_for(Operation.PRIVATE_MESSAGE) == list(COVERS)
    assert words_for(Operation.BROADCAST) == ["at most once", "at least once", "best effort"]
    assert words_for(Operation.DHT_PUT) == ["at most once", "best effort"]
    assert words_for(Operation.DHT_GET) == []
