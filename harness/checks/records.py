"""The operations of a history and the journal records that tell of them, chosen and matched by the
operations' ids. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.checks import meetings
from harness.checks.ids import AT_ONCE, NOWHERE, Ids, Index, Places, halves, width_of
from harness.checks.metric import Chosen, Floats
from harness.history.history import History, Nanoseconds, PhaseWindow, once
from harness.operations import Operation, Outcome
from harness.operations.operation import ID_BYTES, Witness, key_of
from harness.operations.records import RecordKind

NEVER = meetings.NEVER
NOBODY = -1  # no node
LATEST = 2**63 - 1
WHOLE_RUN = PhaseWindow(name="all", begin_ns=0, end_ns=2**63 - 1)


def where(history: History, rule: Callable[..., Chosen], *columns: str) -> Chosen:
    """Which operations a rule of these columns is true of; asked of one stretch of them after the
    other, so that what the rule makes stays in the caches of the CPU.
    """
    arrays = [history.column(name) for name in columns]
    found = np.empty(history.operations.num_rows, np.bool_)
    for begin in range(0, len(found), AT_ONCE):
        part = slice(begin, begin + AT_ONCE)
        found[part] = rule(*(array[part] for array in arrays))
    return found


def due(history: History, phase: PhaseWindow) -> Chosen:
    """Which operations, of all kinds, were due in the phase."""
    return where(history, phase.holds, "intended_ns")


@once
def kinds(history: History) -> frozenset[int]:
    """The numbers of the operations of which there is one."""
    counts = np.bincount(history.column("operation"))
    return frozenset(np.flatnonzero(counts).tolist())


def in_phase(history: History, phase: PhaseWindow, operation: Operation) -> Chosen:
    """Which operations of this kind were due in the phase."""
    if operation not in kinds(history):
        return np.zeros(history.operations.num_rows, np.bool_)
    chosen: Chosen = due(history, phase) & (history.column("operation") == operation)
    return chosen


def ended_ok(history: History, phase: PhaseWindow, operation: Operation) -> Chosen:
    """Which operations of this kind were due in the phase and ended OK."""
    ok: Chosen = history.column("outcome") == Outcome.OK
    return in_phase(history, phase, operation) & ok


@dataclass(frozen=True, slots=True)
class Told:
    """The records of one kind that tell of operations, in the journal's order.

    `of`: which operation each tells of, as its position in the history; of several with one id the
    first. `node` and `at_ns` are columns of the journal, `places` the records' positions in it.
    """

    of: Places
    node: npt.NDArray[np.uint16]
    at_ns: Nanoseconds
    places: Places


def identifiers(history: History) -> Ids:
    """The 16-byte ids of all operations, in one piece."""
    column = history.operations.column("id")
    column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    return np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]


@once
def named(history: History) -> Index:
    """The operations, to be found by their ids."""
    return Index.of(*halves(identifiers(history)))


@once
def told(history: History, kind: RecordKind) -> Told:
    """The records of one kind that tell of an operation by its id."""
    return told_by(history, kind, named(history))


def told_by(history: History, kind: RecordKind, index: Index) -> Told:
    """The records of a kind whose id is one of the index's; looked for in one stretch of the
    journal after the other, so that each is in the caches of the CPU while it is.
    """
    journal = history.journal
    of = np.empty(len(journal), index.order.dtype)
    node, at_ns = np.empty(len(journal), np.uint16), np.empty(len(journal), np.int64)
    places = np.empty(len(journal), width_of(len(journal)))
    end = 0
    for begin in range(0, len(journal), AT_ONCE):
        stretch = journal[begin : begin + AT_ONCE]
        mine = np.flatnonzero(stretch["kind"] == kind)
        first, last = halves(stretch["id"])
        whose = index.find(first[mine], last[mine])
        mine = mine[whose != NOWHERE]
        part = slice(end, end := end + len(mine))
        of[part], places[part] = whose[whose != NOWHERE], mine + begin
        node[part], at_ns[part] = stretch["node"][mine], stretch["at_ns"][mine]
    # What is behind the end was never written to, and takes no memory.
    return Told(of[:end], node[:end], at_ns[:end], places[:end])


def owners(history: History, chosen: Chosen) -> Places:
    """Which operation records tell of for each chosen one: itself, or the first with its id."""
    same = named(history).same
    found: Places = np.flatnonzero(chosen) if same is None else same[chosen]
    return found


def about(history: History, kind: RecordKind, chosen: Chosen) -> tuple[Places, Told]:
    """The records of a kind that tell of chosen operations, and of which, counted among these; of
    several with one id they tell of the first.
    """
    found, who = told(history, kind), owners(history, chosen)
    turn = np.full(len(chosen), NOWHERE, found.of.dtype)
    turn[who[::-1]] = np.arange(len(who))[::-1]  # the first is written last, and stays
    rows = turn[found.of]
    is_chosen = rows != NOWHERE
    if is_chosen.all():
        return rows, found
    mine = Told(
        of=found.of[is_chosen],
        node=found.node[is_chosen],
        at_ns=found.at_ns[is_chosen],
        places=found.places[is_chosen],
    )
    return rows[is_chosen], mine


def arrivals(
    history: History, kind: RecordKind, chosen: Chosen
) -> tuple[npt.NDArray[np.intp], Places]:
    """How many records of a kind tell of each chosen operation, and which is the first in time, as
    its position among those that are `told`; any where there is none.
    """
    found, who = told(history, kind), owners(history, chosen)
    seen = np.bincount(found.of, minlength=len(chosen))
    first = np.zeros(len(chosen), found.of.dtype)
    again = np.flatnonzero(seen[found.of] > 1)
    by_time = again[np.argsort(found.at_ns[again], kind="stable")]
    for turn in (np.arange(len(found.of)), by_time):  # the first is written last, and stays
        first[found.of[turn[::-1]]] = turn[::-1]
    return seen[who], first[who]


def heard_ns(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """When each node first had a record of `kind` of each chosen operation: a row an operation, a
    column a node, NEVER where it had none.
    """
    nodes = len(history.nodes)
    rows, mine = about(history, kind, chosen)
    earliest = _earliest(rows.astype(np.intp) * nodes + mine.node, mine.at_ns, chosen.sum() * nodes)
    return earliest.reshape(-1, nodes)


def _earliest(rows: Places, at_ns: Nanoseconds, count: int) -> Nanoseconds:
    """The earliest time of each of `count` rows; NEVER where it has none."""
    found = np.full(count, LATEST, np.int64)
    np.minimum.at(found, rows, at_ns)
    found[found == LATEST] = NEVER
    return found


def beginnings(history: History) -> npt.NDArray[np.uint64]:
    """How a record's `peer` names each node: the first 8 bytes of its wire id."""
    return np.array([int.from_bytes(one[:8], "little") for one in history.wire_ids], np.uint64)


def keys(ids: Ids) -> Ids:
    """How a record's `id` names the key that each operation puts a value under."""
    raw = ids.tobytes()
    made = (key_of(raw[at : at + ID_BYTES])[:ID_BYTES] for at in range(0, len(raw), ID_BYTES))
    return np.frombuffer(b"".join(made), f"V{ID_BYTES}")


def shares_key(history: History, chosen: Chosen) -> Chosen:
    """Which of the chosen puts name a key that others name too: of one that had no answer nobody
    can tell which record is its own.
    """
    return _named_keys(history, chosen, keys(identifiers(history)[chosen]))[1]


def witnessed_ns(history: History, operation: Operation, chosen: Chosen) -> Nanoseconds:
    """When the first record of each chosen operation's own witness was made; NEVER where there is
    none, and for an operation that has no single witness. All of the chosen are of this kind.
    """
    ledger = operation.spec.ledger
    witness = None if ledger is None else ledger.witness
    if ledger is not None and witness in (Witness.ANSWERER, Witness.PEER):
        column = "answered_by" if witness is Witness.ANSWERER else "target"
        every = chosen | _rivals(history, operation)
        nodes, names = history.column(column)[every], beginnings(history).tolist()
        found = meetings.of(history, ledger.record, every, nodes, names)
        return found[chosen[every]]
    if witness in (Witness.TARGET, Witness.KEEPER):
        of_kind = history.column("operation") == operation
        seen: Nanoseconds = _seen_ns(history, operation)[chosen[of_kind]]
        return seen
    return np.full(int(chosen.sum()), NEVER, np.int64)


def _rivals(history: History, operation: Operation) -> Chosen:
    """Which operations of other kinds ended OK and have records of the same kind, which may be
    theirs: those of a system's own.
    """
    found = np.zeros(history.operations.num_rows, np.bool_)
    ledger = operation.spec.ledger
    for other in history.kinds if history.own else ():
        mine = other.spec.ledger
        if other != operation and mine and ledger and mine.record is ledger.record:
            found |= ended_ok(history, WHOLE_RUN, other)
    return found


@once
def _seen_ns(history: History, operation: Operation) -> Nanoseconds:
    """When the target, or a keeper, first saw each operation of this kind."""
    assert operation.spec.ledger is not None
    of_kind, ledger = history.column("operation") == operation, operation.spec.ledger
    find = _at_target if ledger.witness is Witness.TARGET else _at_keeper
    return find(history, ledger.record, of_kind)


def begun_ns(history: History, chosen: Chosen) -> Nanoseconds:
    """When the time of each chosen operation begins: when it was due, or sent where that came
    first.
    """
    begun, sent = (history.column(name)[chosen] for name in ("intended_ns", "sent_ns"))
    np.minimum(begun, sent, out=begun, where=sent > 0)
    return begun


@once
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
    end = witnessed_ns(history, operation, chosen)
    for name in ("sent_ns", "done_ns"):
        np.maximum(end, history.column(name)[chosen], out=end)
    end -= begun_ns(history, chosen)
    took: Floats = end.astype(np.float64)
    took[history.column("outcome")[chosen] != Outcome.OK] = np.inf
    return took


def _at_target(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """The first record of each operation's id at its target."""
    found, target = told(history, kind), history.column("target")
    if named(history).same is None or not chosen.any():
        mine = found.node == target[found.of]
        return _earliest(found.of[mine], found.at_ns[mine], len(chosen))[chosen]
    # Operations of one id have their targets each: asked for are the records of an id at a node.
    step = len(history.nodes) + 1
    asked = owners(history, chosen).astype(np.int64) * step + target[chosen] + 1
    pairs, rows = np.unique(asked, return_inverse=True)
    has = found.of.astype(np.int64) * step + found.node + 1
    at = np.minimum(np.searchsorted(pairs, has), len(pairs) - 1)
    mine = pairs[at] == has
    return _earliest(at[mine], found.at_ns[mine], len(pairs))[rows]


def _at_keeper(history: History, kind: RecordKind, chosen: Chosen) -> Nanoseconds:
    """The first record of each operation's key at a node that is not its source; of a key that
    operations share, the first that names its source and was made until its end.
    """
    own = keys(identifiers(history)[chosen])
    named, is_shared = _named_keys(history, chosen, own)
    seen = _of_own_keys(history, kind, chosen, own)
    if is_shared.any():
        places = np.flatnonzero(chosen)[is_shared]
        seen[is_shared] = _of_shared_keys(history, kind, places, named[is_shared])
    return seen


def _named_keys(history: History, chosen: Chosen, own: Ids) -> tuple[Ids, Chosen]:
    """The key that each chosen operation named, as the load tells, and whether it is another one
    than its own, which others name too.
    """
    told = history.values
    if not told.num_rows:
        return own, np.zeros(len(own), np.bool_)
    ids, under = (
        np.frombuffer(b"".join(told.column(name).to_pylist()), f"V{ID_BYTES}")
        for name in ("id", "key")
    )
    place = Index.of(*halves(ids)).find(*halves(identifiers(history)[chosen]))
    is_told = place != NOWHERE
    named = own.copy()
    named[is_told] = under[place[is_told]]
    (first, last), (own_first, own_last) = halves(named), halves(own)
    differ: Chosen = (first != own_first) | (last != own_last)
    return named, differ


def _of_shared_keys(history: History, kind: RecordKind, places: Places, named: Ids) -> Nanoseconds:
    """For each of these operations the first record of its key that names its source, at another
    node, between its sending and its end.
    """
    index = Index.of(*halves(named))
    who = np.arange(len(named)) if index.same is None else index.same
    found = told_by(history, kind, index)
    order = np.lexsort((found.at_ns, found.of))
    of, at_ns, node = found.of[order], found.at_ns[order], found.node[order]
    peer, names = history.journal["peer"][found.places[order]], beginnings(history)
    seen = np.full(len(places), NEVER, np.int64)
    source, sent, done = (history.column(name)[places] for name in ("source", "sent_ns", "done_ns"))
    begins, ends = (np.searchsorted(of, who, side) for side in ("left", "right"))
    for row, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        first = begin + int(np.searchsorted(at_ns[begin:end], sent[row]))
        last = begin + int(np.searchsorted(at_ns[begin:end], done[row], "right"))
        part = slice(first, max(first, last))
        mine = (node[part] != source[row]) & (peer[part] == names[source[row]])
        if mine.any():
            seen[row] = at_ns[part][mine.argmax()]
    return seen


def _of_own_keys(history: History, kind: RecordKind, chosen: Chosen, own: Ids) -> Nanoseconds:
    """For each chosen operation the first record of its own key at a node that is not its
    source.
    """
    index = Index.of(*halves(own))
    found, count = told_by(history, kind, index), int(chosen.sum())
    # Of each key, who kept it first, and when first somebody else did.
    first_ns = _earliest(found.of, found.at_ns, count)
    keeper = np.full(count, NOBODY)
    is_first = found.at_ns == first_ns[found.of]
    keeper[found.of[is_first]] = found.node[is_first]
    others = found.node != keeper[found.of]
    second_ns = _earliest(found.of[others], found.at_ns[others], count)
    who = np.arange(count) if index.same is None else index.same
    is_own = keeper[who] == history.column("source")[chosen]
    seen: Nanoseconds = np.where(is_own, second_ns[who], first_ns[who])
    return seen
