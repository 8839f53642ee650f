"""The operations of a history and the journal records that tell of them, chosen and matched by the
operations' ids. Pure.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.checks.metric import Chosen, Floats
from harness.history.history import History, Nanoseconds, PhaseWindow, Records
from harness.operations import Operation, Outcome
from harness.operations.operation import ID_BYTES, Witness, key_of
from harness.operations.records import RecordKind

NEVER = -1  # no moment
Ids = npt.NDArray[np.void]
WHOLE_RUN = PhaseWindow(name="all", begin_ns=0, end_ns=2**63 - 1)


def due(history: History, phase: PhaseWindow) -> Chosen:
    """Which operations, of all kinds, were due in the phase."""
    intended = history.column("intended_ns")
    inside: Chosen = (intended >= phase.begin_ns) & (intended < phase.end_ns)
    return inside


def in_phase(history: History, phase: PhaseWindow, operation: Operation) -> Chosen:
    """Which operations of this kind were due in the phase."""
    chosen: Chosen = due(history, phase) & (history.column("operation") == operation)
    return chosen


def ended_ok(history: History, phase: PhaseWindow, operation: Operation) -> Chosen:
    """Which operations of this kind were due in the phase and ended OK."""
    ok: Chosen = history.column("outcome") == Outcome.OK
    return in_phase(history, phase, operation) & ok


def identifiers(history: History, chosen: Chosen) -> Ids:
    """The 16-byte ids of chosen operations, comparable with those of the journal."""
    column = history.operations.column("id").combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    data = np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]
    return data[chosen]


def sortable(ids: Ids) -> Ids:
    """Ids as byte strings that numpy can sort (S16 would drop trailing zeros, so a byte is
    added).
    """
    raw = np.frombuffer(np.ascontiguousarray(ids).tobytes(), np.uint8).reshape(-1, 16)
    return (
        np.ascontiguousarray(np.concatenate([raw, np.ones((len(raw), 1), np.uint8)], axis=1))
        .view("S17")
        .ravel()
    )


def arrivals(history: History, kind: RecordKind) -> tuple[Ids, Records]:
    """Journal records of one kind, sorted by id and, within an id, by time: (sortable ids,
    records).
    """
    found = history.journal[history.journal["kind"] == kind]
    found = found[np.argsort(found["at_ns"], kind="stable")]
    found = found[np.argsort(sortable(found["id"]), kind="stable")]
    return sortable(found["id"]), found


def heard_ns(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """When each node first had a record of `kind` of each chosen operation: a row an operation, a
    column a node, NEVER where it had none.
    """
    ids = identifiers(history, chosen)
    rows, mine = about(history.journal[history.journal["kind"] == kind], ids)
    late_first = np.argsort(mine["at_ns"], kind="stable")[::-1]
    found = np.full((len(ids), len(history.nodes)), NEVER, np.int64)
    # The earliest is written last, and stays.
    found[rows[late_first], mine["node"][late_first]] = mine["at_ns"][late_first]
    return found


def heard_again(history: History, kind: RecordKind, chosen: Chosen) -> npt.NDArray[np.bool_]:
    """Which nodes have more than one record of `kind` of each chosen operation: a row an operation,
    a column a node.
    """
    ids, nodes = identifiers(history, chosen), len(history.nodes)
    rows, mine = about(history.journal[history.journal["kind"] == kind], ids)
    count = np.bincount(rows * nodes + mine["node"], minlength=len(ids) * nodes)
    again: npt.NDArray[np.bool_] = count.reshape(len(ids), nodes) > 1
    return again


def about(records: Records, ids: Ids) -> tuple[npt.NDArray[np.intp], Records]:
    """Those of the records that are about one of these ids, and about which, as its position."""
    if not len(ids) or not len(records):
        return np.empty(0, np.intp), records[:0]
    wanted, named = sortable(ids), sortable(records["id"])
    order = np.argsort(wanted, kind="stable")
    at = order[np.minimum(np.searchsorted(wanted, named, sorter=order), len(wanted) - 1)]
    mine = wanted[at] == named
    return at[mine], records[mine]


def beginnings(history: History) -> npt.NDArray[np.uint64]:
    """How a record's `peer` names each node: the first 8 bytes of its wire id."""
    return np.array([int.from_bytes(one[:8], "little") for one in history.wire_ids], np.uint64)


def keys(ids: Ids) -> Ids:
    """How a record's `id` names the key that each operation puts a value under."""
    raw = b"".join(key_of(one.tobytes())[:ID_BYTES] for one in ids)
    return np.frombuffer(raw, f"V{ID_BYTES}")


def witnessed_ns(history: History, operation: Operation, chosen: Chosen) -> Nanoseconds:
    """When the first record of each chosen operation's own witness was made; NEVER where there is
    none, and for an operation that has no single witness.
    """
    ledger = operation.spec.ledger
    find = _WITNESSES.get(ledger.witness) if ledger is not None else None
    if ledger is None or find is None:
        return np.full(int(chosen.sum()), NEVER, np.int64)
    return find(history, ledger.record, chosen)


def begun_ns(history: History, chosen: Chosen) -> Nanoseconds:
    """When the time of each chosen operation begins: when it was due, or sent where that came
    first.
    """
    intended, sent = (history.column(name)[chosen] for name in ("intended_ns", "sent_ns"))
    begun: Nanoseconds = np.where(sent > 0, np.minimum(intended, sent), intended)
    return begun


def took_ns(history: History, phase: PhaseWindow, operation: Operation) -> Floats:
    """How long each operation took that was due in the phase, in ns from its intended time (see
    `begun_ns`): infinite where it did not end OK.

    It ends with its witness's record, and never before the sender was told, nor before it was
    sent. The two stamps may be compared to the nanosecond: all clocks of a run are CLOCK_MONOTONIC
    of one host, which its processes share and which never runs backwards, on any CPU. An operation
    without a record ends when its sender says so; that the record is missing is what the ledger
    says.
    """
    chosen = in_phase(history, phase, operation)
    ends = [history.column(name)[chosen] for name in ("sent_ns", "done_ns")]
    end = np.maximum.reduce([*ends, witnessed_ns(history, operation, chosen)])
    took: Floats = (end - begun_ns(history, chosen)).astype(np.float64)
    took[history.column("outcome")[chosen] != Outcome.OK] = np.inf
    return took


def _at_target(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """The first record of each operation's id at its target."""
    return first_ns(
        history, kind, identifiers(history, chosen), history.column("target")[chosen], at=True
    )


def _at_keeper(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """The first record of each operation's key at a node that is not its source."""
    named = keys(identifiers(history, chosen))
    return first_ns(history, kind, named, history.column("source")[chosen], at=False)


def first_ns(
    history: History,
    kind: RecordKind,
    named: Ids,
    nodes: npt.NDArray[np.integer[Any]],
    *,
    at: bool,
) -> Nanoseconds:
    """The first record of each name that is `at` its node, or at any but that node."""
    ids, records = arrivals(history, kind)
    wanted = sortable(named)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    found = np.full(len(wanted), NEVER, np.int64)
    if not len(records):
        return found
    first = records[np.minimum(begin, len(records) - 1)]
    plain = (end > begin) & ((first["node"] == nodes) == at)  # nearly all
    found[plain] = first["at_ns"][plain]
    for index in np.flatnonzero((end > begin) & ~plain):
        mine = records[begin[index] : end[index]]
        mine = mine[(mine["node"] == nodes[index]) == at]
        if len(mine):
            found[index] = mine["at_ns"][0]
    return found


def _at_answerer(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    return _meetings(history, kind, chosen, history.column("answered_by")[chosen])


def _at_peer(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    return _meetings(history, kind, chosen, history.column("target")[chosen])


def _meetings(
    history: History, kind: RecordKind, chosen: Chosen, nodes: npt.NDArray[np.integer[Any]]
) -> Nanoseconds:
    """A record of each operation at its node that names its source, made between its sending and
    its end, and none of another operation's. Who ends first chooses first.
    """
    names = beginnings(history)
    of_kind = history.journal[history.journal["kind"] == kind]
    of_kind = of_kind[np.argsort(of_kind["at_ns"], kind="stable")]
    left: dict[tuple[int, int], list[int]] = {}
    for node, peer, at_ns in zip(
        *(of_kind[name] for name in ("node", "peer", "at_ns")), strict=True
    ):
        left.setdefault((int(node), int(peer)), []).append(int(at_ns))
    source, sent, done = (history.column(name)[chosen] for name in ("source", "sent_ns", "done_ns"))
    found = np.full(len(nodes), NEVER, np.int64)
    for index in np.argsort(done, kind="stable"):
        times = left.get((int(nodes[index]), int(names[source[index]])), [])
        at = bisect_left(times, sent[index])
        if at < len(times) and times[at] <= done[index]:
            found[index] = times.pop(at)
    return found


_WITNESSES: dict[Witness, Callable[[History, RecordKind, Chosen], Nanoseconds]] = {
    Witness.TARGET: _at_target,
    Witness.KEEPER: _at_keeper,
    Witness.ANSWERER: _at_answerer,
    Witness.PEER: _at_peer,
}
