"""What of a budget, and of the checks that a scenario asks for, is about streams that were left out
of a run. Pure.

Somebody who picks streams by hand may leave some out, and so does a scenario that is played on
another system than its files name, which does not have all of its operations. What is about these
is then no part of the verdict: only where the run's record says so. Of any other scenario, whose
author wrote load and budget together, and of an older folder it says nothing, and such a row is
UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from harness.checks import membership, own_metrics, record, records
from harness.checks.metrics import METRICS
from harness.checks.verdict import Answer, Finding
from harness.choices import any_of
from harness.history.gaps import Part
from harness.history.history import History
from harness.history.other_system import OtherSystem
from harness.operations import Operation
from harness.scenario.budget import Row

TOLD = frozenset({Part.GAUGES, Part.HISTOGRAMS})
OF_ALL_LOAD = ("leaks",)  # checks of what nodes use
DHT = ({Operation.DHT_PUT}, {Operation.DHT_GET})
# What a check of selection.TABLE has nothing to look at without: an operation of each of these.
ANY = frozenset[Operation]()  # whichever
CHECKED: Mapping[str, Sequence[AbstractSet[Operation]]] = {
    "coverage-by-side": ({Operation.BROADCAST},),
    "isolation": (ANY,),
    "linearizability": DHT,
    "ordered": ({Operation.PRIVATE_MESSAGE},),
    "register": DHT,
    "register-by-side": DHT,
}


def left_out(history: History, row: Row) -> str:
    """Say what that the row is about nobody asked for in the run: a stream that was left out, or
    what another system than the files name does not tell of itself. Empty where there is nothing.
    """
    return _unsent(history, row) or _untold(history, row)


def _unsent(history: History, row: Row) -> str:
    plan = record.plan(history)
    if plan is None:
        return ""
    if plan.other_system is not None:
        missing = lacking(plan.other_system, row)
    else:
        out = plan.left_out - {stream.get("operation") for stream in plan.streams}
        missing = [word for word in _about(row) if word in out]
    words = [word for word in missing if not _has(history, word)]
    if not words:
        return ""
    if plan.other_system is not None:
        return plan.other_system.has_no(words)
    return f"{' and '.join(words)} was none of the streams of this run"


def _has(history: History, word: str) -> bool:
    """Whether the run has an operation of this word."""
    operation = history.kind_named(word)
    return operation is not None and operation in records.kinds(history)


def _untold(history: History, row: Row) -> str:
    """Say that another system does not tell what a row is about; empty where it does, or where
    nodes may have told it and the record lacks it.
    """
    plan = record.plan(history)
    if plan is None or plan.other_system is None:
        return ""
    metric, phase = METRICS[row.metric], history.phase(row.conditions.phase)
    if row.metric.startswith("membership.") and not metric.records <= history.kept:
        return f"{plan.other_system.name} does not tell which nodes it holds to be alive"
    if not metric.tells or record.is_told(history, metric.tells):
        return ""
    if phase is None or not any(key[0] == phase.name for key in history.told):
        return ""
    if record.lacking(history, metric.needs & TOLD, phase) is not None:
        return ""
    return f"{plan.other_system.name} does not tell {metric.tells}"


def why_not(history: History, row: Row) -> str:
    """Say why a row is no part of the verdict of this run; empty where it is."""
    return left_out(history, row) or lighter(history, row)


def lacking(other: OtherSystem, row: Row) -> list[str]:
    """List the operations that a row is about, its phase was to send, and the system does not
    have.
    """
    words = other.lacking(row.conditions.phase)
    return [word for word in _about(row) if word in words]


def lighter(history: History, row: Row) -> str:
    """Say what was left out of the load of a row's phase, where the row is about all of that load:
    what a node uses, and not how an operation went. Empty where nothing was.
    """
    plan = record.plan(history)
    if plan is None or plan.other_system is None or not of_all_load(row):
        return ""
    words = plan.other_system.lacking(row.conditions.phase)
    return plan.other_system.has_no(words) if words else ""


def beforehand(other: OtherSystem, rows: Iterable[Row]) -> list[str]:
    """Say of each row that a run of another system will not be asked, before it is played, why."""
    whys = []
    for row in rows:
        words = lacking(other, row)
        if not words and of_all_load(row):
            words = [*other.lacking(row.conditions.phase)]
        if words:
            whys.append(other.has_no(words))
    return whys


def of_all_load(row: Row) -> bool:
    """Whether what a row measures is of all that its phase asks, and not of one operation."""
    of_one = row.metric.partition(".")[0] in {each.word for each in Operation}
    of_one |= own_metrics.is_own(row.metric)
    return not of_one and not METRICS[row.metric].whatever_load


def beside(history: History, row: Row) -> str:
    """Say, as the end of a sentence, which operations were not sent beside those of a row; empty
    where all of its phase were.
    """
    plan = record.plan(history)
    other = None if plan is None else plan.other_system
    words = () if other is None or of_all_load(row) else other.lacking(row.conditions.phase)
    if other is None or not words or METRICS[row.metric].whatever_load:
        return ""
    return f"; no {any_of(words)} was sent beside it: {other.name} has none"


def unchecked(history: History, word: str) -> str:
    """Say why a check that the scenario asks for has nothing to look at in a run of another system;
    empty where that is not known.
    """
    plan = record.plan(history)
    if plan is None or plan.other_system is None:
        return ""
    other, planned = plan.other_system, {stream.get("operation") for stream in plan.streams}
    if word == "membership" and not membership.views(history):
        return f"{other.name} does not tell which nodes it holds to be alive"
    every = {*(each.word for each in history.kinds), *other.words}
    missing = [
        words
        for group in CHECKED.get(word, ())
        if (wanted := {each.word for each in group} or every)
        and (words := [one for one in other.words if one in wanted])
        and not planned & wanted
        and not any(_has(history, each) for each in wanted)
    ]
    return other.has_no(one for words in missing for one in words) if missing else ""


def of_part(history: History, word: str, found: Finding) -> Finding:
    """The finding of a check that the scenario asks for: of one that looks at what all the load
    does to nodes a PASS is NOT ASKED where a stream was left out.
    """
    plan = record.plan(history)
    other = None if plan is None else plan.other_system
    if word not in OF_ALL_LOAD or other is None or not other.words:
        return found
    if found.answer is not Answer.PASS:
        return found
    why = f"a part of the load alone was sent: {other.has_no(other.words)}"
    return replace(found, answer=Answer.NOT_ASKED, sentence=why)


def _about(row: Row) -> list[str]:
    """The operations without which there is nothing that the row could be held to, by word."""
    words = {row.metric.partition(".")[0]}
    if row.conditions.received_per_s is not None:
        words.add(Operation.PRIVATE_MESSAGE.word)
    found = [operation.word for operation in Operation if operation.word in words]
    own = own_metrics.split(row.metric)
    return found if own is None else [own[0], *found]


def unplanned(history: History, row: Row) -> str:
    """Say, as the end of a sentence, of which of its streams the row's phase was to send nothing;
    empty where it was to, or where nothing says what was planned.
    """
    if history.plan is None or not history.plan.streams:
        return ""
    phase = row.conditions.phase
    planned = {one.get("operation") for one in history.plan.streams if one.get("phase") == phase}
    missing = [word for word in _about(row) if word not in planned]
    return f": phase {phase} was to send no {any_of(missing)}" if missing else ""
