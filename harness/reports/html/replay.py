"""Of a replay: which run it is of, what was changed, and how near it came."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from harness.reports import replay
from harness.reports.html.elements import Column, escape, file_link, note, table

COLUMNS = (Column("part"), Column("of 1", is_number=True), Column("what"))
BUNDLE = ".tar.gz"
FILE = "fidelity.json"


def section(facts: Mapping[str, Any], run: str) -> str:
    """Tell of a replay; empty where a run is none. `run` is its folder."""
    said = facts.get("replay")
    if not said:
        return ""
    told = f"<p>A replay of {_original(said['of'], run)}.</p>"
    if said.get("fork"):
        changed = f"One thing was changed: {said['fork']}. So it is not compared with the original."
        return told + note(changed)
    found = facts.get("fidelity")
    unknown = f"How near it came is not known: its folder has no {FILE} that can be read."
    if found is None:
        return told + note(unknown)
    try:
        lines = replay.rows(found)
        whole = f"<p><b>Fidelity {escape(replay.whole(found))}</b></p>"
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):  # it is some file's
        return told + note(unknown)
    rows = (tuple(map(escape, line)) for line in lines)
    return f"{told}{whole}{table(COLUMNS, rows, 'fidelity')}<p class=foot>{file_link(FILE)}</p>"


def _original(of: Mapping[str, Any], run: str) -> str:
    """Name the run that was replayed, and lead to its report, or to the bundle that it came in."""
    path = str(of["run"])
    page = path if path.endswith(BUNDLE) else os.path.join(path, "report.html")
    started = str(of.get("started", ""))[:16].replace("T", " ")
    named = f"{of.get('name', '')} of {started} UTC" if started else str(of.get("name", ""))
    href = quote(os.path.relpath(page, run))
    return f'<a href="{escape(href)}">{escape(named)}</a> <span class=soft>({escape(path)})</span>'
