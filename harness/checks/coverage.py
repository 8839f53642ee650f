"""Coverage of broadcasts, by side: while cuts stand, what a node sends reaches its own side; once
they have gone, it reaches all. Pure.

A side is who can be reached over links of the topology (or, where it has none, over any path) that
are open both ways for as long as the cuts stand as they do, and over nodes that run all the while.
What was sent less than SPREADING_NS before the cuts changed is not judged by sides, and
what was sent before they had gone is not judged by all: that it arrives in the end is what the
delivery ledger asks. Where another fault of paths or nodes stands, which may be one that loses all,
its paths are no links of a side, and by all nothing is judged.
"""

from __future__ import annotations

import numpy as np

from harness.checks import host, reach, records, silences, vacuity
from harness.checks.metric import Chosen
from harness.checks.reach import Matrix, Reach
from harness.checks.silences import FOR_EVER_NS
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History
from harness.operations import Operation
from harness.operations.operation import SPREADING_NS
from harness.operations.promises import Slip, covering
from harness.operations.records import RecordKind

BY_SIDE = "coverage: each side, while the cuts stood"
AFTER = "coverage: all, after the cuts had gone"
Excuse = tuple[Cause, str] | None


def check(history: History) -> list[Finding]:
    """A finding of the sides, and one of all; none where no broadcast was sent then, or nobody was
    due it.
    """
    found = reach.of(history)
    if not len(found.edges_ns):
        return [] if not found.unknown else [_unknown(BY_SIDE, _whom(found))]
    if RecordKind.RECEIVED not in history.kept:
        why = "journals of this run have no records of broadcasts that were received"
        return [_unknown(BY_SIDE, why)]
    return [*_by_side(history, found), *_after(history)]


def _by_side(history: History, found: Reach) -> list[Finding]:
    if found.unknown:
        return [_unknown(BY_SIDE, _whom(found))]
    count, lacking, never, excuses = 0, 0, 0, list[Excuse]()
    is_held = not _exempt(history, 1)[0]
    for stretch, cuts in enumerate(found.cuts):
        if not cuts:
            continue
        begin_ns, end_ns = found.bounds_ns(stretch)
        chosen = _sent(history, begin_ns, end_ns - SPREADING_NS)
        due = _due(history, chosen, sides(history, found, stretch))
        heard = records.heard_ns(history, RecordKind.RECEIVED, chosen)
        lost = (due & (heard == records.NEVER)).any(axis=1)
        is_late = (due & (heard >= end_ns)).any(axis=1) & ~lost
        count += int(due.any(axis=1).sum())
        lacking += int((lost & is_held | is_late).sum())
        never += int(lost.sum())
        if lost.any() and is_held:  # on any host
            excuses.append(None)
        elif is_late.any():
            since_ns = int(history.column("sent_ns")[chosen][is_late].min())
            excuses.append(host.excuse(history, since_ns, end_ns))
    kept = "each reached all of its own side that ran before the cuts changed"
    missed = "did not reach all of their own side in time"
    excuse = excuses[0] if excuses and None not in excuses else None
    return _finding(BY_SIDE, count, lacking, kept, missed, excuse, _exempt(history, never))


def _after(history: History) -> list[Finding]:
    over_ns = history.phases[-1].end_ns if history.phases else 0
    since_ns = max(one.gone_ns for one in reach.stands(history) if one.is_cut)
    if since_ns >= over_ns:
        return []
    chosen = _sent(history, since_ns, FOR_EVER_NS)
    sent = history.column("sent_ns")
    for one in reach.stands(history):
        if one.is_impairing:
            chosen &= (sent + SPREADING_NS < one.change.begun_ns) | (sent >= one.gone_ns)
    due = silences.of(history).expected(history, chosen)
    heard = records.heard_ns(history, RecordKind.RECEIVED, chosen) != records.NEVER
    count, never = int(due.any(axis=1).sum()), int((due & ~heard).any(axis=1).sum())
    exempt, missed = _exempt(history, never), "did not reach all"
    lacking = never - exempt[0]
    return _finding(AFTER, count, lacking, "each reached all that ran", missed, None, exempt)


def _exempt(history: History, lost: int) -> tuple[int, str]:
    """How many of the broadcasts that were lost this system is not held to, and by which word."""
    word = covering(history.unpromised.get(Operation.BROADCAST.word, ()), Slip.LOST)
    return (lost, word) if word else (0, "")


def _sent(history: History, begin_ns: int, end_ns: int) -> Chosen:
    """The acknowledged broadcasts that were sent in a stretch."""
    sent = history.column("sent_ns")
    chosen = records.ended_ok(history, records.WHOLE_RUN, Operation.BROADCAST)
    within: Chosen = chosen & (sent >= begin_ns) & (sent < end_ns)
    return within


def _due(history: History, chosen: Chosen, side: Matrix) -> Matrix:
    """Who of its source's side each of the chosen broadcasts is to reach."""
    expected = silences.of(history).expected(history, chosen)
    found: Matrix = expected & side[history.column("source")[chosen]]
    return found


def sides(history: History, found: Reach, stretch: int) -> Matrix:
    """Mark who is on one side with whom in a stretch: [node, other]."""
    cut = found.blocked(stretch)
    is_open = ~(cut | cut.T)
    silent = silences.of(history)
    begin_ns, end_ns = found.bounds_ns(stretch)
    for one in reach.stands(history):
        if one.is_impairing and one.change.begun_ns < end_ns and one.gone_ns > begin_ns:
            touched = vacuity.touched(history, one.change)
            is_open &= False if touched is None else ~touched
    bounds = [np.array([at]) for at in (begin_ns, end_ns)]
    for node, times in silences.by_node((*silent.away, *silent.gone, *silent.mute)).items():
        if times.meet(*bounds)[0]:
            is_open[node] = is_open[:, node] = False
    if history.links:
        linked = np.zeros_like(is_open)
        ends = np.array(sorted(history.links)).T
        linked[ends[0], ends[1]] = linked[ends[1], ends[0]] = True
        is_open &= linked
    return reach.ways(is_open)


def _whom(found: Reach) -> str:
    return f"the record does not say whom {', '.join(sorted(found.unknown))} parted"


def _finding(
    name: str,
    count: int,
    lacking: int,
    kept: str,
    missed: str,
    excuse: Excuse = None,
    exempt: tuple[int, str] = (0, ""),
) -> list[Finding]:
    """The finding of some broadcasts; none where there were none. `excuse`: why what is lacking
    need not be the system's own. `exempt`: how many more it is not held to, and by which word.
    """
    if not count:
        return []
    answer, cause, why = Answer.FAIL if lacking else Answer.PASS, None, ""
    if lacking and excuse is not None:
        answer, cause, why = Answer.UNKNOWN, excuse[0], f"; {excuse[1]}"
    sentence = f"{lacking:,} broadcasts {missed}{why}" if lacking else kept
    if exempt[0]:
        answer = answer if lacking else Answer.MEASURED
        told = f"{exempt[0]:,} were lost, and it is not held to that: this system promises "
        sentence = f"{sentence}; {told}{exempt[1]}" if lacking else f"{told}{exempt[1]}"
    return [
        Finding(
            name=name,
            answer=answer,
            promised="–" if answer is Answer.MEASURED else f"{count:,} of {count:,}",
            measured=f"{count - lacking - exempt[0]:,} of {count:,}",
            sentence=sentence,
            cause=cause,
        )
    ]


def _unknown(name: str, why: str) -> Finding:
    return Finding(
        name=name,
        answer=Answer.UNKNOWN,
        promised="each",
        measured="not told",
        sentence=why,
        cause=Cause.NOT_MEASURED,
    )
