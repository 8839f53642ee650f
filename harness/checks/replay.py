"""The seeded schedule once more, against the operations that were recorded: one by one, for each
stream and worker. Pure.

An operation's id says which worker made it, for which stream, and its position in that share; so
each one that was planned is either in the record, or it is not.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness.checks import records
from harness.checks.metric import Chosen
from harness.history.gaps import Gap, Part
from harness.history.history import OPERATIONS, History, PhaseWindow
from harness.history.plan import Plan
from harness.operations import Operation, Outcome
from harness.scenario.schedule import IDENTIFIER, Due, Share, salt, whole
from harness.scenario.stream import Arrivals, Stream

Numbers = npt.NDArray[np.int64]


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
        said = [] if phase is None else differences(history, phase, Operation(number))
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
    made = _identifiers(history)
    known = (made["run"] == _run(plan)) & (made["stream"] < len(plan.streams))
    return int((~(known & (made["worker"] < plan.workers))).sum())


def of_one_id(history: History) -> int:
    """Count the operations that have an id which another one has; 0 where the schedule is known,
    against which they are too many.
    """
    if history.plan is not None and history.plan.workers:
        return 0
    everything = np.ones(history.operations.num_rows, np.bool_)
    ids = records.sortable(records.identifiers(history, everything))
    _, counts = np.unique(ids, return_counts=True)
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
    due = _due(history, plan, phase, number)
    position, _ = _positions(history, plan, phase, number)
    at = np.setdiff1d(np.arange(len(due.number)), position)
    ids = np.empty(len(at), IDENTIFIER)
    ids["run"], ids["stream"] = _run(plan), number
    ids["sequence"], ids["worker"] = np.divmod(at, plan.workers)
    stream = _stream(plan.streams[number])
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


def _positions(
    history: History, plan: Plan, phase: PhaseWindow, number: int
) -> tuple[Numbers, Chosen]:
    """The positions in a stream of its operations in the record, and which they are."""
    made = _identifiers(history)
    intended = history.column("intended_ns")
    mine = (made["run"] == _run(plan)) & (made["stream"] == number) & (intended < phase.end_ns)
    return _position(made[mine], plan), mine


def _position(made: npt.NDArray[Any], plan: Plan) -> Numbers:
    """Worker w makes the operations w, w + workers, w + 2 · workers and so on."""
    found: Numbers = made["sequence"].astype(np.int64) * plan.workers + made["worker"]
    return found


def _under_way(history: History, plan: Plan, number: int) -> Numbers:
    """The positions in a stream of operations that are under way."""
    made = np.ascontiguousarray(history.under_way).view(IDENTIFIER)
    return _position(made[(made["run"] == _run(plan)) & (made["stream"] == number)], plan)


def _of_stream(history: History, plan: Plan, phase: PhaseWindow, number: int) -> list[str]:
    due = _due(history, plan, phase, number)
    position, mine = _positions(history, plan, phase, number)
    planned = position < len(due.number)
    count = np.bincount(position[planned], minlength=len(due.number))
    lacking = np.setdiff1d(np.nonzero(count == 0)[0], _under_way(history, plan, number))
    said = []
    if len(lacking):
        said.append(_missing(lacking, due, plan, phase))
    too_many = int((~planned).sum() + (count > 1).sum())
    if too_many:
        said.append(f"{too_many:,} operations are recorded that were not planned")
    others = _others(history, mine, position, due)
    if others:
        said.append(f"{others:,} operations are not those that were planned (time or nodes)")
    return said


def _due(history: History, plan: Plan, phase: PhaseWindow, number: int) -> Due:
    names = [one.name for one in plan.phases]
    earlier = [one["phase"] for one in plan.streams[:number]]
    share = Share(seed=plan.seed, phase=names.index(phase.name), stream=earlier.count(phase.name))
    stream = _stream(plan.streams[number])
    return whole(stream, history.nodes, share, phase.begin_ns, phase.end_ns)


def _stream(said: Mapping[str, Any]) -> Stream:
    return Stream(
        operation=next(each for each in Operation if each.word == said["operation"]),
        rate_per_s=said["asked_per_s"],
        payload_bytes=said["payload_bytes"],
        target=said["target"],
        sources=tuple(said["sources"]),
        arrivals=Arrivals(said["arrivals"]),
        timeout_ms=said["timeout_ms"],
        count=said["count"],
        after_s=said["after_s"],
    )


def _missing(missing: Numbers, due: Due, plan: Plan, phase: PhaseWindow) -> str:
    """Say how many operations are not in the record, whose they were, and from when on."""
    first_s = (due.intended_ns[missing[0]] - phase.begin_ns) / 1e9
    shares = np.unique(missing % plan.workers)
    whose = ""
    if plan.workers > 1:
        numbers = ", ".join(str(share + 1) for share in shares[:5].tolist())
        whose = f" (of load worker {numbers} of {plan.workers})"
    return (
        f"{len(missing):,} of {len(due.number):,} planned operations are not in the record{whose}, "
        f"the first was due {first_s:.1f} s into the phase"
    )


def _others(history: History, mine: Chosen, position: Numbers, due: Due) -> int:
    """Count the operations that bear a planned id and are something else."""
    inside = position < len(due.number)
    at = position[inside]
    wrong = np.zeros(len(at), np.bool_)
    for column, wanted in (
        ("intended_ns", due.intended_ns),
        ("source", due.source),
        ("target", due.target),
    ):
        wrong |= history.column(column)[mine][inside] != wanted[at]
    return int(wrong.sum())


def _run(plan: Plan) -> int:
    return int.from_bytes(salt(plan.t0_ns, plan.seed), "little")


def _identifiers(history: History) -> npt.NDArray[Any]:
    """Each operation's id, in its parts."""
    everything = np.ones(history.operations.num_rows, np.bool_)
    return np.ascontiguousarray(records.identifiers(history, everything)).view(IDENTIFIER)
