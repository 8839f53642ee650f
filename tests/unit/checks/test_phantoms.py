"""Records of journals that tell of what nobody sent: made up, late of an earlier run, or sent by
somebody else.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from kit.histories import SECOND, history, identifier, operation, record
from kit.schedules import SEED, messages, recorded, run

from harness import checks
from harness.checks import phantoms
from harness.checks.verdict import Answer, Cause
from harness.history.events import CommandRan
from harness.history.gaps import Gap, Part
from harness.history.history import Before
from harness.history.journal import JOURNAL
from harness.operations import Operation
from harness.operations.operation import key_of, shared_key
from harness.operations.records import RecordKind
from harness.scenario.schedule import EARLY_STREAM, SEEDS, salt
from harness.scenario.stream import Stream

KINDS = [
    (Operation.PRIVATE_MESSAGE, RecordKind.DELIVERED),
    (Operation.BROADCAST, RecordKind.RECEIVED),
    (Operation.BROADCAST, RecordKind.DUPLICATE),
    (Operation.FILE_TRANSFER, RecordKind.FILE_DELIVERED),
    (Operation.FILE_TRANSFER, RecordKind.FILE_HASHED),
    (Operation.DHT_LISTEN, RecordKind.NOTIFIED),
]


def journal(*rows):
    return np.array(list(rows), JOURNAL)


def made_by(run_salt, stream=0, worker=0, number=0):
    """A record that a message of some run was delivered."""
    id_ = run_salt + worker.to_bytes(2, "little") + stream.to_bytes(2, "little")
    return (*record(0)[:4], np.void(id_ + number.to_bytes(4, "little")), *record(0)[5:])


def of_key(kind, key, node=2):
    return (int(kind), 0, 1, 256, np.void(key[:16]), 2 * SECOND, 0, node)


def with_puts(*rows, keys=None, **changes):
    """A run of the harness's own that put values, and these records."""
    stream = Stream(operation=Operation.DHT_PUT, rate_per_s=2, keys=keys)
    plain = {"before": Before(), "journal": rows}
    return run(recorded(stream), stream, **{**plain, **changes})


@pytest.mark.parametrize(("kind", "record_kind"), KINDS)
def test_a_record_of_what_nobody_sent_is_made_up(kind, record_kind):
    """A node that delivered what nobody had sent was held against nobody: PASS."""
    rows = [record(n, record_kind) for n in range(6)]
    found = history([operation(n, kind) for n in range(5)], rows, before=Before())
    (finding,) = phantoms.check(found)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 record")
    assert f"node-0 has a record ({record_kind.name.lower()}) of the id" in finding.sentence
    assert identifier(5).hex()[:16] in finding.sentence
    assert phantoms.check(replace(found, journal=found.journal[:5])) == []
    assert finding in checks.judge(found, []).findings


@pytest.mark.parametrize(("kind", "record_kind"), KINDS)
def test_an_id_of_another_kind_of_operation_was_not_sent_as_this_one(kind, record_kind):
    other = Operation.BROADCAST if kind is not Operation.BROADCAST else Operation.PRIVATE_MESSAGE
    found = history([operation(1, other)], [record(1, record_kind)], before=Before())
    assert [one.answer for one in phantoms.check(found)] == [Answer.FAIL]


def test_a_kind_that_the_system_does_not_keep_is_nobodys():
    found = history([operation(1)], [record(2, RecordKind.NOTIFIED)], before=Before())
    assert phantoms.check(replace(found, kept=frozenset({RecordKind.DELIVERED}))) == []


def test_a_message_of_an_earlier_run_may_come_late():
    """To a node that was away: its id tells, so nobody is in doubt, and nobody has made it up."""
    earlier, nobodys = salt(5, SEED), salt(6, SEED)
    found = history([operation(1)], [made_by(earlier)], before=Before(runs=(earlier,)))
    (finding,) = phantoms.check(found)
    assert (finding.answer, finding.measured) == (Answer.MEASURED, "1 of earlier runs")
    assert "an earlier run on this cluster sent came late: to node-" in finding.sentence
    more = replace(found, journal=journal(made_by(earlier), made_by(nobodys)))
    (finding,) = phantoms.check(more)
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 record")
    assert nobodys.hex() in finding.sentence


@pytest.mark.parametrize("in_the_run", [True, False])
def test_a_program_beside_a_node_may_have_sent_it(in_the_run):
    """One that began before the run is no event of it."""
    ran = CommandRan(at_ns=SECOND, node="node-1", program="curl")
    found = history([operation(1)], [record(2)], before=Before(commands=0 if in_the_run else 1))
    found = replace(found, events=(ran, *found.events) if in_the_run else found.events)
    (finding,) = phantoms.check(found)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.OTHERS_SENT)
    assert "harness exec" in finding.sentence


def test_an_older_folder_does_not_tell_who_else_sent():
    (finding,) = phantoms.check(history([operation(1)], [record(2)]))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.OTHERS_SENT)


@pytest.mark.parametrize("part", [Part.OPERATIONS, Part.JOURNAL])
def test_what_may_be_in_a_gap_of_the_record_is_not_made_up(part):
    """A load worker's file is missing: what it sent is in no record, and arrived."""
    gap = Gap(what=frozenset({part}), why="load worker 1 of 2 left no record")
    found = history([operation(1)], [record(2)], before=Before(), gaps=(gap,))
    (finding,) = (one for one in checks.judge(found, []).findings if one.name == phantoms.NAME)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.GAP)


def test_what_is_under_way_was_sent():
    found = history([operation(1)], [record(2)], before=Before())
    assert phantoms.check(replace(found, under_way=np.frombuffer(identifier(2), "V16"))) == []


def test_an_id_that_did_not_fit_its_payload_is_known_by_its_beginning():
    """Who reads ids from payloads (Serf's driver) fills up a short one."""
    sent = [operation(1, Operation.BROADCAST, payload_bytes=8)]
    row = list(record(1, RecordKind.RECEIVED))
    row[4] = np.void(identifier(1)[:8].ljust(16, b"\0"))
    assert phantoms.check(history(sent, [tuple(row)], before=Before())) == []
    (finding,) = phantoms.check(
        history([operation(1, Operation.BROADCAST)], [tuple(row)], before=Before())
    )
    assert finding.answer is Answer.FAIL


@pytest.mark.parametrize("kind", [RecordKind.STORED, RecordKind.ANSWERED])
def test_a_key_that_nobody_put_is_made_up(kind):
    (finding,) = phantoms.check(with_puts(of_key(kind, key_of(b"nobody's"))))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 record")
    assert "node-2" in finding.sentence
    assert "of the key" in finding.sentence
    # Of a hash nobody can tell whether an earlier run made it.
    late = with_puts(of_key(kind, key_of(b"nobody's")), before=Before(runs=(salt(5, SEED),)))
    assert [one.answer for one in phantoms.check(late)] == [Answer.UNKNOWN]


@pytest.mark.parametrize("keys", [None, 4])
def test_keys_that_an_earlier_run_shared_or_put_early_are_known(keys):
    """What a node that was away is handed anew."""
    earlier = salt(5, SEED)
    early = earlier + bytes(2) + EARLY_STREAM.to_bytes(2, "little") + bytes(4)
    known = [key_of(early), *(shared_key(earlier, number) for number in range(keys or 0))]
    rows = [of_key(RecordKind.STORED, key) for key in known]
    before = Before(runs=(earlier,))
    assert phantoms.check(with_puts(*rows, keys=keys, before=before)) == []
    strange = of_key(RecordKind.STORED, shared_key(earlier, keys or 0))
    (finding,) = phantoms.check(with_puts(*rows, strange, keys=keys, before=before))
    assert (finding.answer, finding.measured) == (Answer.UNKNOWN, "1 record")


@pytest.mark.parametrize("keys", [None, 4])
def test_keys_of_puts_those_that_they_share_and_those_put_before_the_clock_are_known(keys):
    ids = [one["id"] for one in recorded(Stream(operation=Operation.DHT_PUT, rate_per_s=2))]
    run_salt = salt(SECOND, SEED)
    early = run_salt + bytes(2) + EARLY_STREAM.to_bytes(2, "little")
    known = [key_of(id_) for id_ in ids]
    known += [key_of(early + number.to_bytes(4, "little")) for number in range(SEEDS)]
    known += [shared_key(run_salt, number) for number in range(keys or 0)]
    rows = [of_key(RecordKind.STORED, key) for key in known]
    assert phantoms.check(with_puts(*rows, keys=keys)) == []
    for strange in (
        key_of(early + SEEDS.to_bytes(4, "little")),
        shared_key(run_salt, keys or 0),
    ):
        some = with_puts(*rows, of_key(RecordKind.STORED, strange), keys=keys)
        assert [one.answer for one in phantoms.check(some)] == [Answer.FAIL]


def test_a_run_as_the_harness_records_it_has_no_phantom():
    stream = messages(20)
    sent = recorded(stream)
    rows = [
        (*record(0, node=one["target"])[:4], np.void(one["id"]), one["done_ns"], 0, one["target"])
        for one in sent
    ]
    assert phantoms.check(run(sent, stream, journal=rows, before=Before())) == []
