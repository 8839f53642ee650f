"""The verdict of a soak: how many of its windows were played and judged, what was found in them,
and what grows over all of its time. Pure.

A finding of windows is one line, whatever their number: its answer is the worst of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.checks import leak_check, leaks
from harness.checks.leaks import Trend
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import BadFileError
from harness.experiments.soak.folder import Stage, Window
from harness.experiments.soak.series import OWN_PREFIX

WINDOWS, RECORD = "soak: windows", "soak: record"
# From how much growth on the harness's own memory is no longer flat, bytes an hour.
OWN_FLAT_PER_H = 10e6
OWN_MEMORY = (leaks.MEMORY, leaks.RESIDENT)
ORDER = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED, Answer.NOT_ASKED)
NAMED_MOST = 8  # windows in a sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A window as it was begun, and its verdict; None: it was not judged, or what was judged cannot
    be read (`problem`).
    """

    window: Window
    verdict: Verdict | None
    problem: str = ""


def whole(
    planned: int,
    seen: Sequence[Seen],
    trends: Sequence[Trend],
    ended: str | None,
    *,
    is_played: bool,
    wrong: Sequence[str] = (),
    asked: bool = False,
    grown: Sequence[Finding] = (),
) -> Verdict:
    """Return the verdict. `ended`: why it ended, empty where it came to its end, None where nobody
    said so. `is_played`: somebody plays it now. `wrong`: what of its files cannot be believed.
    `asked`: the check of leaks was asked for. `grown`: findings of rows about slopes.
    """
    found = [windows(planned, seen, ended, is_played=is_played), *of_windows(seen)]
    if wrong:
        found.append(
            Finding(
                name=RECORD,
                answer=Answer.UNKNOWN,
                promised="whole",
                measured=f"{len(wrong)} gap{'s' if len(wrong) > 1 else ''}",
                sentence="; ".join(wrong),
                cause=Cause.GAP,
            )
        )
    return Verdict(findings=(*found, *grown, *of_nodes(trends, asked=asked), *of_own(trends)))


def windows(planned: int, seen: Sequence[Seen], ended: str | None, *, is_played: bool) -> Finding:
    """Say how many windows were planned, played to their end, and judged, and why not all."""
    stages = [one.window.stage for one in seen]
    played, judged = stages.count(Stage.PLAYED), sum(one.verdict is not None for one in seen)
    why = [f"window {one.window.number}: {said}" for one in seen if (said := _missing(one))]
    if (left := planned - len(seen)) > 0:
        why.append(f"{left} of {planned} windows were not begun")
    if ended:
        why.insert(0, f"ended early: {ended}")
    elif ended is None and not is_played and (left or why):
        why.insert(0, "whoever played it was killed, and nobody has gone on with it (--resume)")
    finding = Finding(
        name=WINDOWS,
        answer=Answer.PASS,
        promised=f"{planned} played and judged",
        measured=f"{played} played, {judged} judged",
        sentence="; ".join(_shortened(why)),
    )
    if played == judged == planned:
        return finding
    cause = Cause.UNDER_WAY if is_played and not ended else Cause.NOT_MEASURED
    sentence = finding.sentence or f"{planned - judged} are not judged yet"
    return replace(finding, answer=Answer.UNKNOWN, cause=cause, sentence=sentence)


def _missing(one: Seen) -> str:
    """Say what is missing of a window; empty where nothing is."""
    window = one.window
    if window.stage is Stage.PLAYING:
        return "is being played"
    said = [] if window.stage is Stage.PLAYED else [f"{window.stage}: {window.problem}"]
    if one.verdict is None and window.stage is not Stage.BROKEN:
        said.append(f"not judged{': ' if one.problem else ''}{one.problem}")
    return ", ".join(said)


def _shortened(sentences: Sequence[str]) -> list[str]:
    left = len(sentences) - NAMED_MOST
    more = [f"and {left} more windows"] if left > 0 else []
    return [*sentences[:NAMED_MOST], *more]


def of_windows(seen: Sequence[Seen]) -> list[Finding]:
    """Return each finding of the windows once: its worst answer, with the value of the window that
    is worst, and which windows have it.
    """
    by_name: dict[tuple[str, str], list[tuple[int, Finding]]] = {}
    for one in seen:
        for finding in one.verdict.findings if one.verdict is not None else ():
            key = (finding.name, finding.phase)
            by_name.setdefault(key, []).append((one.window.number, finding))
    return [_joined(some) for some in by_name.values()]


def _joined(some: Sequence[tuple[int, Finding]]) -> Finding:
    worst = min((finding.answer for _, finding in some), key=ORDER.index)
    mine = [(number, finding) for number, finding in some if finding.answer is worst]
    number, finding = _worst(mine)
    if len(some) == 1:
        return finding
    if worst in (Answer.FAIL, Answer.UNKNOWN):
        numbers = ", ".join(str(one) for one, _ in mine[:NAMED_MOST])
        more = f" and {len(mine) - NAMED_MOST} more" if len(mine) > NAMED_MOST else ""
        word = "window" if len(mine) == 1 else "windows"
        said = f"{word} {numbers}{more} of {len(some)}; {number}: {finding.sentence}"
        return replace(finding, sentence=said)
    if worst is Answer.PASS:
        return replace(finding, sentence=f"the worst of {len(some)} windows: {number}")
    return _measured(mine, finding)


def _measured(some: Sequence[tuple[int, Finding]], finding: Finding) -> Finding:
    """Return what promises nothing, from its least value to its highest."""
    valued = sorted(
        ((one.value, number, one) for number, one in some if one.value is not None),
        key=lambda each: each[:2],
    )
    if not valued or valued[0][0] == valued[-1][0]:
        return finding
    (_, least, low), (_, most, high) = valued[0], valued[-1]
    said = f"from window {least} to window {most}; {finding.sentence}"
    return replace(finding, measured=f"{low.measured} to {high.measured}", sentence=said)


def _worst(some: Sequence[tuple[int, Finding]]) -> tuple[int, Finding]:
    """Return the window with the worst value: the one that is nearest to the bound, or farthest
    beyond it; without a bound the first.
    """
    valued = [one for one in some if one[1].value is not None and one[1].bound is not None]
    if not valued:
        return some[0]
    is_least = valued[0][1].promised.startswith(">")
    choose = min if is_least else max
    return choose(valued, key=lambda one: one[1].value or 0.0)


def of_nodes(trends: Iterable[Trend], *, asked: bool) -> list[Finding]:
    """Return a finding for each resource of the nodes: FAIL where something leaks. `asked`: the
    file asks for the check of leaks, and where nobody can tell it is UNKNOWN.
    """
    mine = [one for one in trends if not one.watched.of.startswith(OWN_PREFIX)]
    found = []
    for resource in leaks.RESOURCES:
        some = [one for one in mine if one.watched.resource == resource]
        told = [one for one in some if one.is_told or one.is_leak]
        found += [
            _with_untold(finding, some, told, asked=asked)
            for finding in leak_check.findings(told or some)
        ]
    return found


def _with_untold(
    finding: Finding, some: Sequence[Trend], told: Sequence[Trend], *, asked: bool
) -> Finding:
    """Say of whom nobody can tell: of nodes that were restarted again and again, or of all of them
    in a short soak. Those that were watched all the time and are too uneven, or may still fill,
    leave it open, where it was asked, whether any leaks.
    """
    if not told:
        return finding if asked else replace(finding, answer=Answer.MEASURED, cause=None)
    of = [one for one in some if one not in told and one.is_open]
    said = "; ".join(_untold(of))
    finding = replace(finding, sentence="; ".join(filter(None, (finding.sentence, said))))
    whys = {one.untold.why for one in of if one.untold is not None}
    if finding.answer is not Answer.PASS or not whys & {leaks.UNEVEN, leaks.TOO_EARLY}:
        return finding
    measured = f"{sum(one.is_told for one in some)} of {len(some)} told"
    if asked:
        return replace(finding, answer=Answer.UNKNOWN, measured=measured, cause=Cause.TOO_FEW)
    if leaks.TOO_EARLY in whys:  # that none grows would not be true
        return replace(finding, answer=Answer.MEASURED, measured=measured, sentence=said)
    return finding


def _untold(some: Sequence[Trend]) -> Iterator[str]:
    """Say of whom nobody can tell, and why."""
    by_why: dict[str, list[str]] = {}
    for one in some:
        if (untold := one.untold) is not None:
            by_why.setdefault(untold.why, []).append(one.watched.of)
    for why, names in by_why.items():
        more = f" and {len(names) - NAMED_MOST} more" if len(names) > NAMED_MOST else ""
        fills = ", for it may still fill" if why == leaks.TOO_EARLY else ""
        yield f"{', '.join(names[:NAMED_MOST])}{more}: {why} to tell{fills}"


def _rate(one: Trend) -> str:
    if one.slope is None or not one.slope.is_bounded:
        return "–"
    return leaks.rate(one.watched.resource, one.slope)


def of_own(trends: Iterable[Trend]) -> list[Finding]:
    """Return a finding for the memory, and descriptors, of each process of the harness. What grows
    there is no fault of the system, and makes nothing FAIL.
    """
    found = []
    for one in trends:
        if not one.watched.of.startswith(OWN_PREFIX):
            continue
        finding = Finding(
            name=f"{one.watched.of}: {one.watched.resource}",
            answer=Answer.MEASURED,
            promised="flat",
            measured=_rate(one),
            sentence="" if one.untold is None else str(one.untold),
        )
        is_memory = one.watched.resource in OWN_MEMORY
        if one.is_leak:
            said = f"it grows; what is surely more than {OWN_FLAT_PER_H / 1e6:g} MB/h is UNKNOWN"
            finding = replace(finding, sentence=said if is_memory else "it grows")
        if one.is_leak and is_memory and _is_steep(one):
            sentence = "the harness's own memory grows: a longer soak would be disturbed by it"
            finding = replace(
                finding, answer=Answer.UNKNOWN, cause=Cause.HOST_LIMITED, sentence=sentence
            )
        found.append(finding)
    return found


def _is_steep(one: Trend) -> bool:
    return one.slope is not None and one.slope.low_per_s * leaks.HOUR_S > OWN_FLAT_PER_H


def steepest(trends: Iterable[Trend], most: int) -> list[Trend]:
    """Return those that grow most, each beside what is told of its kind of resource: leaks first.

    For a live line and a page; nothing is decided by it.
    """
    told = [
        one
        for one in trends
        if one.slope is not None and (one.is_told or one.rises) and one.slope.per_s > 0
    ]

    def key(one: Trend) -> tuple[bool, float]:
        slope = one.slope
        assert slope is not None
        least = leaks.RESOURCES[one.watched.resource].least_per_h / leaks.HOUR_S
        return not one.is_leak, -slope.per_s / least

    return sorted(told, key=key)[:most]


def read(said: Mapping[str, Any]) -> Verdict:
    """Read the verdict that verdict.json has. Raises BadFileError."""
    try:
        return Verdict(findings=tuple(map(_finding, said["findings"])))
    except (KeyError, TypeError, ValueError) as error:
        raise BadFileError(f"verdict.json: {error}") from None


def _finding(said: Mapping[str, Any]) -> Finding:
    cause = said.get("cause")
    return Finding(
        **{
            **said,
            "answer": Answer(said["answer"]),
            "cause": None if cause is None else Cause(cause),
        }
    )
