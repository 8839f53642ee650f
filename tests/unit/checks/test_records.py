"""The join of ids says what the slow one says, whatever collides: ids in their last 8 bytes, whole
ids, records at the same node and at the same time.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import slow_join
from kit.histories import beginning, history, operation

from harness.checks import delivery, ids, operation_metrics, overlay, records
from harness.checks.verdict import Answer
from harness.history.gaps import Gap, Part
from harness.history.history import PhaseWindow, once
from harness.operations import Operation, Outcome
from harness.operations.operation import key_of
from harness.operations.records import RecordKind

NODES = 3
# Sixteen ids: of four last halves, each with four first halves.
IDS = [bytes([first]) * 8 + bytes([0, last]) * 4 for first in range(4) for last in range(4)]
times = st.integers(1, 12)
nodes = st.integers(0, NODES - 1)
operations = st.builds(
    lambda id_, kind, ends, when, answered_by, is_ok: operation(
        0,
        kind,
        id=id_,
        source=ends[0],
        target=ends[1],
        intended_ns=when[0],
        sent_ns=when[1],
        done_ns=when[2],
        answered_by=answered_by,
        outcome=int(Outcome.OK if is_ok else Outcome.UNKNOWN),
    ),
    st.sampled_from(IDS),
    st.sampled_from(list(Operation)),
    st.tuples(nodes, nodes),
    st.tuples(times, st.integers(0, 12), times),
    st.integers(-1, NODES - 1),
    st.booleans(),
)
KINDS = sorted(
    {one.spec.ledger.record for one in Operation if one.spec.ledger} | {RecordKind.DUPLICATE}
)
made = st.builds(
    lambda kind, id_, at_ns, node, peer, size: (
        kind,
        0,
        1,
        size,
        np.void(id_),
        at_ns,
        beginning(peer),
        node,
    ),
    st.sampled_from(KINDS),
    st.sampled_from([*IDS, *(key_of(id_)[:16] for id_ in IDS), b"somebody else's "]),
    times,
    nodes,
    nodes,
    st.sampled_from([255, 256]),
)
histories = st.builds(
    lambda sent, journal: history(sent, journal, nodes=NODES),
    st.lists(operations, max_size=24),
    st.lists(made, max_size=48),
)
WINDOW = PhaseWindow(name="load", begin_ns=3, end_ns=9)
exhaustively = settings(max_examples=100, deadline=None)


def of(found, kind):
    """All operations of a kind, those that ended OK, and those due in a part of the run."""
    return [
        records.in_phase(found, records.WHOLE_RUN, kind),
        records.ended_ok(found, records.WHOLE_RUN, kind),
        records.in_phase(found, WINDOW, kind),
    ]


@exhaustively
@given(histories)
def test_each_witness_is_the_slow_joins(found):
    for kind in Operation:
        for chosen in of(found, kind):
            wanted = slow_join.witnessed_ns(found, kind, chosen).tolist()
            assert records.witnessed_ns(found, kind, chosen).tolist() == wanted


@exhaustively
@given(histories)
def test_who_heard_and_who_heard_again_is_the_slow_joins(found):
    kinds = (RecordKind.RECEIVED, RecordKind.DUPLICATE)
    for chosen in of(found, Operation.BROADCAST):
        for kind in kinds:
            wanted = slow_join.heard_ns(found, kind, chosen).tolist()
            assert records.heard_ns(found, kind, chosen).tolist() == wanted
            wanted = slow_join.heard_again(found, kind, chosen).any(axis=1).sum()
            assert delivery.repeated(found, kind, chosen) == wanted
        wanted = slow_join.first_forwards(found, kinds, chosen)
        assert overlay.first_forwards(found, chosen).tolist() == wanted


@exhaustively
@given(histories)
def test_arrivals_are_the_slow_joins(found):
    for kind in (RecordKind.DELIVERED, RecordKind.FILE_DELIVERED):
        for chosen in of(found, Operation.PRIVATE_MESSAGE):
            seen, first = records.arrivals(found, kind, chosen)
            mine = found.journal[records.told(found, kind).places]
            firsts = [
                (int(mine["node"][at]), int(mine["at_ns"][at]), int(mine["size"][at]))
                if count
                else -1
                for count, at in zip(seen, first, strict=True)
            ]
            assert (seen.tolist(), firsts) == slow_join.arrived(found, kind, chosen)


@exhaustively
@given(histories)
def test_first_contacts_and_what_was_received_are_the_slow_joins(found):
    message = Operation.PRIVATE_MESSAGE
    wanted = slow_join.received(found, message, RecordKind.DELIVERED, 3, 9)
    rates = operation_metrics.received(found, WINDOW).series
    assert [round(rates[node][0] * WINDOW.seconds) for node in range(NODES)] == wanted
    chosen = records.in_phase(found, records.WHOLE_RUN, message)
    first = operation_metrics.OPERATION_METRICS["private_message.first_contact"]
    taken = first.take(found, records.WHOLE_RUN)
    assert taken.of.tolist() == slow_join.firsts_of_pairs(found, chosen).tolist()


METRICS = sorted(operation_metrics.OPERATION_METRICS)


@exhaustively
@given(histories, st.lists(st.booleans(), min_size=24, max_size=24))
def test_left_out_by_position_is_left_out_and_taken_again(found, drawn):
    """Samples that say which operations they are of are what the others alone would give."""
    left_out = np.array(drawn[: found.operations.num_rows], np.bool_)
    rest = replace(found, operations=found.operations.filter(pa.array(~left_out, pa.bool_())))
    for name in METRICS:
        take = operation_metrics.OPERATION_METRICS[name].take
        taken = take(found, records.WHOLE_RUN)
        of_whom = getattr(taken, "of", None)
        if of_whom is not None and name != "private_message.first_contact":
            again = take(rest, records.WHOLE_RUN).values
            assert taken.values[~left_out[of_whom]].tolist() == again.tolist(), name


def test_an_id_is_not_believed_by_its_end():
    """Two ids of one last half: the record of the one says nothing of the other."""
    one, other = b"a" * 8 + b"z" * 8, b"b" * 8 + b"z" * 8
    journal = [(RecordKind.DELIVERED, 0, 1, 256, np.void(other), 2_000_000_000, 0, 0)]
    [finding] = delivery.check(history([operation(1, id=one)], journal))
    assert (finding.answer, finding.measured) == (Answer.FAIL, "1 acknowledged but in no journal")


@pytest.mark.parametrize("count", [1, ids.AT_ONCE, ids.AT_ONCE + 1])
def test_ids_are_found_in_more_than_one_stretch(count):
    some = np.zeros(count, ids.PAIR)
    some["last"] = np.random.default_rng(1).permutation(count)
    index = ids.Index.of(some["first"], some["last"])
    assert (index.find(some["first"], some["last"]) == np.arange(count)).all()
    assert (index.find(some["first"] + 1, some["last"]) == ids.NOWHERE).all()


def test_what_is_derived_is_made_once_and_never_of_another_record():
    made_of = []

    @once
    def count(found, more):
        made_of.append(found)
        return np.array([found.operations.num_rows + more])

    found = history([operation(1), operation(2)])
    assert [count(found, 0)[0], count(found, 0)[0], count(found, 1)[0]] == [2, 2, 3]
    assert len(made_of) == 2
    with pytest.raises(ValueError, match="read-only"):
        count(found, 0)[0] = 9
    gap = Gap(what=frozenset({Part.HOST}), why="the host was not sampled")
    known = found.with_gaps((gap,))
    assert (count(known, 0)[0], known.gaps, len(made_of)) == (2, (gap,), 2)
    other = replace(found, operations=found.operations.slice(0, 1))
    assert count(other, 0)[0] == 1
