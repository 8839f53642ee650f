"""A suite's folder is written and read: ``suite.json``, and the ``budget.toml`` beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.checks.verdict import Answer, Cause, Finding
from harness.errors import BadFileError
from harness.experiments.judge import budget_of
from harness.history import reader
from harness.history.folder import translated
from harness.kernel.files import replace_text
from harness.scenario.budget import Row

VERSION = 1
FILE = "suite.json"
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
        found["budget_sha256"] = _sha256(folder / BUDGET) if has_budget else NO_BUDGET
        replace_text(folder / FILE, json.dumps(found, indent=1) + "\n")


def read(folder: Path) -> dict[str, Any]:
    """Return what suite.json says. Raises BadFileError."""
    try:
        found: dict[str, Any] = json.loads((folder / FILE).read_text())
    except (OSError, ValueError) as error:
        raise BadFileError(f"{folder / FILE}: cannot be read: {error}") from None
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


def own_rows(folder: Path, sha256: str | None) -> tuple[tuple[Row, ...], list[Finding]]:
    """Return the rows of a suite's folder; none where its budget is not as it was written, and a
    finding that says so. `sha256` None: an earlier version did not note it; NO_BUDGET: it had none.
    """
    file = folder / BUDGET
    if sha256 == NO_BUDGET:
        return (), [_lost("was added")] if file.exists() else []
    if not file.is_file():
        return (), [_lost("is missing")]
    if sha256 not in (None, _sha256(file)):
        return (), [_lost("is not as it was")]
    budget = budget_of(folder)
    return budget.rows if budget else (), []


def _lost(how: str) -> Finding:
    return Finding(
        name="record: whole",
        answer=Answer.UNKNOWN,
        promised="no gap",
        measured="1 gap",
        sentence=f"{BUDGET} of the suite {how}",
        cause=Cause.GAP,
    )


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
