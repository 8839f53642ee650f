"""The headline says in one sentence why a run is not PASS, the same in every report; and what else
each of them says.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.checks.verdict import Answer, Finding, Verdict

if TYPE_CHECKING:  # numpy and Arrow: a command that renders nothing must not wait for them
    from harness.history.history import History
    from harness.reports.suite_part import SuitePart

UNSEALED = "no manifest: of a file that was changed since this run was closed nobody can tell"
REASONS = 6  # why rows were not asked that are said
JUDGED_BY = "judged_by"  # of a verdict's facts: a budget that is not the run's own
SENTENCE_CHARACTERS = 240  # of a finding's own sentence: the row itself says all of it


def counts(verdict: Verdict) -> str:
    """Say how many rows were judged, and how many findings have each answer: ``15 of 22 rows
    judged; 20 PASS, 7 NOT ASKED``.
    """
    rows = verdict.rows()
    judged = f"{rows['judged']} of {rows['of']} rows judged; " if rows["of"] else ""
    found = verdict.counts().items()
    return judged + ", ".join(f"{number} {answer}" for answer, number in found if number)


def sentences(verdict: Verdict) -> list[str]:
    """Say why a verdict is not PASS, and what of it nobody asked; none where there is neither."""
    return [one for one in (why(verdict), not_asked(verdict)) if one]


def not_asked(verdict: Verdict) -> str:
    """Say of how many rows that promise something nobody asked, where there are none of what else,
    and why; empty of none: ``36 rows were not asked: nats has no dht_put (20), nats has no dht_get
    (16)``.
    """
    left = [one for one in verdict.findings if one.answer is Answer.NOT_ASKED]
    if not left:
        return ""
    rows = [one for one in left if one.metric and one.bound is not None]
    whys = Counter(one.sentence for one in rows or left).most_common()
    said = [f"{why} ({count})" if len(whys) > 1 else why for why, count in whys[:REASONS]]
    rest = sum(count for _, count in whys[REASONS:])
    said += [f"and of other reasons {rest}"] if rest else []
    what = "row" if rows else "finding"
    count = len(rows or left)
    were = "was" if count == 1 else "were"
    return f"{count} {what}{'s' * (count > 1)} {were} not asked: {', '.join(said)}."


def first(verdict: Verdict) -> Finding | None:
    """Find the first finding that has the verdict's answer, where that is not PASS."""
    if verdict.answer is Answer.PASS:
        return None
    return next((one for one in verdict.findings if one.answer is verdict.answer), None)


def why(verdict: Verdict) -> str:
    """Say why a verdict is not PASS, in one sentence; empty where it is."""
    if verdict.answer is Answer.PASS:
        return ""
    one = first(verdict)
    if one is None:
        return "Nothing was promised, so nothing was judged."
    number, of = verdict.counts()[verdict.answer], len(verdict.findings)
    unknown = verdict.counts()[Answer.UNKNOWN]
    if verdict.answer is Answer.FAIL:
        more = f", and {unknown} could not be judged" if unknown else ""
        said = f"{number} of {of} findings {'is' if number == 1 else 'are'} FAIL{more}"
    else:
        causes = Counter(str(each.cause) for each in verdict.findings if each.cause is not None)
        listed = ", ".join(
            cause if number == times else f"{times} × {cause}"
            for cause, times in causes.most_common()
        )
        said = f"{number} of {of} findings could not be judged ({listed})"
    return f"{said}; {'it is' if number == 1 else 'the first:'} {told(one)}."


def told(finding: Finding) -> str:
    """Say a finding in one sentence."""
    phase = f" ({finding.phase})" if finding.phase else ""
    sentence = finding.sentence.rstrip(". ")
    if len(sentence) > SENTENCE_CHARACTERS:
        sentence = sentence[: SENTENCE_CHARACTERS - 1].rstrip() + "…"
    return f"{finding.name}{phase}: {sentence}"


def nodes(facts: Mapping[str, Any], what: str) -> str:
    """Say what was run on what: ``10 serf nodes (cluster-10)``; of a suite that was played on
    another system than its files name ``chat, store with serf nodes``. `what`: the topology, or the
    parts.
    """
    if facts["nodes"]:
        return f"{len(facts['nodes']):,} {facts['adapter']} nodes ({what})"
    return f"{what} with {facts['other_system']} nodes" if facts.get("other_system") else what


def again(facts: Mapping[str, Any], run: str) -> str:
    """Write the command that says the same verdict again; `judged_by` of the facts is a budget that
    is not the run's own.
    """
    other = facts.get(JUDGED_BY)
    return shlex.join(["harness", "judge", run, *(["--budget", other] if other else [])])


def by_another(facts: Mapping[str, Any]) -> str:
    """Say that a run was judged by another budget than its own; empty where it was not."""
    other = facts.get(JUDGED_BY)
    return f"judged by {other}, and not by the budget of the run" if other else ""


def replay_of(facts: Mapping[str, Any]) -> str:
    """Say of which run this is a replay, and what was changed; empty where it is none."""
    said = facts.get("replay")
    if not said:
        return ""
    forked = f", changed: {said['fork']}" if said.get("fork") else ""
    return f"replay of {said['of']['run']}{forked}"


def unsealed(history: History | None, parts: Sequence[SuitePart] = ()) -> str:
    """Say of a run, or of which parts of a suite, that nobody can tell whether files were changed;
    empty where a manifest does.
    """
    if history is not None:
        return "" if history.sealed else UNSEALED
    named = ", ".join(part.name for part in parts if not part.history.sealed)
    return f"{named}: {UNSEALED}" if named else ""
