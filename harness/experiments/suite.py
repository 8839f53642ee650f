"""A suite plays scenarios one after another and gives one verdict of them all, by one budget.

Its folder, ``runs/<suite>/<time>/``, has the suite's ``budget.toml`` and ``suite.json``: the run
folder of each part, relative to it, written before the first, and as parts begin and end.
``run`` and ``judge`` here are the public ones: they take a scenario or its run folder as well.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checks import rows as budget_rows
from harness.checks import scope
from harness.checks.promises import promised
from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.choices import one_of
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, HarnessError, InterruptedByUserError, UsageError
from harness.experiments import beforehand, session_rows, suite_folder
from harness.experiments import judge as single_judge
from harness.experiments import run as single_run
from harness.experiments.judge import Judged
from harness.experiments.soak import folder as soaks
from harness.history import reader
from harness.history.folder import new_folder, point_latest, translated
from harness.reports.suite_part import SuitePart
from harness.scenario import files, timeline
from harness.scenario.budget import Row
from harness.scenario.scenario import Suite
from harness.systems import abilities

ONLY_PLAYED = "no row of the suite promises anything of it: it is held to what every run is"


def run(
    scenario: Path,
    *,
    cluster: str | None = None,
    runtime_name: str = "auto",
    runs: Path = Path("runs"),
    workers: int = 1,
    system: str | None = None,
    keep: bool = False,
    progress: Progress = nobody,
) -> Judged:
    """Play a scenario, or all parts of a suite, and judge it.

    A part that breaks is said in the verdict, and the next is played; Ctrl-C ends the suite.
    `system` puts another system under test than the files name. `keep` leaves a cluster up that a
    scenario started. Raises BadFileError before anything starts where the suite or one of its parts
    cannot be played, or not here (beforehand.py), UsageError where a suite is to keep a cluster,
    InterruptedByUserError.
    """
    settings: dict[str, Any] = {
        "cluster": cluster,
        "runtime_name": runtime_name,
        "runs": runs,
        "workers": workers,
        "system": system,
    }
    planned = files.read_suite(scenario)
    if planned is None:
        return single_run.run(scenario, **settings, keep=keep, progress=progress)
    if keep:
        raise UsageError("keep: a suite starts a cluster for each of its parts, and keeps none")
    names = check(planned, system)
    timelines = [timeline.compile(files.read_scenario(part, system)) for part in planned.parts]
    beforehand.require(timelines, cluster=cluster, runtime_name=runtime_name, runs=runs)
    folder = new_folder(runs, planned.name)
    with translated(folder):
        (folder / suite_folder.BUDGET).write_text(planned.budget.read_text())
    played: dict[str, str] = {}
    failures: dict[str, str] = {}
    suite_folder.write(folder, planned.name, names, played, failures)
    try:
        for name, part in zip(names, planned.parts, strict=True):

            def began(run: Path, name: str = name) -> None:
                played[name] = os.path.relpath(run, folder)
                failures[name] = suite_folder.not_ended(name)
                suite_folder.write(folder, planned.name, names, played, failures)

            say = _named(name, progress)
            try:
                single_run.run(part, **settings, progress=say, began=began)
                del failures[name]
            except InterruptedByUserError:
                raise
            except HarnessError as error:
                failures[name] = f"{type(error).__name__}: {error}"
            suite_folder.write(folder, planned.name, names, played, failures)
    finally:
        point_latest(runs, folder)  # each part has pointed it at itself
    return judge(folder)


def check(planned: Suite, system: str | None = None, *, imports: bool = True) -> list[str]:
    """Check all that a suite names, and return the names of its scenarios; `system` and `imports`
    as in run.read and run.check.

    Raises BadFileError, or UsageError where a part asks for what its system cannot do.
    """
    scenarios = [
        abilities.fitted(files.read_scenario(part, system), system, imports=imports)
        for part in planned.parts
    ]
    for scenario in scenarios:
        single_run.check(scenario, imports=imports)
    rows = files.read_budget(planned.budget).rows
    mine = (abilities.own_metrics_of(one, imports=imports) for one in scenarios)
    budget_rows.validate_for(rows, frozenset().union(*mine))
    names = [scenario.name for scenario in scenarios]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise BadFileError(
            f"suite {planned.name!r}: parts: expected scenarios of different names, found "
            f"{twice[0]!r} twice"
        )
    for row in rows:
        if row.conditions.scenario not in names:
            raise BadFileError(
                f"{planned.budget}: row {row.name}: scenario: "
                f"{one_of(row.conditions.scenario, names)}"
            )
    return names


def judge(run: Path, budget: Path | None = None, *, write: bool = True) -> Judged:
    """Judge a run folder, or a suite's folder by its parts, each by the suite's own budget only, or
    a soak's by its windows.

    Raises BadFileError where it is none of them.
    """
    if (soak := soaks.find(run)) is not None:
        return _judge_soak(soak, budget, write=write)
    folder = next(
        (found for found in (run, run / "latest") if (found / suite_folder.FILE).is_file()), None
    )
    if folder is None:
        return single_judge.judge(run, budget, write=write)
    if budget is not None:
        raise BadFileError(
            f"{run}: a suite is judged by its own budget; judge one of its parts by {budget}"
        )
    found = suite_folder.read(folder)
    rows, lost = suite_folder.own_rows(folder, found)
    failures = found["failures"]
    runs = suite_folder.recorded(folder, found["parts"], failures)
    rows = session_rows.bound(rows, {name: reader.metadata(run) for name, run in runs.items()})
    # The suite's rows, not those of the parts' files.
    about = [row for row in rows if row.conditions.scenario is not None]
    judged = {name: single_judge.judge_by(run, about) for name, run in runs.items()}
    for name in found.get("planned", ()):
        if name not in judged:
            failures.setdefault(name, f"scenario {name!r} was not played: the suite was cut short")
    verdicts = _in_suite(rows, {name: one.verdict for name, one in judged.items()})
    verdict = Verdict(findings=(*findings(rows, verdicts, failures), *lost))
    result = Judged(
        run=folder.resolve(),
        verdict=verdict,
        facts=_facts(found["name"], judged),
        parts=tuple(
            SuitePart(
                name=name, folder=found["parts"][name], verdict=verdicts[name], history=one.history
            )
            for name, one in judged.items()
            if one.history is not None
        ),
    )
    if write:
        result.write()
    return result


def _judge_soak(folder: Path, budget: Path | None, *, write: bool) -> Judged:
    if budget is not None:
        raise BadFileError(
            f"{folder}: a soak is judged by its own budget; judge one of its windows by {budget}"
        )
    from harness.experiments.soak import judge as soak_judge  # late: `run` needs none of it

    return soak_judge.judge(soaks.SoakFolder(folder), write=write)


def findings(
    rows: tuple[Row, ...], parts: Mapping[str, Verdict], failures: Mapping[str, str]
) -> list[Finding]:
    """Return every row once, from the part that measures it, then what else the parts' checkers
    found.

    A row of no part is UNKNOWN, and so is a part that broke and has no row to say it, or has a
    record, which ends where it broke. A part that
    was played and of which no row promises anything is as good as what every run is held to, in a
    suite that promises something; so is one that the system has no operation for, in a suite that
    asks it something.
    """
    left = {name: list(one.findings) for name, one in _in_suite(rows, parts).items()}
    found = []
    for row in rows:
        of = row.conditions.scenario or ""
        mine = next(
            (
                finding
                for finding in left.get(of, [])
                if (finding.name, finding.phase) == (row.name, row.conditions.phase)
            ),
            None,
        )
        if mine is None:
            why = f"scenario {of!r} was not played" if of else session_rows.why_unbound(row, parts)
            found.append(_not_measured(row, failures.get(of, why)))
        else:
            left[of].remove(mine)
            found.append(_of_part(mine, of))
    found += [_of_part(finding, name) for name, rest in left.items() for finding in rest]
    said = {row.conditions.scenario for row in rows} - parts.keys()
    silent = failures.keys() - said
    return found + [_broken(part, failures[part]) for part in sorted(silent)]


def _broken(part: str, why: str) -> Finding:
    return Finding(
        name="part: played",
        answer=Answer.UNKNOWN,
        promised="a run",
        measured="–",
        sentence=why,
        cause=Cause.NOT_MEASURED,
        phase=part,
    )


def _in_suite(rows: Sequence[Row], parts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """The verdicts of the parts as the suite takes them."""
    promised_of = {row.conditions.scenario for row in rows if row.bound is not None}
    # A part of which no row was asked is as one of which none promises anything.
    about = {one for one in promised_of if one is None or one not in parts or _is_asked(parts[one])}
    some_asked = any(map(_was_loaded, parts.values()))
    found = {}
    for name, verdict in parts.items():
        no_doubt = {scope.NOTHING_ASKED} if some_asked else set()
        if about and not about & {None, name}:
            no_doubt.add(scope.BUDGET)
        why = "" if name in promised_of else ONLY_PLAYED
        found[name] = Verdict(
            findings=tuple(
                _only_played(one, why if one.name == scope.BUDGET else "")
                if one.name in no_doubt
                else one
                for one in verdict.findings
            )
        )
    return found


def _is_asked(verdict: Verdict) -> bool:
    """Whether a row that promises something was asked of a part."""
    rows = verdict.rows()
    return rows["not_asked"] < rows["of"] or not rows["of"]


def _was_loaded(verdict: Verdict) -> bool:
    """Whether anything was sent in a part."""
    return any(one.name.startswith(scope.CAME_TRUE) for one in verdict.findings)


def _only_played(finding: Finding, why: str) -> Finding:
    """The finding; that nobody judged a part by rows is, in a suite, no doubt about the others.
    `why`: the suite's own reason, empty: the finding's.
    """
    if finding.cause is not Cause.NOT_JUDGED:
        return finding
    sentence = why or finding.sentence
    return replace(finding, answer=Answer.MEASURED, promised="–", cause=None, sentence=sentence)


def _of_part(finding: Finding, part: str) -> Finding:
    return replace(finding, phase=f"{part}/{finding.phase}" if finding.phase else part)


def _not_measured(row: Row, why: str) -> Finding:
    return Finding(
        name=row.name,
        answer=Answer.UNKNOWN,
        promised=promised(row),
        measured="–",
        sentence=why,
        cause=Cause.NOT_MEASURED,
        phase="/".join(filter(None, (row.conditions.scenario, row.conditions.phase))),
        source=row.source,
        metric=row.metric,
        statistic=row.statistic,
        unit=row.unit,
        bound=row.bound,
    )


def _facts(name: str, judged: Mapping[str, Judged]) -> dict[str, Any]:
    """Return the metadata of the suite: what its parts share, which ran on one host one after the
    other. Seed, streams and network are each part's own.
    """
    every = [one.facts for one in judged.values()]
    if not every:
        raise BadFileError(f"{name}: no part of the suite has a run folder: nothing was measured")
    names = ", ".join(judged)
    others = [one["load"]["other_system"]["name"] for one in every if _is_of_other(one)]
    return {
        "name": name,
        "parts": names,
        "topology": names,
        "adapter": ", ".join(dict.fromkeys(str(one["adapter"]) for one in every)),
        "runtime": {"name": ", ".join(dict.fromkeys(one["runtime"]["name"] for one in every))},
        "host": every[0]["host"],
        "started": every[0].get("started", ""),
        "nodes": [],
        "other_system": ", ".join(dict.fromkeys(others)),
    }


def _is_of_other(facts: Mapping[str, Any]) -> bool:
    """Whether another system was under test than the files of a run name."""
    return "other_system" in facts.get("load", {})


def _named(part: str, progress: Progress) -> Progress:
    def say(stage: str, done: int, total: int) -> None:
        progress(f"{part}: {stage}", done, total)

    return say
