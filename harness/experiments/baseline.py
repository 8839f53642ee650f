"""A baseline is a side of a comparison that is kept under a name: what its runs measured, so that
the run folders may go. It is a file, `baselines/NAME.json` in the folder of runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.choices import one_of
from harness.errors import BadFileError, NameTakenError, StorageError, UsageError
from harness.experiments.side import Played
from harness.history.folder import translated
from harness.kernel.files import replace_text

VERSION = 1
FOLDER = "baselines"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def file_of(runs: Path, name: str) -> Path:
    """Return the file of a baseline of this name. Raises UsageError for what is no name."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"baseline {name!r}: expected a name of 1 to 64 letters, digits, '.', '_' and '-', "
            "beginning with a letter or digit"
        )
    return runs / FOLDER / f"{name}.json"


def free(runs: Path, name: str, *, replace: bool = False) -> Path:
    """Return the file that a baseline of this name may be kept in. Raises NameTakenError."""
    file = file_of(runs, name)
    if file.exists() and not replace:
        raise NameTakenError(f"baseline {name!r} is there already ({file}); --replace replaces it")
    return file


def save(runs: Path, name: str, played: Sequence[Played], *, replace: bool = False) -> Path:
    """Keep a side under a name; return its file. Raises NameTakenError, StorageError."""
    file = free(runs, name, replace=replace)
    kept = {
        "version": VERSION,
        "name": name,
        "saved": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00"),
        "runs": [one.as_json() for one in played],
    }
    with translated(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        replace_text(file, json.dumps(kept, indent=1) + "\n")
    return file


def read(file: Path) -> tuple[str, tuple[Played, ...]]:
    """Read a baseline: its name, and its runs. Raises BadFileError where it is none."""
    kept = _content(file)
    try:
        played = tuple(map(Played.from_json, kept["runs"]))
    except (KeyError, TypeError, ValueError) as error:
        why = f"{type(error).__name__}: {error}"
        raise BadFileError(f"{file}: expected a baseline, found what is none: {why}") from None
    if not played:
        raise BadFileError(f"{file}: expected a baseline with at least 1 run, found 0")
    return str(kept.get("name", file.stem)), played


def _content(file: Path) -> dict[str, Any]:
    try:
        kept = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    if not isinstance(kept, dict) or kept.get("version") != VERSION:
        found = kept.get("version") if isinstance(kept, dict) else kept
        raise BadFileError(f"{file}: expected a baseline of version {VERSION}, found {found!r}")
    return kept


def names(runs: Path) -> list[str]:
    """Return the names of all baselines, in order."""
    return sorted(file.stem for file in (runs / FOLDER).glob("*.json"))


def listed(runs: Path) -> list[dict[str, Any]]:
    """Describe all baselines; one that cannot be read says why (`error`)."""
    found: list[dict[str, Any]] = []
    for name in names(runs):
        file = runs / FOLDER / f"{name}.json"
        one: dict[str, Any] = {"name": name, "file": str(file)}
        try:
            _, played = read(file)
            saved = str(_content(file).get("saved", ""))
        except BadFileError as error:
            found.append(one | {"error": str(error)})
            continue
        rows = len({(row.phase, row.name) for run in played for row in run.rows})
        more = {"saved": saved, "scenario": played[0].scenario, "runs": len(played), "rows": rows}
        found.append(one | more)
    return found


def remove(runs: Path, name: str) -> Path:
    """Remove a baseline; return the file that it was. Raises UsageError where there is none."""
    file = file_of(runs, name)
    try:
        file.unlink()
    except FileNotFoundError:
        raise UsageError(f"baseline: {one_of(name, names(runs))}") from None
    except OSError as error:
        raise StorageError(f"{file}: cannot be removed: {error.strerror}") from error
    return file
