"""The operations of a history and the journal records that tell of them, chosen and matched by the
operations' ids. Pure.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.checks.metric import Chosen
from harness.history.history import History, PhaseWindow, Records
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

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


def identifiers(history: History, chosen: Chosen) -> npt.NDArray[np.void]:
    """The 16-byte ids of chosen operations, comparable with those of the journal."""
    column = history.operations.column("id").combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    data = np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]
    return data[chosen]


def sortable(ids: npt.NDArray[np.void]) -> npt.NDArray[np.void]:
    """Ids as byte strings that numpy can sort (S16 would drop trailing zeros, so a byte is
    added).
    """
    raw = np.frombuffer(np.ascontiguousarray(ids).tobytes(), np.uint8).reshape(-1, 16)
    return (
        np.ascontiguousarray(np.concatenate([raw, np.ones((len(raw), 1), np.uint8)], axis=1))
        .view("S17")
        .ravel()
    )


def arrivals(history: History, kind: RecordKind) -> tuple[npt.NDArray[np.void], Records]:
    """Journal records of one kind, sorted by id and, within an id, by time: (sortable ids,
    records).
    """
    found = history.journal[history.journal["kind"] == kind]
    found = found[np.argsort(found["at_ns"], kind="stable")]
    found = found[np.argsort(sortable(found["id"]), kind="stable")]
    return sortable(found["id"]), found


def receivers(
    history: History, phase: PhaseWindow, operation: Operation, kind: RecordKind
) -> list[tuple[int, Records]]:
    """Each operation of that kind that was due in the phase: (intended ns, first record of `kind`
    by each node other than its source).
    """
    chosen = in_phase(history, phase, operation)
    wanted = sortable(identifiers(history, chosen))
    sources = history.column("source")[chosen]
    ids, records = arrivals(history, kind)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    found = []
    for intended, source, low, high in zip(
        history.column("intended_ns")[chosen], sources, begin, end, strict=True
    ):
        heard = records[low:high]
        heard = heard[heard["node"] != source]
        _, first = np.unique(heard["node"], return_index=True)
        found.append((int(intended), heard[first]))
    return found
