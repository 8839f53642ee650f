"""The verdict of a run under way, as of a moment T. Pure.

Three judgements are held against each other: of the operations whose end is settled; of all, had
those under way come true, when they were acknowledged or else at T at the earliest; and of all,
had those under way for longer than OLD_NS not come true. Only what all of them would say is PASS or
FAIL; else it is UNKNOWN, *still under way*. So what is under way makes a number worse and never
better, and nothing fails that may still come true.

An operation is settled when its end was before T and its witnesses' journals have it; one that did
not end OK when its time is up, for until then the harness may tell that it had stopped a node. Ends
of nodes that nobody has reported yet may be at T at the earliest; and what is counted may still
come for as long as its phase lasts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from harness import checks
from harness.checks import coverage, lateness, node_metrics, records, register, replay, silences
from harness.checks.metric import Chosen
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.history.history import OPERATIONS, History, Nanoseconds, Records
from harness.history.journal import JOURNAL
from harness.history.live import Look
from harness.operations import Operation, Outcome
from harness.operations.operation import Ledger, Witness
from harness.operations.records import RecordKind
from harness.scenario.budget import Row

OLD_NS = 2_000_000_000  # under way for so long, it is not taken for granted that it comes true
YOUNG_NS = 5_000_000_000  # a phase that has been under way for less has not missed anything yet
RECORDED_NS = 5_000_000_000  # after its time was up, an operation is in the record
FAILURE_SEEN = "membership.failure_seen"
# Findings of what came after the last fault: until a run ends there may be another one.
AFTER_THE_LAST = (register.KEPT, coverage.AFTER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """A verdict as of a moment; `in_flight` operations were due before it and are not settled, the
    oldest of them since `oldest_s`. `waiting`: by an operation's word, how many were due and have
    no end in the record.
    """

    verdict: Verdict
    in_flight: int
    oldest_s: float
    waiting: Mapping[str, int]

    @property
    def sentence(self) -> str:
        """Say what is under way."""
        return f"{self.in_flight:,} operations are under way, for up to {self.oldest_s:.1f} s"


def judge(look: Look, rows: Sequence[Row]) -> Judgement:
    """Judge a look by these rows, and by what every run is held to."""
    history, at_ns = look.history, look.at_ns
    mine = [row for row in rows if row.conditions.scenario in (None, history.name)]
    settled = _settled(history, at_ns)
    recorded, other = history.operations.filter(pa.array(~settled)), replay.unrecorded(history)
    # What its time was up for long ago should be in the record: that it is not is a gap.
    up_ns = other.column("intended_ns").to_numpy() + lateness.patience_ns(history) + RECORDED_NS
    open_ = pa.concat_tables([recorded, other])
    base = replace(
        history,
        operations=history.operations.filter(pa.array(settled)),
        under_way=_ids(pa.concat_tables([recorded, other.filter(pa.array(up_ns >= at_ns))])),
    )
    age_s = (at_ns - open_.column("intended_ns").to_numpy()) / 1e9
    made = Judgement(
        verdict=checks.judge(base, rows),
        in_flight=open_.num_rows,
        waiting=_by_word(history, other),
        oldest_s=float(age_s.max(initial=0.0)),
    )
    reports = _reports(base, mine, at_ns)
    if not open_.num_rows and not len(reports):
        return replace(made, verdict=_told(made.verdict.findings, look, mine))
    best = checks.judge(_best(base, open_, reports, at_ns), rows).findings
    old = open_.filter(pa.array(age_s * 1e9 >= OLD_NS))
    worst = checks.judge(_with(base, old), rows).findings if old.num_rows else made.verdict.findings
    by_name = {(one.name, one.phase): one for one in worst[len(mine) :]}
    found = [
        _row(row, one, at_best, at_worst, _awaited(row, len(reports)) or made.sentence)
        for row, one, at_best, at_worst in zip(
            mine, made.verdict.findings, best, worst, strict=False
        )
    ]
    found += [
        _other(one, by_name.pop((one.name, one.phase), one), made.sentence)
        for one in made.verdict.findings[len(mine) :]
    ]
    found += [_other(None, one, made.sentence) for one in by_name.values()]
    return replace(made, verdict=_told(found, look, mine))


def _by_word(history: History, waiting: pa.Table) -> dict[str, int]:
    """How many wait, by operation; none of one that the run sent is 0."""
    sent = {*np.unique(history.column("operation")), *(key[1] for key in history.planned_per_s)}
    counts = Counter(waiting.column("operation").to_pylist())
    return {history.kind(each).word: counts[each] for each in sorted({*map(int, sent), *counts})}


def _row(row: Row, settled: Finding, best: Finding, worst: Finding, under_way: str) -> Finding:
    """The answer on which the three agree, else UNKNOWN; of what is only measured, the age of what
    is under way counts where that makes a time longer.
    """
    if settled.answer is Answer.MEASURED:
        longer = row.kind == "time" and (best.value or 0.0) > (settled.value or 0.0)
        return best if longer else settled
    if settled.answer is Answer.FAIL and best.answer is not Answer.FAIL:
        return _open(settled, settled, under_way)
    if settled.answer is Answer.PASS:
        return _other(_other(settled, best, under_way), worst, under_way)
    return settled


def _other(settled: Finding | None, other: Finding, under_way: str) -> Finding:
    """The settled finding, but where it is PASS and the other is not."""
    if settled is not None and settled.answer is not Answer.PASS:
        return settled
    if other.answer is Answer.FAIL:
        return _open(settled or other, other, under_way)
    if other.answer is Answer.UNKNOWN or settled is None:
        return other
    return settled


def _open(settled: Finding, other: Finding, under_way: str) -> Finding:
    return replace(
        settled,
        answer=Answer.UNKNOWN,
        cause=Cause.UNDER_WAY,
        measured=other.measured,
        sentence=f"{under_way}: it may still come true",
        value=None,
    )


def _awaited(row: Row, reports: int) -> str:
    """Say what is awaited by a row about reports of nodes' ends; empty of another."""
    if row.metric != FAILURE_SEEN or not reports:
        return ""
    return f"{reports:,} reports of nodes that ended may still come"


def _told(findings: Sequence[Finding], look: Look, rows: Sequence[Row]) -> Verdict:
    """The verdict; a row of a phase that has not begun, or has hardly begun, says so."""
    told = [_young(row, one, look) for row, one in zip(rows, findings, strict=False)]
    return Verdict(findings=(*told, *map(_early, findings[len(rows) :])))


def _early(check: Finding) -> Finding:
    """The finding of a check; where what it looks for may still come, it says so."""
    if check.cause is Cause.VACUOUS:
        return replace(check, sentence=f"so far: {check.sentence}")
    if check.name not in AFTER_THE_LAST or check.answer is Answer.UNKNOWN:
        return check
    why = f"judged at the end: until then another fault may come (so far {check.answer})"
    return replace(check, answer=Answer.UNKNOWN, cause=Cause.UNDER_WAY, sentence=why)


def _young(row: Row, found: Finding, look: Look) -> Finding:
    if found.phase in look.later:
        if found.answer is Answer.UNKNOWN:
            why = f"phase {found.phase} has not begun yet"
            return replace(found, cause=Cause.NOT_MEASURED, sentence=why)
        return found
    phase = look.history.phase(found.phase)
    if found.answer is not Answer.FAIL or phase is None or phase.end_ns < look.at_ns:
        return found
    may_come = row.statistic == "count" and _lacks(row, found.value)
    if phase.end_ns - phase.begin_ns >= YOUNG_NS and not may_come:
        return found
    why = f"phase {found.phase} has been under way for {phase.seconds:.1f} s"
    return replace(
        found,
        answer=Answer.UNKNOWN,
        cause=Cause.UNDER_WAY,
        sentence=f"{why}{', more may come' if may_come else ''}; {found.sentence}",
        value=None,
    )


def _lacks(row: Row, count: float | None) -> bool:
    """Whether a row misses something that would keep it, had there only been more of it."""
    if row.comparison not in (">", ">=", "==") or row.bound is None or count is None:
        return False
    return count <= row.bound and not row.holds(count)


def _settled(history: History, at_ns: int) -> Chosen:
    """Which recorded operations have an end that nothing to come changes."""
    is_ok = history.column("outcome") == Outcome.OK
    up_ns = history.column("intended_ns") + lateness.patience_ns(history)
    found: Chosen = np.where(is_ok, history.column("done_ns"), up_ns) < at_ns
    for operation in history.kinds:
        ledger = operation.spec.ledger
        chosen = found & is_ok & (history.column("operation") == operation)
        kinds = set() if ledger is None else {ledger.record, ledger.content} - {None}
        if ledger is not None and chosen.any() and kinds <= history.kept:
            found[chosen] = _witnessed(history, operation, ledger, chosen)
    return found


def _witnessed(history: History, operation: Operation, ledger: Ledger, chosen: Chosen) -> Chosen:
    """Of which of the chosen operations all witnesses have told, but for those that could not."""
    silent = silences.of(history)
    if ledger.witness is Witness.EVERY_OTHER_NODE:
        heard = records.heard_ns(history, ledger.record, chosen) != records.NEVER
        everywhere: Chosen = (heard | ~silent.expected(history, chosen)).all(axis=1)
        return everywhere
    seen: Chosen = records.witnessed_ns(history, operation, chosen) != records.NEVER
    if ledger.witness is Witness.KEEPER:
        seen |= silent.anybody_during(history, chosen)
        return seen
    ends = [history.column(name)[chosen] for name in ("source", "target", "answered_by")]
    source, target, answered = ends
    if ledger.witness is Witness.ANSWERER:
        seen |= (answered < 0) | (answered == source)  # nobody can tell, and that is settled
        seen |= silent.during(history, chosen, answered)
        return seen
    if ledger.content is not None:
        held = records.heard_ns(history, ledger.content, chosen) != records.NEVER
        for end in (source, target):
            seen &= held[np.arange(len(end)), end]
    seen |= silent.during(history, chosen, target)
    return seen


def _ids(operations: pa.Table) -> npt.NDArray[np.void]:
    data = b"".join(operations.column("id").to_pylist())
    return np.frombuffer(data, "V16")


def _with(base: History, more: pa.Table) -> History:
    return replace(base, operations=pa.concat_tables([base.operations, more]).combine_chunks())


def _reports(base: History, rows: Sequence[Row], at_ns: int) -> Records:
    """The reports of nodes that ended, had those come at T that nobody has made yet; none where no
    row is about them.
    """
    is_asked = any(row.metric == FAILURE_SEEN for row in rows)
    missing = node_metrics.unreported(base, at_ns) if is_asked else []
    made = np.zeros(len(missing), JOURNAL)
    if missing:
        ended, node = np.array(missing, np.int64).T
        made["kind"], made["at_ns"], made["node"] = RecordKind.MEMBER_FAILED, at_ns, node
        made["peer"] = records.beginnings(base)[ended]
    return made


def _best(base: History, open_: pa.Table, reports: Records, at_ns: int) -> History:
    """The history had all that is under way come true: what was acknowledged, when that was said,
    for its witness's journal may only be behind; the rest at T at the earliest. So do `reports`.
    """
    count = open_.num_rows
    done, said = open_.column("done_ns").to_numpy(), open_.column("outcome").to_numpy()
    done = np.where((said == Outcome.OK) & (done > 0), done, np.maximum(done, at_ns))
    changed = {
        "done_ns": done,
        "outcome": np.full(count, int(Outcome.OK)),
        # What was not sent yet is the generator's; that it comes true is what is asked here.
        "sent_ns": np.where(
            open_.column("sent_ns").to_numpy() == 0,
            open_.column("intended_ns").to_numpy(),
            open_.column("sent_ns").to_numpy(),
        ),
    }
    for name, values in changed.items():
        field = OPERATIONS.field(name)
        index = OPERATIONS.get_field_index(name)
        open_ = open_.set_column(index, field, pa.array(values).cast(field.type))
    history = _with(base, open_)
    # What was acknowledged may have been heard of long ago, the rest not before T.
    first = base.operations.num_rows
    early_ns = np.where(done < at_ns, history.column("sent_ns")[first:], at_ns - 1)
    heard_ns = np.concatenate([np.full(first, at_ns - 1), early_ns])
    parts = [base.journal, reports]
    for operation in history.kinds:
        ledger = operation.spec.ledger
        chosen = records.in_phase(history, records.WHOLE_RUN, operation)
        if ledger is not None and chosen.any():
            parts.append(_heard(history, ledger, chosen, heard_ns[chosen]))
    return replace(history, journal=np.concatenate(parts))


def _heard(
    history: History, ledger: Ledger, chosen: Chosen, at_ns: Nanoseconds
) -> npt.NDArray[np.void]:
    """The records, made then, of who has not heard of an operation yet and is to."""
    if ledger.witness is Witness.EVERY_OTHER_NODE:
        expected = silences.of(history).expected(history, chosen)
    elif ledger.witness is Witness.TARGET:
        expected = history.column("target")[chosen][:, None] == np.arange(len(history.nodes))
    else:
        return np.empty(0, JOURNAL)
    heard = records.heard_ns(history, ledger.record, chosen) != records.NEVER
    rows, nodes = np.nonzero(~heard & expected)
    made = np.zeros(len(rows), JOURNAL)
    made["kind"], made["at_ns"], made["node"] = ledger.record, at_ns[rows], nodes
    made["id"] = records.identifiers(history)[chosen][rows]
    return made
