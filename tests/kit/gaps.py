"""What somebody takes out of a run folder, and what is judged of what is left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.checks.verdict import Answer
from harness.experiments import judge
from harness.history import manifest
from kit import alterations as alter


def answers(folder: Path, *, seal: bool = True) -> dict[str, tuple[Answer, str]]:
    """The answers by the findings' names, of a folder whose files are as they are meant to be."""
    if seal:
        manifest.write(folder)
    findings = judge.judge(folder, write=False).verdict.findings
    return {finding.name: (finding.answer, finding.sentence) for finding in findings}


def unknown(folder: Path, *, seal: bool = True) -> set[str]:
    """The findings that are UNKNOWN; none of them all is FAIL."""
    found = answers(folder, seal=seal)
    assert Answer.FAIL not in {answer for answer, _ in found.values()}
    return {name for name, (answer, _) in found.items() if answer is Answer.UNKNOWN}


def lines(folder: Path, name: str) -> list[dict[str, Any]]:
    """Read a file of JSON lines."""
    return alter.lines(folder / name)


def write_lines(folder: Path, name: str, said: list[dict[str, Any]]) -> None:
    """Write a file of JSON lines."""
    alter.write_lines(folder / name, said)


def rewrite(
    folder: Path, name: str, schema: pa.Schema, change: Callable[[pa.Table], pa.Table]
) -> None:
    """Change a table."""
    with pa.ipc.open_stream((folder / name).read_bytes()) as stream:
        table = change(stream.read_all())
    with pa.ipc.new_stream(str(folder / name), schema) as writer:
        writer.write_table(table.cast(schema))


def facts(folder: Path, **changes: Any) -> None:
    """Change what metadata.json says."""
    alter.facts(folder, lambda said: said.update(changes))


def happened(folder: Path, *more: Any) -> None:
    """Add events."""
    said = lines(folder, "events.jsonl") + [event.as_json() for event in more]
    write_lines(folder, "events.jsonl", sorted(said, key=lambda one: one["at_ns"]))
