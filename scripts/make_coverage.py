"""Writes docs/coverage.md: every row of every shipped budget, where it is measured, what it
promises, and what the last runs said.

``python scripts/make_coverage.py [RUNS]`` reads the run folders below RUNS (default: runs). A unit
test holds that no row is missing.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from harness.checks.rows import promised
from harness.scenario import files
from harness.scenario.budget import Row

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs" / "coverage.md"
BUDGETS = ("meshara", "opendht", "serf", "libp2p", "nats", "redis", "micro", "project")
MEASURED_BY = {
    "opendht": "`harness run opendht`",
    "serf": "`harness run serf`",
    "libp2p": "`harness run libp2p`",
    "nats": "`harness run nats`",
    "redis": "`harness run redis`",
    "micro": "`make bench-micro`",
    "project": "`make bench-project`",
}
# Causes that say nothing of the system.
HOSTS = ("host limited", "load not delivered", "generator fell behind")
NOT_YET = "not measured yet: **UNKNOWN**"
HEAD = """# Coverage

Every row of the tables: where it is measured, what is promised, and what the last run on each
runtime said. A row that was not measured again keeps what was said before. This page is generated
(`python scripts/make_coverage.py`) from the budgets and the run folders; nothing in it is written
by hand.
"""


def last_runs(
    runs: Path, scenario: str
) -> dict[str, tuple[str, dict[tuple[str, str], dict[str, Any]]]]:
    """Runtime → (day, (row, phase) → finding) of the newest judged run of a scenario on each."""
    found = {}
    for run in sorted((runs / scenario).glob("2*/")):
        try:
            verdict, facts = (
                json.loads((run / "verdict.json").read_text()),
                json.loads((run / "metadata.json").read_text()),
            )
        except (OSError, ValueError):
            continue
        rows = {(finding["name"], finding["phase"]): finding for finding in verdict["findings"]}
        found[facts["runtime"]["name"]] = (facts["started"][:10], rows)
    return found


def said_before(page: str) -> dict[str, str]:
    """What an earlier page says was last measured, by the rest of the line: of what these run
    folders do not have, it stays.
    """
    return {
        before: last
        for text in page.splitlines()
        if text.startswith("| ")
        for before, _, last in [text.removesuffix(" |").rpartition(" | ")]
    }


def line(
    row: Row,
    where: str,
    runs: dict[str, tuple[str, dict[tuple[str, str], dict[str, Any]]]],
    earlier: dict[str, str],
) -> str:
    """One line of the table. What a host could not show takes nothing back of what an earlier run
    showed.
    """
    stretch = f" (stretch {row.stretch:,g})" if row.stretch is not None else ""
    head = f"| {row.name} | {where} | {promised(row)}{stretch}"
    before = dict(
        said.split(": ", 1)
        for said in earlier.get(head, "").split("<br>")
        if ": " in said and said != NOT_YET
    )
    said = []
    for runtime in sorted({*before, *runs}):
        day, rows = runs.get(runtime, ("", {}))
        finding = rows.get((row.name, row.conditions.phase))
        if finding is None:
            said += [f"{runtime}: {before[runtime]}"] if runtime in before else []
            continue
        why = f" ({finding['cause']})" if finding.get("cause") else ""
        now, known = (
            f"{finding['measured']}, **{finding['answer']}**{why}, {day}",
            before.get(runtime, "").partition("; later on another host: ")[0],
        )
        of_the_host = finding.get("cause") in HOSTS and known and "**UNKNOWN**" not in known
        said.append(
            f"{runtime}: {known}; later on another host: {now}"
            if of_the_host
            else f"{runtime}: {now}"
        )
    return f"{head} | {'<br>'.join(said) or earlier.get(head, NOT_YET)} |\n"


def page(runs: Path) -> str:
    """The whole page."""
    text, earlier = HEAD, said_before(TARGET.read_text() if TARGET.exists() else "")
    for name in BUDGETS:
        budget = files.read_budget(ROOT / "budgets" / f"{name}.toml")
        text += (
            f"\n## budgets/{name}.toml\n\n| row | measured in | promised | last measured "
            "|\n|---|---|---|---|\n"
        )
        cache = {
            row.conditions.scenario or name: last_runs(runs, row.conditions.scenario or name)
            for row in budget.rows
        }
        for row in budget.rows:
            scenario = row.conditions.scenario
            where = f"{scenario}, phase {row.conditions.phase}" if scenario else MEASURED_BY[name]
            text += line(row, where, cache[scenario or name], earlier)
    return text


if __name__ == "__main__":
    TARGET.write_text(page(Path(sys.argv[1] if len(sys.argv) > 1 else "runs")))
