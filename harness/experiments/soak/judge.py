"""Judge a soak's folder: its windows as they were judged when they were played, and all of them
together. What was never judged, and is still there, is judged now.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from harness.checks import leaks
from harness.checks.leaks import Trend
from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError, HarnessError
from harness.experiments.judge import Judged
from harness.experiments.soak import cost, growth, retention, series, window
from harness.experiments.soak import verdict as verdicts
from harness.experiments.soak.folder import VERDICT, SoakFolder, Stage, Window
from harness.experiments.soak.verdict import Seen
from harness.reports import soak as page
from harness.scenario import soak
from harness.scenario.tables import load

HTML = "html"
SLOPES_MOST = 12
EIGHT_H_S = 8 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True, repr=False, eq=False)
class SoakJudged(Judged):
    """A soak and its verdict. `details`: what its page, and verdict.json, say beside it."""

    details: Mapping[str, Any] = field(default_factory=dict)

    def rendered(self, format_: str) -> str:
        """Return the verdict in one of the formats of a run; the page is a soak's own."""
        if format_ == HTML:
            return page.render(self.verdict, self.facts, str(self.run), self.details)
        return Judged.rendered(self, format_)

    def as_json(self) -> dict[str, Any]:
        """Return what verdict.json holds (docs/run-folder.md)."""
        return {**Judged.as_json(self), "soak": self.details}

    @property
    def so_far(self) -> Answer:
        """The worst answer of what was judged, whether or not more is to come."""
        found = tuple(one for one in self.verdict.findings if one.name != verdicts.WINDOWS)
        return Verdict(findings=found).answer


def judge(folder: SoakFolder, *, write: bool = True, late: bool = True) -> SoakJudged:
    """Judge the whole. `late`: also the windows that were not judged when they were played, unless
    somebody plays the soak now, who does that.

    Raises BadFileError, StorageError.
    """
    is_played = folder.is_played
    if late and write and not is_played:
        retention.let_go_leftovers(folder)
        _judge_left(folder)
    seen = [_seen(folder, one) for one in folder.windows()]
    watched, wrong = series.of_soak(folder)
    trends = leaks.found(watched)
    wrong += [*folder.changed_inputs(), *_elsewhere(folder, seen)]
    try:
        asked, grown = _asks_for_leaks(folder), growth.findings(_budget(folder), watched)
    except BadFileError as error:
        asked, grown = False, []
        wrong.append(str(error))
    verdict = verdicts.whole(
        len(folder.asked.lengths_s),
        seen,
        trends,
        folder.ended,
        is_played=is_played,
        wrong=wrong,
        asked=asked,
        grown=grown,
    )
    judged = SoakJudged(
        run=folder.path.resolve(),
        verdict=verdict,
        facts=facts(folder),
        details=_details(folder, seen, trends),
    )
    if write:
        judged.write()
    return judged


def _elsewhere(folder: SoakFolder, seen: Sequence[Seen]) -> Iterator[str]:
    """Say which windows were played on another ground than the first: they are of two soaks."""
    for one in seen:
        if said := _summary(folder, one).get("elsewhere"):
            yield f"window {one.window.number} was played elsewhere: {'; '.join(map(str, said))}"


def _budget(folder: SoakFolder) -> Path | None:
    return None if folder.asked.budget is None else folder.path / folder.asked.budget


def _asks_for_leaks(folder: SoakFolder) -> bool:
    file = folder.path / folder.asked.scenario
    return soak.soak_from(load(file), str(file)).asks_for_leaks


def _judge_left(folder: SoakFolder) -> None:
    """Judge the windows that nobody came to judge; of one that was being played when the harness
    was killed what was recorded.
    """
    for one in folder.windows():
        if one.stage is Stage.PLAYING:
            folder.write(window.cut(folder, one))
    for one in folder.windows():
        if folder.run_of(one) is not None and not folder.is_judged(one.number):
            window.judge(folder, one.number)


def _seen(folder: SoakFolder, one: Window) -> Seen:
    path = folder.window_folder(one.number)
    try:
        said = folder.summary(one.number)
        if said is None:
            return Seen(window=one, verdict=None, problem=one.not_judged)
        return Seen(window=one, verdict=verdicts.read(json.loads((path / VERDICT).read_text())))
    except (OSError, ValueError, HarnessError) as error:
        return Seen(window=one, verdict=None, problem=str(error))


def facts(folder: SoakFolder) -> dict[str, Any]:
    """Return what was run on what, as the first window found it."""
    asked = folder.asked
    try:
        said = json.loads((folder.path / window.FACTS_FILE).read_text())
        found = {**said, "host": said["host"], "nodes": said["nodes"]}
    except (OSError, ValueError, KeyError, TypeError):  # no window came so far
        unknown = {"cores": 0, "cpu": "unknown", "kernel": "unknown"}
        found = {"host": unknown, "nodes": [], "topology": asked.what, "adapter": asked.system}
    return {
        **found,
        "name": asked.name,
        "seed": asked.seed,
        "runtime": found.get("runtime", {"name": asked.runtime}),
        "started": asked.started,
    }


def _details(folder: SoakFolder, seen: Sequence[Seen], trends: Sequence[Trend]) -> dict[str, Any]:
    asked = folder.asked
    summaries = {one.window.number: _summary(folder, one) for one in seen}
    pauses_s = _pauses_s(seen, summaries)
    return {
        "asked": {
            "what": asked.what,
            "for_s": asked.for_s,
            "windows": len(asked.lengths_s),
            "window_s": asked.lengths_s[0],
            "seed": asked.seed,
            "raw_s": asked.raw_s,
        },
        "ended": folder.ended,
        "windows": [_row(folder, one, summaries[one.window.number], pauses_s) for one in seen],
        "pauses": _pauses(pauses_s),
        "slopes": [
            {
                "of": one.watched.of,
                "resource": one.watched.resource,
                "leaks": one.is_leak,
                "says": one.sentence,
            }
            for one in verdicts.steepest(trends, SLOPES_MOST)
        ],
        "series": len(trends),
        "cost": _cost(folder, seen, summaries),
    }


def _summary(folder: SoakFolder, one: Seen) -> dict[str, Any]:
    try:
        return folder.summary(one.window.number) or {}
    except BadFileError:
        return {}


def _row(
    folder: SoakFolder, one: Seen, summary: Mapping[str, Any], pauses_s: Mapping[int, float]
) -> dict[str, Any]:
    run, number = folder.run_of(one.window), one.window.number
    path = f"windows/{number:04}"
    return {
        "number": number,
        "seconds": one.window.seconds,
        "began_s": one.window.began_s,
        "stage": str(one.window.stage),
        "answer": None if one.verdict is None else str(one.verdict.answer),
        "counts": summary.get("counts", {}),
        "faults": summary.get("faults", []),
        "pause_s": pauses_s.get(number),
        "page": f"{path}/{one.window.run}/report.html" if run is not None else None,
        "summary": f"{path}/summary.txt" if one.verdict is not None else None,
        "raw": run is not None,
        "problem": one.window.problem or one.problem,
        "notes": list(one.window.notes),
    }


def _pauses_s(seen: Sequence[Seen], summaries: Mapping[int, Mapping[str, Any]]) -> dict[int, float]:
    """Return for how long no load was sent before each window, since the one before on the same
    cluster.
    """
    found = {}
    for before, after in pairwise(seen):
        said, now = summaries[before.window.number], summaries[after.window.number]
        if before.window.cluster != after.window.cluster or not said or not now:
            continue
        if (pause_ns := now["t0_ns"] - said["over_ns"]) >= 0:
            found[after.window.number] = pause_ns / 1e9
    return found


def _pauses(pauses_s: Mapping[int, float]) -> dict[str, float]:
    some = [*pauses_s.values()]
    if not some:
        return {}
    return {"mean_s": sum(some) / len(some), "most_s": max(some), "total_s": sum(some)}


def _cost(
    folder: SoakFolder, seen: Sequence[Seen], summaries: Mapping[int, Mapping[str, Any]]
) -> dict[str, Any]:
    """Return what the folder takes, an hour, and after the whole soak and after eight hours; of
    windows as long as the first.
    """
    asked = folder.asked
    of_length = [
        (one, summaries[one.window.number])
        for one in seen
        if one.window.seconds == asked.lengths_s[0] and one.window.stage is Stage.PLAYED
    ]
    judged = [(one, said) for one, said in of_length if "raw_bytes" in said]
    total = sum(path.stat().st_size for path in folder.path.rglob("*") if path.is_file())
    found: dict[str, Any] = {"bytes": total, "planned_bytes": asked.planned_bytes}
    if not judged:
        return found
    findings = sum(one.verdict is not None and _is_found(one.verdict) for one, _ in judged)
    measured = cost.Measured(
        raw=tuple(float(said["raw_bytes"]) for _, said in judged),
        kept=tuple(float(said["kept_bytes"]) for _, said in judged),
        window_s=asked.lengths_s[0],
        found_share=findings / len(judged),
    )
    found["raw_bytes_an_hour"] = cost.an_hour(measured)
    found["summary_bytes_an_hour"] = sum(measured.kept) / len(judged) * 3600 / measured.window_s
    for key, for_s in (("after_all", asked.for_s), ("after_8h", EIGHT_H_S)):
        one = cost.after(measured, for_s, asked.raw_s)
        found[key] = {"bytes": one.value, "low": one.low, "high": one.high, "for_s": for_s}
    return found


def _is_found(verdict: Verdict) -> bool:
    return verdict.answer in retention.FOUND


def is_soak(path: Path) -> bool:
    """Whether a folder is a soak's."""
    return (path / "soak.json").is_file()
