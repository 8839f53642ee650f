"""A suite's folder is written and read: ``suite.json``, and the ``budget.toml`` beside it.

It closes itself off: ``suite.json`` has its own hash, that of the budget, and that of each run's
manifest, so nobody takes a part out of it, or puts another run in a part's place, unseen.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checks.verdict import Answer, Cause, Finding
from harness.errors import BadFileError
from harness.experiments import seals
from harness.experiments.judge import budget_of
from harness.history import reader
from harness.history.folder import translated
from harness.kernel.files import replace_text
from harness.scenario.budget import Row

VERSION = 2  # 1 had no hash of its own, and none of its runs
FILE = seals.SUITE
BUDGET = "budget.toml"
NO_BUDGET = "none"  # instead of its hash


def write(
    folder: Path,
    name: str,
    planned: Sequence[str],
    played: Mapping[str, str],
    failures: Mapping[str, str],
) -> None:
    """Write suite.json, beside the budget, where there is one. A part that it plans and neither was
    played nor broke was not come to; one that was played and broke has begun and not ended. Raises
    StorageError.
    """
    found = {
        "version": VERSION,
        "name": name,
        "planned": planned,
        "parts": played,
        "failures": failures,
    }
    with translated(folder):
        has_budget = (folder / BUDGET).is_file()
        found["budget_sha256"] = seals.of_file(folder / BUDGET) if has_budget else NO_BUDGET
        runs = {name: folder / part for name, part in played.items()}
        sealed = {name: seals.of_folder(run) or seals.of_begun(run) for name, run in runs.items()}
        found["seals"] = {name: seal for name, seal in sealed.items() if seal}
        replace_text(folder / FILE, json.dumps(seals.sealed(found), indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """Return what suite.json says. Raises BadFileError."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text())
        texts = [found["name"], *found["parts"].values(), *found["failures"].values()]
        if not all(isinstance(one, str) for one in texts):
            raise TypeError("expected texts as name, parts and failures")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadFileError(
            f"{folder / FILE}: cannot be read: {type(error).__name__}: {error}"
        ) from None
    return found


def not_ended(name: str) -> str:
    """Say what is known of a part until it ends."""
    return f"{name}: it has begun and has not ended"


def recorded(
    folder: Path, parts: Mapping[str, str], failures: Mapping[str, str]
) -> dict[str, Path]:
    """Return the run folder of each part. One that has not ended may have none that can be read:
    what is known of it is that. Raises BadFileError for one that has ended.
    """
    runs = {}
    for name, part in parts.items():
        try:
            run = reader.find(folder / part)
            reader.metadata(run)
        except BadFileError:
            if name not in failures:
                raise
        else:
            runs[name] = run
    return runs


def own_rows(folder: Path, found: Mapping[str, Any]) -> tuple[tuple[Row, ...], list[Finding]]:
    """Return the rows of a suite's folder, of which `found` is the suite.json; none where its
    budget is not as it was written. And a finding, where something is not as it was.
    """
    gaps = [*_changed(folder, found)]
    rows: tuple[Row, ...] = ()
    if gap := _budget_changed(folder / BUDGET, found.get("budget_sha256")):
        gaps.append(gap)
    elif budget := budget_of(folder):
        rows = budget.rows
    return rows, [_lost(gaps)] if gaps else []


def _changed(folder: Path, found: Mapping[str, Any]) -> Iterator[str]:
    """Say what of suite.json, and of the runs that it names, is not as it was written."""
    if found.get("version") == 1:
        yield f"an earlier version wrote {FILE}: nobody can tell whether it is as it was"
        return
    if not seals.is_whole(found):
        yield f"{FILE} of the suite is not as it was"
    for name, seal in found.get("seals", {}).items():
        if name not in found["parts"] or not seals.holds(seal, folder / found["parts"][name]):
            yield f"the run of {name} is not the one that was played"


def _budget_changed(file: Path, sha256: str | None) -> str:
    """Say how a budget is not as it was. `sha256` None: an earlier version did not note it;
    NO_BUDGET: it had none.
    """
    if sha256 == NO_BUDGET:
        how = "was added" if file.exists() else ""
    elif not file.is_file():
        how = "is missing"
    else:
        how = "is not as it was" if sha256 not in (None, seals.of_file(file)) else ""
    return how and f"{BUDGET} of the suite {how}"


def _lost(gaps: Sequence[str]) -> Finding:
    return Finding(
        name="record: whole",
        answer=Answer.UNKNOWN,
        promised="no gap",
        measured=f"{len(gaps)} gap{'s' * (len(gaps) != 1)}",
        sentence="; ".join(gaps),
        cause=Cause.GAP,
    )
