"""Operations of a system's own, in histories: each is held to the ledger that it says, beside those
of the harness whose records are of the same kind.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import row
from kit.histories import beginning, history, operation, record
from kit.run_folders import good

from harness import checks
from harness.checks import asked, delivery, denials, phantoms, rows, scope
from harness.checks.metrics import METRICS, require
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import reader
from harness.history.gaps import Part
from harness.history.metadata import read as metadata
from harness.history.plan import Plan
from harness.operations import Operation, Outcome, own
from harness.operations.records import RecordKind
from harness.scenario.stream import Stream

TELL, SHOUT, KEEP, FETCH, TALLY = (
    own.made(64 + at, word, ledger, None if ledger != "none" else "nobody")
    for at, (word, ledger) in enumerate(
        [
            ("tell", "delivered"),
            ("shout", "received"),
            ("keep", "stored"),
            ("fetch", "answered"),
            ("tally", "none"),
        ]
    )
)
OWN = (TELL, SHOUT, KEEP, FETCH, TALLY)
# Of each, a record that shows it, and the finding of its ledger.
SHOWN = {
    TELL: (record(1), "tell: acknowledged and delivered"),
    SHOUT: (record(1, RecordKind.RECEIVED, node=0), "shout: in the journals of all 1 other nodes"),
    KEEP: (record(1, RecordKind.STORED, node=0), "keep: stored at another node"),
    FETCH: (
        record(1, RecordKind.ANSWERED, node=0, peer=beginning(1)),
        "fetch: answered by another node",
    ),
}
# The operation of the harness that leaves the same kind of record.
ALIKE = {
    TELL: Operation.PRIVATE_MESSAGE,
    SHOUT: Operation.BROADCAST,
    KEEP: Operation.DHT_PUT,
    FETCH: Operation.DHT_GET,
}


def run(*operations, journal=(), **changes):
    return history(operations, journal, **{"nodes": 2, "own": OWN, **changes})


def sent(number, kind, **changes):
    is_to_node = kind in (TELL, Operation.PRIVATE_MESSAGE)
    plain = {"target": 0 if is_to_node else -1, "answered_by": 0}
    return operation(number, kind, **plain | changes)


@pytest.mark.parametrize("kind", SHOWN)
def test_what_its_witness_shows_is_a_pass_and_what_it_does_not_is_a_fail(kind):
    shown, name = SHOWN[kind]
    for journal, answer in (([shown], Answer.PASS), ([], Answer.FAIL)):
        (found,) = delivery.check(run(sent(1, kind), journal=journal))
        assert (found.name, found.answer) == (name, answer), found


def test_without_a_ledger_the_answer_alone_counts():
    found = run(sent(1, TALLY), sent(2, TALLY, outcome=int(Outcome.FAILED)))
    assert delivery.check(found) == []
    (came_true,) = [one for one in scope.check(found, []) if one.name.endswith(": tally")]
    assert (came_true.answer, came_true.measured) == (Answer.UNKNOWN, "1 of 2")
    assert not [
        one for one in checks.judge(run(sent(1, TALLY)), []).findings if "asked" in one.name
    ]


@pytest.mark.parametrize("kind", SHOWN)
def test_a_record_is_of_the_operation_that_has_its_id_whatever_its_kind(kind):
    """An honest operation of one's own was held to have made up what it delivered: FAIL."""
    shown, _ = SHOWN[kind]
    both = [sent(1, kind), sent(2, ALIKE[kind])]
    assert phantoms.check(run(*both, journal=[shown])) == []
    if kind in (TELL, SHOUT):
        (found,) = phantoms.check(run(sent(2, kind), journal=[shown]))
        assert found.answer is Answer.UNKNOWN  # an older folder; a later one's is a FAIL
        assert f"no {ALIKE[kind].word} or {kind.word} that was sent has it" in found.sentence


def test_one_record_of_an_answer_is_of_one_operation():
    """Both were answered by the one record that the node had made, whoever asked."""
    shown, _ = SHOWN[FETCH]
    found = delivery.check(run(sent(1, FETCH), sent(1, Operation.DHT_GET), journal=[shown]))
    assert sorted(str(one.answer) for one in found) == ["FAIL", "PASS"]
    more = record(1, RecordKind.ANSWERED, node=0, peer=beginning(1))
    found = delivery.check(run(sent(1, FETCH), sent(1, Operation.DHT_GET), journal=[shown, more]))
    assert {one.answer for one in found} == {Answer.PASS}


@pytest.mark.parametrize("kind", [TELL, SHOUT, KEEP])
def test_what_failed_was_not_done(kind):
    shown, _ = SHOWN[kind]
    failed = sent(1, kind, outcome=int(Outcome.FAILED), error="no")
    (found,) = denials.check(run(failed, journal=[shown], failed_is_certain=True))
    assert (found.answer, found.name) == (Answer.FAIL, f"{kind.word}: what failed was not done")


def test_two_runs_of_one_process_may_mean_different_things_by_a_number():
    other = own.made(64, "publish", "received")
    assert other != TELL
    assert (int(other), hash(other)) == (int(TELL), hash(TELL))
    first, second = run(sent(1, TELL)), run(sent(1, other), own=(other,))
    assert [one.name for one in delivery.check(first)] == [SHOWN[TELL][1]]
    assert [one.name for one in delivery.check(second)] == [
        "publish: in the journals of all 1 other nodes"
    ]
    measured = row(metric="tell.delivered", statistic="mean", unit="%", bound=None)
    assert [rows.check(one, [measured])[0].answer for one in (first, second)] == [
        Answer.MEASURED,
        Answer.UNKNOWN,
    ]


def test_a_budget_has_rows_of_its_time_and_its_share():
    found = run(sent(1, TELL), sent(2, TELL, outcome=int(Outcome.FAILED)), journal=[record(1)])
    share = row(metric="tell.delivered", statistic="mean", unit="%", bound=90, comparison=">=")
    time = row(metric="tell.latency", statistic="min", unit="ms", bound=5)
    judged = rows.check(found, [share, time])
    assert [(one.answer, one.measured[:5]) for one in judged] == [
        (Answer.FAIL, "50 % "),
        (Answer.PASS, "2 ms "),
    ]
    # What failed makes the share's row be missed, so it says how many may fail.
    came_true = [one for one in scope.check(found, [share]) if one.name.endswith(": tell")]
    assert came_true[0].sentence.startswith(f"the row {share.name!r} is about it")


def test_a_metric_that_its_ledger_does_not_have_is_unknown_and_no_pass():
    none = row(metric="tell.stored", statistic="count", unit="1", bound=0, comparison="==")
    (found,) = rows.check(run(sent(1, TELL)), [none])
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert "no operation tell with a stored" in found.sentence


def test_who_knows_the_system_refuses_a_metric_that_it_has_not():
    known = own.metrics(OWN)
    rows.validate_for([row(metric="keep.return_to_baseline", unit="s")], known)
    for name in ("keep.delivered", "kep.stored"):
        wrong = row(metric=name, statistic="mean", unit="%", comparison=">=")
        with pytest.raises(BadFileError, match=r"did you mean '(tell\.delivered|keep\.stored)'"):
            rows.validate_for([wrong], known)
        rows.validate([wrong])  # of some system


def test_where_nobody_knows_it_what_is_close_to_a_word_of_the_harness_is_that_misspelt():
    assert require("enqueue.latency").kind == "time"
    assert require("enqueue.return_to_baseline").over is not None
    with pytest.raises(BadFileError, match=r"did you mean 'broadcast\.delivery'"):
        require("broadcasts.received")
    assert require("broadcasts.received", ["broadcasts"]).kind == "share"
    assert METRICS.find("keep.anything") is None
    # Whoever judges a run that has it is not told otherwise.
    mine = own.made(64, "broadcasts", "received")
    share = row(metric="broadcasts.received", statistic="mean", unit="%", bound=None)
    assert rows.check(run(sent(1, mine), own=(mine,)), [share])[0].answer is Answer.MEASURED


def test_no_word_may_be_one_that_something_else_has():
    """`cpu.latency` would be two things."""
    named = {name.partition(".")[0] for name in METRICS} | {"gauge", "rate", "histogram"}
    named |= {"spawn", "stream"}  # --spawn-rate, StreamUser
    assert not [word for word in named if own.is_word(word)]
    assert (own.is_word("a" * 32), own.is_word("a" * 33)) == (True, False)


def test_a_row_about_what_was_none_of_the_streams_is_not_asked():
    plan = Plan(t0_ns=0, seed=1, phases=(), left_out=frozenset({"keep"}))
    share = row(metric="keep.stored", statistic="mean", unit="%", bound=90, comparison=">=")
    left_out = asked.left_out(run(sent(1, TELL), plan=plan), share)
    assert left_out == "keep was none of the streams of this run"


@pytest.mark.parametrize("is_told", [True, False])
def test_a_number_that_nobody_explains_is_a_gap_and_no_crash(tmp_path, is_told):
    folder = good(tmp_path)

    def change(facts):
        (stream, *_) = facts["load"]["streams"]
        stream |= {"operation": "trade"}
        facts["operations"] = {"trade": 77}
        if is_told:
            stream["own"] = own.as_json(own.made(77, "trade", "delivered"))

    facts = metadata(folder)
    change(facts)
    read = reader.Folder(reader.Files(folder, has_manifest=True), facts)
    happened = read.events()
    found = reader.history_of(read, happened, read.journals(happened))
    assert [one.word for one in found.own] == ["trade"]
    lacking = {part for gap in found.gaps for part in gap.what}
    assert (Part.PLAN in lacking) != is_told
    assert checks.judge(found, []).answer is not Answer.PASS
    assert {one.name for one in delivery.check(replace(found, ended=True))}


def test_rows_of_a_number_that_nobody_explains_are_left_out_and_said(tmp_path):
    folder = good(tmp_path)
    read = reader.Folder(reader.Files(folder, has_manifest=True), metadata(folder))
    whole = read.operations()
    at = whole.schema.get_field_index("operation")
    numbers = whole.column("operation").to_numpy().copy()
    numbers[:3] = 99
    column = pa.array(numbers, whole.schema.field(at).type)
    left = read._known(whole.set_column(at, whole.schema.field(at), column))
    assert left.num_rows == whole.num_rows - 3
    assert "3 operations have a number (99) of which the folder" in read.gaps[-1].why


def test_a_stream_says_what_its_operation_is():
    said = Stream(operation=KEEP, rate_per_s=5).as_json("load", 10)
    assert said["own"] == {"number": 66, "word": "keep", "ledger": "stored", "to": "new key"}
    assert Stream.from_json(said).operation == KEEP
    for key, value in (("number", 3), ("word", "broadcast"), ("ledger", "x"), ("to", "node")):
        with pytest.raises(BadFileError):
            Stream.from_json(said | {"own": said["own"] | {key: value}})
    with pytest.raises(BadFileError, match="two operations have the same number"):
        own.of_streams([said, said | {"operation": "b", "own": said["own"] | {"word": "b"}}])
    with pytest.raises(BadFileError, match="keep has none"):
        Stream(operation=KEEP, rate_per_s=5, keys=3)
