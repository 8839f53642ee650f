"""The seeded schedule once more, against the operations that were recorded: one by one, for each
stream and worker. Pure.

An operation's id says which worker made it, for which stream, and, to who has the run's key, its
position in that share; so each one that was planned is either in the record, or it is not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.checks import records
from harness.checks.ids import AT_ONCE, Places
from harness.history.gaps import Gap, Part
from harness.history.history import OPERATIONS, History, PhaseWindow, once
from harness.history.plan import Plan
from harness.operations import Operation, Outcome, own
from harness.scenario import identifiers
from harness.scenario.schedule import IDENTIFIER, Due, Share, salt, schedule
from harness.scenario.stream import Stream

Numbers = npt.NDArray[np.int64]
# The last half of an id is all but the run.
SHARE = np.dtype([(name, IDENTIFIER[name]) for name in ("worker", "stream", "sequence")])


@once
def differences(history: History, phase: PhaseWindow, operation: Operation) -> list[str] | None:
    """Say what differs from the schedule of a phase's streams of one operation, a sentence each;
    nothing where each operation is as planned. None where the folder does not say the schedule.

    A phase is compared up to where it ended.
    """
    plan = history.plan
    if plan is None or not plan.workers:
        return None
    found: list[str] = []
    for number, said in enumerate(plan.streams):
        if said["phase"] == phase.name and said["operation"] == operation.word:
            found += _of_stream(history, plan, phase, number)
    return found


def gaps(history: History) -> Iterator[Gap]:
    """Find the phases whose operations in the record are not those of the schedule."""
    for phase_name, number in history.planned_per_s:
        phase = history.phase(phase_name)
        said = [] if phase is None else differences(history, phase, history.kind(number))
        if phase is not None and said:
            yield Gap(
                what=frozenset({Part.OPERATIONS}),
                from_ns=phase.begin_ns,
                to_ns=phase.end_ns,
                why=f"phase {phase.name}: {said[0]}",
            )


def of_nobody(history: History) -> int:
    """Count the operations that no stream of this run can have made."""
    plan = history.plan
    if plan is None or not plan.workers:
        return 0
    made = records.identifiers(history).view(IDENTIFIER)
    known = (made["run"] == _run(plan)) & (made["stream"] < len(plan.streams))
    return int((~(known & (made["worker"] < plan.workers))).sum())


def of_one_id(history: History) -> int:
    """Count the operations that have an id which another one has; 0 where the schedule is known,
    against which they are too many.
    """
    if history.plan is not None and history.plan.workers:
        return 0
    same = records.named(history).same
    if same is None:
        return 0
    counts = np.bincount(same)
    return int(counts[counts > 1].sum())


def unrecorded(history: History) -> pa.Table:
    """Return the planned operations that are not in the record, with the columns of OPERATIONS: as
    if they had been sent when they were due, and nothing were known since.
    """
    plan = history.plan
    found: list[pa.Table] = []
    if plan is None or not plan.workers:
        return OPERATIONS.empty_table()
    for number, said in enumerate(plan.streams):
        phase = history.phase(said["phase"])
        if phase is not None:
            found.append(_unrecorded(history, plan, phase, number))
    return pa.concat_tables([OPERATIONS.empty_table(), *found]).combine_chunks()


def _unrecorded(history: History, plan: Plan, phase: PhaseWindow, number: int) -> pa.Table:
    _, position = _recorded(history, plan, phase, number)
    begin, count, stretches = 0, 0, [OPERATIONS.empty_table()]
    for due in _due(history, plan, phase, number):
        end = begin + int(np.searchsorted(position[begin:], count + len(due.number)))
        at = np.setdiff1d(np.arange(len(due.number)), position[begin:end] - count)
        stretches.append(_as_unknown(plan, number, due, at, count))
        begin, count = end, count + len(due.number)
    return pa.concat_tables(stretches)


def _as_unknown(plan: Plan, number: int, due: Due, at: Numbers, first: int) -> pa.Table:
    """Some of a stretch as rows of OPERATIONS; `first`: the position of the stretch's first."""
    ids = np.empty(len(at), IDENTIFIER)
    ids["run"], ids["stream"] = _run(plan), number
    position, ids["worker"] = np.divmod(at + first, plan.workers)
    for worker in range(plan.workers):
        mine = ids["worker"] == worker
        ids["sequence"][mine] = identifiers.sequences(plan.id_key, worker, number, position[mine])
    stream = Stream.from_json(plan.streams[number])
    known = {
        "id": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), len(at), [None, pa.py_buffer(ids.tobytes())]
        ),
        "source": due.source[at],
        "target": due.target[at],
        "intended_ns": due.intended_ns[at],
        "sent_ns": due.intended_ns[at],
        "error": pa.nulls(len(at), OPERATIONS.field("error").type),
    }
    same = {
        "operation": stream.operation,
        "payload_bytes": stream.payload_bytes,
        "done_ns": 0,
        "outcome": Outcome.UNKNOWN,
        "hops": -1,
        "answered_by": -1,
    }
    columns = [
        pa.array(known[field.name] if field.name in known else np.full(len(at), same[field.name]))
        for field in OPERATIONS
    ]
    return pa.Table.from_arrays(
        [column.cast(field.type) for column, field in zip(columns, OPERATIONS, strict=True)],
        schema=OPERATIONS,
    )


def _under_way(history: History, plan: Plan, number: int) -> Numbers:
    """The positions in a stream of operations that are under way."""
    made = np.ascontiguousarray(history.under_way).view(IDENTIFIER)
    made = made[(made["run"] == _run(plan)) & (made["stream"] == number)]
    return _position(made, plan)


def _position(made: npt.NDArray[Any], plan: Plan) -> Numbers:
    """Worker w makes the operations w, w + workers, w + 2 · workers and so on."""
    found: Numbers = identifiers.positions(plan.id_key, made) * plan.workers + made["worker"]
    return found


def _of_stream(history: History, plan: Plan, phase: PhaseWindow, number: int) -> list[str]:
    """What differs from the schedule of one stream, which is drawn and held against the record one
    stretch after the other.
    """
    rows, position = _recorded(history, plan, phase, number)
    begin = count = too_many = others = 0
    missing: list[Numbers] = []
    awaited = _under_way(history, plan, number)
    first_ns, kind = 0, own.of_stream(plan.streams[number])
    for due in _due(history, plan, phase, number):
        end = begin + int(np.searchsorted(position[begin:], count + len(due.number)))
        at, mine = position[begin:end] - count, rows[begin:end]
        seen = np.bincount(at, minlength=len(due.number))
        lacking = np.flatnonzero(seen == 0)
        lacking = lacking[~np.isin(lacking + count, awaited)]
        if len(lacking):
            first_ns = first_ns or int(due.intended_ns[lacking[0]])
            missing.append(lacking + count)
        too_many += int((seen > 1).sum())
        wrong = history.column("operation")[mine] != kind
        for column in ("intended_ns", "source", "target"):
            wrong |= history.column(column)[mine] != getattr(due, column)[at]
        others += int(wrong.sum())
        begin, count = end, count + len(due.number)
    too_many += len(position) - begin
    said = []
    if missing:
        said.append(
            _missing(np.concatenate(missing), count, (first_ns - phase.begin_ns) / 1e9, plan)
        )
    if too_many:
        said.append(f"{too_many:,} operations are recorded that were not planned")
    if others:
        said.append(f"{others:,} operations are not those that were planned (kind, time or nodes)")
    return said


def _recorded(
    history: History, plan: Plan, phase: PhaseWindow, number: int
) -> tuple[Places, Numbers]:
    """Which operations are of a stream, in the order of their positions in it; and these."""
    index, intended = records.named(history), history.column("intended_ns")
    rows, position = np.empty_like(index.order), np.empty(len(index.last), np.int64)
    end = 0
    for begin in range(0, len(rows), AT_ONCE):
        made = index.last[begin : begin + AT_ONCE].view(SHARE)
        whose = index.order[begin : begin + AT_ONCE]
        mine = (made["stream"] == number) & (index.first[whose] == _run(plan))
        mine &= intended[whose] < phase.end_ns
        part = slice(end, end := end + int(mine.sum()))
        rows[part], position[part] = whose[mine], _position(made[mine], plan)
    rows, position = rows[:end], position[:end]
    if (position[1:] < position[:-1]).any():  # but of a folder that is older, and sound
        order = np.argsort(position, kind="stable")
        return rows[order], position[order]
    return rows, position


def _due(history: History, plan: Plan, phase: PhaseWindow, number: int) -> Iterator[Due]:
    names = [one.name for one in plan.phases]
    earlier = [one["phase"] for one in plan.streams[:number]]
    share = Share(seed=plan.seed, phase=names.index(phase.name), stream=earlier.count(phase.name))
    stream = Stream.from_json(plan.streams[number])
    return schedule(stream, history.nodes, share, phase.begin_ns, phase.end_ns)


def _missing(missing: Numbers, count: int, first_s: float, plan: Plan) -> str:
    """Say how many operations are not in the record, whose they were, and from when on."""
    shares = np.unique(missing % plan.workers)
    whose = ""
    if plan.workers > 1:
        numbers = ", ".join(str(share + 1) for share in shares[:5].tolist())
        whose = f" (of load worker {numbers} of {plan.workers})"
    return (
        f"{len(missing):,} of {count:,} planned operations are not in the record{whose}, "
        f"the first was due {first_s:.1f} s into the phase"
    )


def _run(plan: Plan) -> int:
    return int.from_bytes(salt(plan.t0_ns, plan.seed), "little")
