"""An entry of the history: one judged run as a row of numbers and answers, without its folder.

It holds every finding of the verdict, and what tells whether two runs may stand in one series: the
host, the runtime, the network, the load, the faults. Read from verdict.json, metadata.json and the
files that the run was begun with alone, so that it takes milliseconds and works on a folder whose
bulk is gone.
"""

from __future__ import annotations

import hashlib
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import BadFileError
from harness.history import shape

VERDICT, METADATA, SUITE = "verdict.json", "metadata.json", "suite.json"
INPUTS = ("scenario.toml", "topology.toml")  # of a run folder: its files as they were
PLAIN = {"kind": "full-mesh"}  # a shape that needs no word
SOAK = "soak.json"
WINDOWS = "windows"  # of a soak's folder: its parts
# checks/verdict.py names them; nothing of the history imports a judge.
ANSWERS = frozenset({"PASS", "MEASURED", "NOT ASKED", "UNKNOWN", "FAIL"})
RUN, OF_SUITE, OF_SOAK, WINDOW = "run", "suite", "soak", "window"
KINDS = frozenset({RUN, OF_SUITE, OF_SOAK, WINDOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One finding of a verdict. `value` is in `unit`; None: there is none; inf: never."""

    name: str
    answer: str
    phase: str = ""
    cause: str | None = None
    promised: str = ""
    measured: str = ""
    sentence: str = ""
    value: float | None = None
    metric: str = ""
    statistic: str = ""
    unit: str = ""
    bound: float | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One judged run. `id` is the same wherever its folder lies; `run` is the folder, relative to
    the folder of runs; `started` is ISO 8601; `judged_ns` is when it was judged, CLOCK_REALTIME.
    Runs of other `environment` are never in one series; those of other `versions` are.
    """

    id: str
    run: str
    kind: str
    scenario: str
    started: str
    judged_ns: int
    answer: str
    environment: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[Row, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the entry as JSON has it; `from_json` reads it back."""
        return asdict(self) | {"rows": [_written(one) for one in self.rows]}


def _written(row: Row) -> dict[str, Any]:
    """A row without what it does not say; JSON has no infinity."""
    said = {key: value for key, value in asdict(row).items() if value not in (None, "")}
    if row.value in (float("inf"), float("-inf")):
        said["value"] = str(row.value)
    return said


def from_json(found: object) -> Entry:
    """Read an entry. Raises BadFileError, in words, where it is none."""
    if not isinstance(found, dict) or not isinstance(found.get("rows"), list):
        raise BadFileError("expected an entry: a table with rows")
    try:
        rows = tuple(_row(one) for one in found["rows"])
        entry = Entry(**{**found, "rows": rows})
    except TypeError as error:
        raise BadFileError(f"expected an entry: {str(error).partition(') ')[2]}") from None
    if wrong := shape.misfit(replace(entry, rows=())):  # of the rows each was looked at
        raise BadFileError(f"expected an entry: {wrong}")
    return _checked(entry)


def _checked(entry: Entry) -> Entry:
    if not entry.id or entry.kind not in KINDS or entry.answer not in ANSWERS:
        raise BadFileError(
            f"expected an entry with an id, a kind and an answer; found {entry.id[:20]!r}, "
            f"{entry.kind[:20]!r}, {entry.answer[:20]!r}"
        )
    try:
        datetime.fromisoformat(entry.started)
    except ValueError:
        raise BadFileError(f"started: expected a time, found {entry.started[:40]!r}") from None
    return entry


def _row(said: object) -> Row:
    """Read a finding of verdict.json, or a row of an entry. Raises BadFileError."""
    if not isinstance(said, dict):
        raise BadFileError(f"expected a finding, found {str(said)[:40]!r}")
    known = {key: said[key] for key in Row.__dataclass_fields__ if key in said}
    value = known.get("value")
    is_endless = value in ("inf", "-inf", float("inf"), float("-inf"))
    try:
        row = Row(**{**known, "value": None if is_endless else value})
    except TypeError:
        raise BadFileError("expected a finding with a name and an answer") from None
    if wrong := shape.misfit(row):
        raise BadFileError(f"finding {str(known.get('name'))[:40]!r}: {wrong}")
    if row.answer not in ANSWERS:
        raise BadFileError(f"finding {row.name[:40]!r}: answer: found {row.answer[:20]!r}")
    return Row(**{**asdict(row), "value": float(str(value))}) if is_endless else row


def of_folder(folder: Path, root: Path) -> Entry:
    """Read the entry of a judged folder below a folder of runs: a run, a suite, a soak or a window
    of one. Raises BadFileError where it has no verdict, or none that can be read.
    """
    verdict, judged_ns = _json(folder / VERDICT), _changed_ns(folder / VERDICT)
    findings = verdict.get("findings")
    if not isinstance(findings, list) or verdict.get("answer") not in ANSWERS:
        raise BadFileError(f"{folder / VERDICT}: expected an answer and findings")
    try:
        rows = tuple(_row(one) for one in findings)
    except BadFileError as error:
        raise BadFileError(f"{folder / VERDICT}: {error}") from None
    kind = _kind(folder)
    facts = [*_facts(folder, kind)]
    if not facts:
        raise BadFileError(f"{folder}: expected {METADATA} of it, or of a part of it; found none")
    first = facts[0]
    scenario = str(first.get("name", "")) if kind in (RUN, WINDOW) else folder.parent.name
    return Entry(
        id=_id(kind, scenario, facts),
        run=folder.relative_to(root).as_posix(),
        kind=kind,
        scenario=scenario,
        started=_started(first, folder),
        judged_ns=judged_ns,
        answer=str(verdict["answer"]),
        environment=environment(facts, kind),
        versions=_versions(first),
        rows=rows,
    )


def _kind(folder: Path) -> str:
    if (folder / SUITE).is_file():
        return OF_SUITE
    if (folder / SOAK).is_file():
        return OF_SOAK
    return WINDOW if folder.parent.name == WINDOWS else RUN


def _facts(folder: Path, kind: str) -> Iterator[Mapping[str, Any]]:
    """The metadata of a folder's runs, in order: its own, or those of its parts that are there."""
    if kind in (OF_SOAK, WINDOW):
        yield _of_soak(folder if kind == OF_SOAK else folder.parents[1], folder)
        return
    for one in (folder, *parts(folder)):
        if found := _or_nothing(one / METADATA):
            yield {**found, "inputs": {name: _toml(one / name) for name in INPUTS}}


def _of_soak(soak: Path, folder: Path) -> Mapping[str, Any]:
    """What metadata.json would say of a soak, or of a window of it, whose run may be gone."""
    asked = _or_nothing(soak / SOAK)
    begun = asked if folder == soak else _or_nothing(folder / "summary.json")
    lasts = asked.get("for_s") if folder == soak else _or_nothing(folder / "window.json")
    inputs = sorted(one for one in (soak / "inputs").glob("**/*") if one.is_file())
    return {
        **_or_nothing(soak / "facts.json"),
        "name": asked.get("name"),
        "started": begun.get("started"),
        "t0_ns": begun.get("t0_ns"),
        "cluster": asked.get("cluster"),
        "load": {
            "workers": asked.get("workers"),
            "streams": [hashlib.blake2b(one.read_bytes()).hexdigest() for one in inputs],
        },
        "plan": [{"end_s": lasts.get("seconds") if isinstance(lasts, dict) else lasts}],
    }


def _or_nothing(file: Path) -> dict[str, Any]:
    try:
        return _json(file)
    except BadFileError:
        return {}


def parts(folder: Path) -> list[Path]:
    """Return the folders of a suite's or a soak's parts, as far as they are named; no symlink is
    one.
    """
    found: list[Path] = []
    if (folder / SUITE).is_file():
        named = _or_nothing(folder / SUITE).get("parts")
        if isinstance(named, dict):  # a suite's parts lie beside it: ``../NAME/TIME``
            found = [Path(os.path.normpath(folder / str(one))) for one in named.values()]
    elif (folder / WINDOWS).is_dir():
        found = sorted((folder / WINDOWS).iterdir())
    return [one for one in found if one.is_dir() and not one.is_symlink()]


def environment(facts: Sequence[Mapping[str, Any]], kind: str = RUN) -> dict[str, str]:
    """Return what two runs must have in common to be compared, of the metadata of one, or of the
    parts of one.
    """
    first = facts[0]
    host, runtime = _table(first, "host"), _table(first, "runtime")
    load = _table(first, "load")
    found = {key: host.get(key) for key in ("cpu", "cores", "machine", "kernel")}
    found |= {"runtime": runtime.get("name"), "packed": runtime.get("nodes_per_container")}
    found |= {"system": first.get("adapter"), "topology": first.get("topology")}
    found |= {key: one for key, one in _table(first, "network").items() if isinstance(one, str)}
    if kind in (RUN, WINDOW):
        nodes = first.get("nodes")
        found["nodes"] = len(nodes) if isinstance(nodes, list) else None
        workers = load.get("workers")
        found["workers"] = len(workers) if isinstance(workers, list) else workers
    found["load"] = _digest([_asked(one) for one in facts])[:8]
    for name, of in (("faults", _faults), ("links", _links)):
        if any(told := [of(one) for one in facts]):
            found[name] = _digest(told)[:8]
    return {key: str(one) for key, one in found.items() if one not in (None, "")}


def _asked(facts: Mapping[str, Any]) -> object:
    """What was asked of a run's load: its streams, and how long each phase was to be."""
    plan = facts.get("plan")
    phases = [
        [one.get("name"), one.get("begin_s"), one.get("end_s")]
        for one in (plan if isinstance(plan, list) else ())
        if isinstance(one, dict)
    ]
    return [_table(facts, "load").get("streams"), phases]


def _faults(facts: Mapping[str, Any]) -> list[object]:
    """What was to go wrong in a run, by its scenario's own words, which no seed changes; and what
    somebody set by hand.
    """
    phases = _table(_table(facts, "inputs"), "scenario.toml").get("phase")
    planned = [
        [one.get("name"), one.get("fault"), one.get("churn")]
        for one in (phases if isinstance(phases, list) else ())
        if isinstance(one, dict) and ("fault" in one or "churn" in one)
    ]
    by_hand = [
        [one["words"], round(one["from_s"]), None if one["to_s"] is None else round(one["to_s"])]
        for one in facts.get("by_hand", ())
    ]
    return [*planned, *by_hand]


def _links(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    """What a run's topology says of its links and nodes, beside its name and how many there are;
    nothing, of the plainest one.
    """
    found = {**_table(_table(facts, "inputs"), "topology.toml")}
    found.pop("name", None)
    nodes = {key: one for key, one in _table(found, "nodes").items() if key != "count"}
    found.pop("nodes", None)
    if found.get("shape") == PLAIN:
        del found["shape"]
    return {**found, **({"nodes": nodes} if nodes else {})}


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return {}


def _versions(facts: Mapping[str, Any]) -> dict[str, str]:
    host = _table(facts, "host")
    found = {"python": host.get("python"), **_table(host, "versions")}
    return {key: str(one) for key, one in found.items() if one is not None}


def _id(kind: str, scenario: str, facts: Sequence[Mapping[str, Any]]) -> str:
    """Name a run by when and where it was played: its clock's start, to the nanosecond, and its
    host. So a copy of its folder is the same run.
    """
    played = [
        [
            one.get("name"),
            one.get("started"),
            one.get("t0_ns"),
            one.get("cluster"),
            _table(one, "host").get("cpu"),
        ]
        for one in facts
    ]
    return _digest([kind, scenario, played])


def _started(facts: Mapping[str, Any], folder: Path) -> str:
    said = facts.get("started")
    try:
        return datetime.fromisoformat(str(said)).isoformat(timespec="seconds")
    except ValueError:
        changed_s = _changed_ns(folder / VERDICT) / 1e9
        return datetime.fromtimestamp(changed_s, UTC).isoformat(timespec="seconds")


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _table(found: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    inside = found.get(key)
    return inside if isinstance(inside, dict) else {}


def _changed_ns(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError as error:
        raise BadFileError(f"{file}: cannot be read: {error.strerror}") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise BadFileError(f"{file}: expected a table")
    return found
