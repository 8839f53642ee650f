"""Whether what a row is about was so in a run: its nodes, the rate that one of them received, the
fault that stood. Pure.
"""

from __future__ import annotations

from harness.checks import faults, host, record, silences, starvation
from harness.checks.fault_times import OFF_SHARE, by_hand, changes_of
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import received
from harness.checks.verdict import Cause
from harness.choices import listed
from harness.errors import BadFileError
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

# A uniform open model delivers exactly its rate; what is under way at the two edges of a phase may
# be one per cent of it.
RECEIVED_TOLERANCE = 0.01
# What is told or measured once a phase.
OF_A_PHASE = frozenset({Part.HISTOGRAMS, Part.GAUGES, Part.MEASUREMENTS})


def validate(row: Row) -> None:
    """Raise BadFileError where a row that compares whole phases is to be about a fault, or one is
    to be about what came in time of which no time is known.
    """
    if row.within_ms is not None and METRICS[row.metric].take_within is None:
        known = " and ".join(name for name, one in METRICS.items() if one.take_within is not None)
        raise BadFileError(f"row {row.name}: within: {row.metric} has none; {known} has one")
    if METRICS[row.metric].over is not None and row.conditions.under is not None:
        raise BadFileError(
            f"row {row.name}: under: {row.metric} compares whole phases; expected none, found "
            f"{row.conditions.under!r}"
        )


def unmet(history: History, row: Row, phase: PhaseWindow) -> tuple[Cause, str] | None:
    """Say which condition of a row was not met; None where all were."""
    wanted = row.conditions
    if wanted.nodes is not None and wanted.nodes != len(history.nodes):
        said = f"the row is about {wanted.nodes} nodes, the run had {len(history.nodes)}"
        return Cause.CONDITIONS, said
    if wanted.nodes is not None and (absent := _absent(history, phase)):
        said = f"the row is about {wanted.nodes} nodes, of which {listed(absent)} did not run"
        return Cause.CONDITIONS, said
    if wanted.node is not None and wanted.node not in history.nodes:
        said = f"the row is about node {wanted.node}, the run had none of that name"
        return Cause.CONDITIONS, said
    by_node = METRICS[row.metric].by_node or wanted.received_per_s is not None
    if wanted.node is not None and not by_node:
        said = f"the row is about node {wanted.node}, and {row.metric} is not measured by node"
        return Cause.CONDITIONS, said
    if unkept := _unkept(history, row) or _untold(history, row):
        return Cause.NOT_MEASURED, unkept
    if wanted.under is not None:
        if lacking := faults.not_shown(history, wanted.under, phase):
            return Cause.FAULT_NOT_PROVEN, lacking
        if mixed := _mixed(row, faults.under(history, wanted.under, phase), phase):
            return Cause.CONDITIONS, mixed
    return None if wanted.received_per_s is None else _unreceived(history, row, phase)


def beside(history: History, row: Row, phase: PhaseWindow) -> str:
    """Say what else a row was missed under, as the end of a sentence: faults that nobody planned,
    others on the host where it feels them, and how much of it is lost on any host.
    """
    busy = host.busy(history, phase) if host.feels_it(row) else ""
    return by_hand(history, phase) + busy + starvation.beside(history, row, phase)


def _absent(history: History, phase: PhaseWindow) -> list[str]:
    """Name the nodes that did not run at any moment of a phase, and that no timeline kept from it:
    somebody had stopped them by hand.
    """
    planned = {one.fault for one in history.plan.changes} if history.plan else set()
    by_plan = {node for one in changes_of(history) if one.fault in planned for node in one.nodes}
    away = {
        history.nodes[one.node]
        for one in silences.of(history).away
        if one.begin_ns <= phase.begin_ns and one.end_ns >= phase.end_ns
    }
    return sorted(away - by_plan)


def _mixed(row: Row, window: PhaseWindow, phase: PhaseWindow) -> str | None:
    """Say why a row's value is also of seconds in which its fault did not stand; None where it is
    not. Operations are told apart by when they were due, all else is not.
    """
    needs, fault = METRICS[row.metric].needs, row.conditions.under
    stood = f"{fault} stood for {window.seconds:.1f} of {phase.seconds:.1f} s of phase {phase.name}"
    if needs & OF_A_PHASE and window.seconds < phase.seconds * (1 - OFF_SHARE):
        return f"{stood}, and {row.metric} is told of all of it"
    if window.left_out and Part.OPERATIONS not in needs:
        return f"{stood}, with breaks, and {row.metric} is also of these"
    return None


def _unreceived(history: History, row: Row, phase: PhaseWindow) -> tuple[Cause, str] | None:
    """Say how much less than the row is about its node received; None where it was as much."""
    node, wanted_per_s = row.conditions.node, row.conditions.received_per_s
    assert wanted_per_s is not None
    if node is None:
        return Cause.CONDITIONS, "received_per_s needs `node`: the one that received it"
    rate_per_s = float(received(history, phase).series[history.index(node)][0])
    if rate_per_s >= wanted_per_s * (1 - RECEIVED_TOLERANCE):
        return None
    return Cause.LOAD_NOT_DELIVERED, (
        f"{node} received {rate_per_s:,.0f} messages a second, the row is about "
        f"{wanted_per_s:,.0f}{host.busy(history, phase)}"
    )


def _untold(history: History, row: Row) -> str | None:
    """Say that no node of the run ever told what the row is about; None where some did."""
    name = METRICS[row.metric].tells
    if not name or record.is_told(history, name):
        return None
    return f"this system does not tell {name}"


def _unkept(history: History, row: Row) -> str | None:
    """Say which records the row counts that this system's journals do not keep; None where they
    keep all. An older folder does not name them all: what it has, it keeps.
    """
    for kind in sorted(METRICS[row.metric].records - history.kept):
        if not (history.journal["kind"] == kind).any():
            return f"journals of this run have no records of the kind {kind.name.lower()}"
    return None
