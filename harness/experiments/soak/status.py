"""How a soak stands, read from the small files of its folder."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from harness.checks.verdict import Answer, Verdict
from harness.errors import BadFileError
from harness.experiments.soak import verdict as verdicts
from harness.experiments.soak.folder import VERDICT, SoakFolder

SLOPES = 3
VERSION = 1


def answers_of(folder: SoakFolder) -> dict[int, Answer]:
    """Return the answer of each window that was judged."""
    found = {}
    for one in folder.windows():
        with suppress(BadFileError, ValueError):
            if (said := folder.summary(one.number)) is not None:
                found[one.number] = Answer(said["answer"])
    return found


def so_far(folder: SoakFolder) -> tuple[Answer | None, list[str]]:
    """Return the worst answer of what was judged, and the steepest slopes; None: nothing was yet.

    Raises BadFileError.
    """
    file = folder.path / VERDICT
    if not file.is_file():
        return None, []
    try:
        said = json.loads(file.read_text())
        slopes = [one["says"] for one in said["soak"]["slopes"][:SLOPES]]
        whole = verdicts.read(said)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadFileError(f"{file}: {error}") from None
    found = tuple(one for one in whole.findings if one.name != verdicts.WINDOWS)
    return Verdict(findings=found).answer, slopes


def news(folder: SoakFolder, number: int) -> dict[str, Any]:
    """Return what there is to say of a window that has just been judged (docs/interfaces.md)."""
    window = next(one for one in folder.windows() if one.number == number)
    said: dict[str, Any] = {}
    answer: Answer | None = None
    slopes: list[str] = []
    whole: dict[str, Any] = {}
    with suppress(BadFileError, OSError, ValueError):
        said = folder.summary(number) or {}
        answer, slopes = so_far(folder)
        whole = json.loads((folder.path / VERDICT).read_text()).get("soak", {})
    rows: list[dict[str, Any]] = whole.get("windows", [])
    row: dict[str, Any] = next((one for one in rows if one["number"] == number), {})
    return {
        "version": VERSION,
        "window": number,
        "windows": len(folder.asked.lengths_s),
        "seconds": window.seconds,
        "stage": str(window.stage),
        "answer": said.get("answer"),
        "counts": said.get("counts", {}),
        "faults": said.get("faults", []),
        "pause_s": row.get("pause_s"),
        "problem": window.problem or window.not_judged,
        "so_far": None if answer is None else str(answer),
        "slopes": slopes,
        "bytes": whole.get("cost", {}).get("bytes"),
    }
