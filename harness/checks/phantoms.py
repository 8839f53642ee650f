"""What nobody sent: records of journals with an id, or a key, of no operation of the load. Pure.

An id names the run whose load made it. What an earlier run on the same cluster sent may come late,
to a node that was away above all: that is told, and no doubt. Of a key, which is a hash, nobody can
tell whose it is, but of those that streams share and that are put before a run's clock starts. A
command that was run beside a node (`harness exec`) may have asked it for anything. Where neither
is, a node has made up what it says that it received.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import NamedTuple

import numpy as np

from harness.checks import records
from harness.checks.ids import NOWHERE, Ids, Index, Places, halves
from harness.checks.metric import Chosen
from harness.checks.verdict import Answer, Cause, Finding
from harness.choices import any_of
from harness.history.events import CommandRan, RunEnded
from harness.history.history import VALUES, Before, History
from harness.history.plan import Plan
from harness.operations import Operation
from harness.operations.operation import ID_BYTES, Witness, shared_key
from harness.operations.records import RecordKind
from harness.scenario import identifiers
from harness.scenario.schedule import EARLY_STREAM, IDENTIFIER, SEEDS, salt
from harness.scenario.stream import Stream

NAME = "journals: nothing that nobody sent"
LATE = "an earlier run on this cluster may have put it"
EMPTY = np.empty(0, np.intp)


class Told(NamedTuple):
    """What a kind of records tells of: operations, by their ids or by their keys."""

    kind: RecordKind
    operations: tuple[Operation, ...]
    by_key: bool

    @property
    def words(self) -> str:
        """What it may tell of, in words."""
        return any_of(operation.word for operation in self.operations)


def _kinds(history: History) -> Iterator[Told]:
    """The kinds of records that name what was sent; operations of a system's own share theirs with
    others.
    """
    found: dict[tuple[RecordKind, bool], list[Operation]] = {}
    for operation in history.kinds:
        ledger = operation.spec.ledger
        if ledger is None or ledger.witness is Witness.PEER:  # a connection has no id
            continue
        kinds = [ledger.record] + ([] if ledger.content is None else [ledger.content])
        if ledger.witness is Witness.EVERY_OTHER_NODE:
            kinds.append(RecordKind.DUPLICATE)
        for kind in kinds:
            by_key = ledger.witness in (Witness.KEEPER, Witness.ANSWERER)
            found.setdefault((kind, by_key), []).append(operation)
    for (kind, by_key), operations in found.items():
        yield Told(kind, tuple(operations), by_key)


def check(history: History) -> list[Finding]:
    """One finding where journals tell of what nobody sent; none where they do not. What can be
    explained is told where nothing else is there.
    """
    present = history.kept & frozenset(
        np.flatnonzero(np.bincount(history.journal["kind"])).tolist()
    )
    late, strange = [], []
    for told in _kinds(history):
        places = _strange(history, told) if told.kind in present else EMPTY
        is_late = _is_earlier(history, places) & (not told.by_key)
        late += [(told, places[is_late])] if is_late.any() else []
        strange += [(told, places[~is_late])] if not is_late.all() else []
    why = _explained(history)
    open_ = (
        [] if why is not None else [(one, _unexplained(history, one, at)) for one, at in strange]
    )
    made_up = [(told, places) for told, places in open_ if len(places)]
    if not strange:
        return [_late(history, late)] if late else []
    if made_up:
        return [_finding(history, made_up)]
    return [_finding(history, strange, why or LATE)]


def _finding(
    history: History, strange: Sequence[tuple[Told, Places]], why: str | None = None
) -> Finding:
    """The finding of these records; `why`: who else may have sent them."""
    count = sum(len(places) for _, places in strange)
    told, places = strange[0]
    first = history.journal[places[0]]
    sentence = (
        f"{history.nodes[first['node']]} has a record ({told.kind.name.lower()}) of the "
        f"{'key' if told.by_key else 'id'} {first['id'].tobytes().hex()[:16]}…, and no "
        f"{told.words} that was sent has it"
    )
    return Finding(
        name=NAME,
        answer=Answer.FAIL if why is None else Answer.UNKNOWN,
        promised="0 records",
        measured=f"{count:,} record{'s' * (count > 1)}",
        sentence=sentence if why is None else f"{sentence}; {why}",
        cause=None if why is None else Cause.OTHERS_SENT,
    )


def _late(history: History, late: Sequence[tuple[Told, Places]]) -> Finding:
    """The finding of what earlier runs sent: it is shown, and holds nobody to anything."""
    count = sum(len(places) for _, places in late)
    told, places = late[0]
    node = history.nodes[history.journal["node"][places[0]]]
    return Finding(
        name=NAME,
        answer=Answer.MEASURED,
        promised="–",
        measured=f"{count:,} of earlier runs",
        sentence=f"what an earlier run on this cluster sent came late: to {node} first "
        f"({told.kind.name.lower()})",
    )


def _strange(history: History, told: Told) -> Places:
    """The places in the journal of a kind's records that tell of nothing that was sent."""
    find = _by_key if told.by_key else _by_id
    return find(history, told)


def _by_id(history: History, told: Told) -> Places:
    found = records.told(history, told.kind)
    whose = history.column("operation")[found.of]
    is_right = np.zeros(len(whose), np.bool_)
    for operation in told.operations:
        is_right |= whose == operation
    if records.named(history).same is not None:  # of one id, any of them
        is_right[:] = True
    strange = _others(history, told.kind, found.places[is_right])
    if not len(strange):
        return strange
    cut_off = (_cut_off(history, operation) for operation in told.operations)
    more = np.concatenate([history.under_way, *cut_off])
    return strange[~_among(history.journal["id"][strange], more)]


def _by_key(history: History, told: Told) -> Places:
    """Of a folder that does not say how many put keys before its clock started, nothing."""
    plan = history.plan
    if plan is None or not plan.workers:
        return EMPTY
    keys = np.concatenate([_own_keys(history), *_other_keys(history, plan)])
    found = records.told_by(history, told.kind, Index.of(*halves(keys)))
    return _others(history, told.kind, found.places)


def _others(history: History, kind: RecordKind, known: Places) -> Places:
    """The places of a kind's records but those that are known. Journals of a run under way are
    ahead of its operations: what was sent after the moment of which is told is in none of these.
    """
    is_strange = history.journal["kind"] == kind
    if over_ns := max(
        (one.at_ns for one in history.events if isinstance(one, RunEnded)), default=0
    ):
        is_strange &= history.journal["at_ns"] < over_ns
    is_strange[known] = False
    return np.flatnonzero(is_strange)


def _among(ids: Ids, others: Ids) -> Chosen:
    """Which ids are among the others."""
    found: Chosen = Index.of(*halves(others)).find(*halves(np.ascontiguousarray(ids))) != NOWHERE
    return found


def _cut_off(history: History, operation: Operation) -> Ids:
    """The ids of operations whose payload was too short for one, as who reads it there has them."""
    chosen = records.in_phase(history, records.WHOLE_RUN, operation)
    sizes, ids = history.column("payload_bytes")[chosen], records.identifiers(history)[chosen]
    is_short = sizes < ID_BYTES
    made = {
        one.tobytes()[:size].ljust(ID_BYTES, b"\0")
        for one, size in zip(ids[is_short], sizes[is_short].tolist(), strict=True)
    }
    return _joined(made)


def _own_keys(history: History) -> Ids:
    """The keys of all puts, and of what is under way, as if each had one of its own."""
    puts = np.zeros(history.operations.num_rows, np.bool_)
    for operation in history.kinds:
        ledger = operation.spec.ledger
        if ledger is not None and ledger.witness is Witness.KEEPER:
            puts |= records.in_phase(history, records.WHOLE_RUN, operation)
    ids = np.concatenate([records.identifiers(history)[puts], history.under_way])
    return records.keys(ids)


def _other_keys(history: History, plan: Plan) -> Iterator[Ids]:
    """The keys that operations share or name, and those that are put before the clock starts."""
    before = history.before or Before()
    runs = (salt(plan.t0_ns, plan.seed), *before.runs)
    shared = max((Stream.from_json(one).keys or 0 for one in plan.streams), default=0)
    for run, id_key in zip_longest(runs, (plan.id_key, *before.id_keys), fillvalue=b""):
        for worker in range(plan.workers):
            share = identifiers.prefix(run, worker, EARLY_STREAM)
            yield records.keys(_joined(identifiers.ids(id_key, share, np.arange(SEEDS))))
        yield _joined({shared_key(run, number)[:ID_BYTES] for number in range(shared)})
    yield _joined(set(history.values.column(VALUES.names[1]).to_pylist()))


def _joined(ids: Iterable[bytes]) -> Ids:
    return np.frombuffer(b"".join(ids), f"V{ID_BYTES}")


def _explained(history: History) -> str | None:
    """Say who else may have sent anything; None: nobody, but for earlier runs."""
    if history.before is None:
        return "this folder does not tell what else was sent to its cluster"
    commands = [event.node for event in history.events if isinstance(event, CommandRan)]
    if commands or history.before.commands:
        where = commands[0] if commands else "a node"
        return f"a program that was run beside {where} (harness exec) may have sent it"
    return None


def _unexplained(history: History, told: Told, places: Places) -> Places:
    """Those of strange records that no earlier run on the cluster can have sent."""
    is_open = told.by_key and history.before is not None and history.before.runs
    return EMPTY if is_open else places


def _is_earlier(history: History, places: Places) -> Chosen:
    """Which of these records have an id that an earlier run on the cluster made."""
    earlier = () if history.before is None else history.before.runs
    runs = np.array([int.from_bytes(one, "little") for one in earlier], np.uint64)
    made = np.ascontiguousarray(history.journal["id"][places]).view(IDENTIFIER)
    found: Chosen = np.isin(made["run"], runs)
    return found
