"""A side of a comparison: runs of one scenario, each with what it measured of every row, and what
it was played on. It is read from run folders, and has a JSON form, which a baseline keeps.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from harness.checks import blocks, host
from harness.checks.changes import Better, Told
from harness.checks.liveness import is_warm_up
from harness.checks.metrics import METRICS
from harness.checks.operation_metrics import SHARES, SPEEDS, TIMES
from harness.checks.verdict import Answer, Cause, Finding
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError
from harness.experiments import judge as judging
from harness.experiments.agreement import Surroundings, surroundings
from harness.history import metadata, shape
from harness.history.history import History
from harness.operations import own
from harness.scenario.budget import Conditions, Row

# Of what a row without a bound measures, what is better higher, and what is neither.
HIGHER = SHARES.also(*SPEEDS, "private_message.received", "network.of_iperf3", "iperf3.goodput")
NEITHER = frozenset(
    {"broadcast.fanout", "private_message.relayed", "network", "network.in", "network.out"}
)
COUNTS = frozenset({"fds", "threads", "connections"})  # numbers that are better lower
# Of a row's conditions: what it measures. The others are where.
OF_VALUE = ("node", "nodes", "received_per_s", "under", "process")
OF_EACH = ("p50", "p95", "p99")  # of times, where no budget says what is measured
NOT_OF_EACH = ("burst", "burst_each", "linearity", "first_contact")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOfRun:
    """What a run said of a row, and what the row is: `definition` is the same where it is."""

    phase: str
    name: str
    unit: str
    definition: str
    better: Better
    feels_host: bool
    told: Told


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """A run as it is compared. `others`: which share of the host processes took that are none of
    the run's, while it was judged; None: it is not told. `identity` is the same of its copies.
    """

    run: str
    identity: str
    scenario: str
    started: str
    answer: str
    others: float | None
    surroundings: Surroundings
    rows: tuple[RowOfRun, ...]

    def as_json(self) -> dict[str, Any]:
        """Return it as a baseline keeps it."""
        found = asdict(self)
        for row in found["rows"]:
            told = row["told"]
            if told["value"] is not None and math.isinf(told["value"]):
                told["value"] = "inf"
        return found

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Played:
        """Read it again. Raises KeyError, TypeError, ValueError where it is not that."""
        rows, values = [], []
        for row in kept["rows"]:
            told = Told(**{**row["told"], "within": tuple(row["told"]["within"]), "value": None})
            rows.append(RowOfRun(**{**row, "better": Better(row["better"]), "told": told}))
            values.append(_value(row["told"]["value"]))
        found = cls(**{**kept, "rows": tuple(rows)})
        if wrong := shape.misfit(found):
            raise TypeError(wrong)
        valued = (
            replace(row, told=replace(row.told, value=value))
            for row, value in zip(rows, values, strict=True)
        )
        return replace(found, rows=tuple(valued))


def _value(kept: object) -> float | None:
    """Read a value of a baseline. Raises ValueError, TypeError where it is none."""
    if kept is None or kept == "inf":
        return None if kept is None else math.inf
    if not shape.fits(kept, float) or (value := float(kept)) < 0:  # type: ignore[arg-type]
        raise ValueError(f"value: expected a number of 0 or more, found {kept!r}")
    return value


def read(
    runs: Sequence[Path],
    rows: Sequence[Row] | None = None,
    *,
    as_judged: bool = False,
    progress: Progress = nobody,
) -> tuple[Played, ...]:
    """Judge these run folders, by these rows or by their own budgets, and return what is compared.
    `as_judged`: believe the verdict.json that is kept in each, of which all else may be gone.
    Writes nothing. Raises BadFileError.
    """
    found = []
    for number, run in enumerate(runs):
        progress("judge", number, len(runs))
        found.append(_kept(run) if as_judged else _judged(run, rows, is_alone=len(runs) == 1))
    progress("judge", len(runs), len(runs))
    return tuple(found)


def _judged(run: Path, rows: Sequence[Row] | None, *, is_alone: bool) -> Played:
    facts = metadata.read(run)
    if rows is None:
        budget = judging.budget_of(run)
        rows = budget.rows if budget else measured_rows(facts)
    judged = judging.judge_by(run, rows)
    assert judged.history is not None
    history = judged.history
    told = [
        _row(row, one, history if is_alone else None)
        for row, one in _of_rows(rows, judged.verdict.findings)
    ]
    return _played(run, facts, str(judged.verdict.answer), told, _others(history))


def _kept(run: Path) -> Played:
    """What verdict.json of a run folder says of the rows of its budget."""
    facts, budget, file = metadata.read(run), judging.budget_of(run), run / "verdict.json"
    kept = _json(file)
    try:
        findings = [
            Finding(
                **{
                    **one,
                    "answer": Answer(one["answer"]),
                    "cause": None if one["cause"] is None else Cause(one["cause"]),
                }
            )
            for one in kept["findings"]
        ]
        answer = str(Answer(kept["answer"]))
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadFileError(f"{file}: expected a verdict, found none: {why}") from None
    rows = budget.rows if budget else ()
    told = [_row(row, one, None) for row, one in _of_rows(rows, findings)]
    return _played(run, facts, answer, told, None)


def _played(
    run: Path,
    facts: Mapping[str, Any],
    answer: str,
    told: Sequence[RowOfRun],
    others: float | None,
) -> Played:
    return Played(
        run=str(run),
        identity=_identity(run),
        scenario=facts["name"],
        started=facts.get("started", ""),
        answer=answer,
        others=others,
        surroundings=surroundings(
            facts, _json(run / "topology.json"), _json(run / "timeline.json"), _system(run)
        ),
        rows=tuple(told),
    )


def _identity(run: Path) -> str:
    """What a run has in common with its copies, and with no other: its manifest; a run that was cut
    short has none, and is where it is.
    """
    try:
        return hashlib.sha256((run / "manifest.json").read_bytes()).hexdigest()
    except OSError:
        return str(run.resolve())


def _of_rows(rows: Sequence[Row], findings: Sequence[Finding]) -> Iterator[tuple[Row, Finding]]:
    """Each row that was asked for, with its finding."""
    by_name = {(row.conditions.phase, row.name): row for row in rows}
    for one in findings:
        row = by_name.get((one.phase, one.name))
        if row is not None and one.metric and one.answer is not Answer.NOT_ASKED:
            yield row, one


def _row(row: Row, finding: Finding, history: History | None) -> RowOfRun:
    """What a finding says of its row; of a history also what blocks of it say."""
    value, why = finding.value, ""
    if finding.answer is Answer.UNKNOWN:
        value, why = None, f"{finding.cause}: {finding.sentence}"
    elif value is None and finding.measured.startswith("∞"):
        value = math.inf
    elif value is None:
        why = "no value was told"
    return RowOfRun(
        phase=finding.phase,
        name=finding.name,
        unit=row.unit,
        definition=_definition(row),
        better=better(row),
        feels_host=host.feels_it(row) or row.kind in ("time", "rate", "byte rate"),
        told=Told(
            value=value,
            why=why,
            is_missed=finding.answer is Answer.FAIL,
            within=() if history is None else blocks.drawn(history, row, value),
        ),
    )


def _definition(row: Row) -> str:
    """What the row measures: its bound may be another one."""
    said = [row.statistic, "of", row.metric, "in", row.unit]
    for key in OF_VALUE:  # in this order, in which baselines have them
        if (value := getattr(row.conditions, key)) is not None:
            said += [key, str(value)]
    for word, of in (("factor", row.factor), ("within_ms", row.within_ms)):
        said += [] if of is None else [word, f"{of:g}"]
    return " ".join(said)


def better(row: Row) -> Better:
    """Which way a row is better: as it promises, or as what it measures is."""
    if row.bound is not None or row.comparison in (">", ">="):
        return {"<": Better.LOWER, "<=": Better.LOWER, "==": Better.SAME}.get(
            row.comparison, Better.HIGHER
        )
    metric = row.metric
    if metric in HIGHER or (row.kind == "byte rate" and metric.startswith("micro.")):
        return Better.HIGHER
    is_number = row.kind == "number" and metric not in COUNTS and not metric.endswith(".hops")
    if row.statistic == "count" or metric in NEITHER or is_number:
        return Better.NEITHER
    return Better.LOWER


def measured_rows(facts: Mapping[str, Any]) -> tuple[Row, ...]:
    """Return rows of what each phase of a run sent, where no budget says what is measured of it:
    times and shares of its operations, memory and CPU.
    """
    warm = {one["name"] for one in facts.get("plan", ()) if one.get("kind") == "warm-up"}
    sent: dict[str, set[str]] = {}
    for stream in facts["load"].get("streams", ()):
        if stream["phase"] not in warm:
            sent.setdefault(stream["phase"], set()).add(stream["operation"])
    rows = []
    for phase, words in sent.items():
        for name in (*METRICS, *own.metrics(metadata.own_of(facts))):
            word, _, what = name.partition(".")
            if word in words and name in TIMES and what not in NOT_OF_EACH:
                rows += [_measured(phase, name, statistic, "ms") for statistic in OF_EACH]
            elif word in words and name in SHARES and METRICS[name].kind == "share":
                rows.append(_measured(phase, name, "mean", "%"))
        rows += [_measured(phase, "rss", "max", "MB"), _measured(phase, "cpu", "mean", "%")]
    return tuple(rows)


def _measured(phase: str, metric: str, statistic: str, unit: str) -> Row:
    return Row(
        name=f"{metric} {statistic}",
        metric=metric,
        statistic=statistic,
        unit=unit,
        bound=None,
        conditions=Conditions(phase=phase),
    )


def _others(history: History) -> float | None:
    """Which share of the host others took, over the phases that are judged."""
    used = [
        (phase.seconds, host.use(history, phase))
        for phase in history.phases
        if not is_warm_up(phase)
    ]
    known = [(seconds, one.other_processes) for seconds, one in used if one is not None]
    whole = sum(seconds for seconds, _ in known)
    return sum(seconds * share for seconds, share in known) / whole if whole else None


def _json(file: Path) -> dict[str, Any]:
    """A file of a run folder that is one JSON table; empty where there is none that can be read,
    which its judgement tells.
    """
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _system(run: Path) -> str | None:
    try:
        return (run / "system.toml").read_text()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise BadFileError(f"{run / 'system.toml'}: cannot be read: {error}") from None
