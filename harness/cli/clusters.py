"""``clusters``: all clusters of this user, the dead ones too."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import click

from harness import runtimes
from harness.cli.shared import json_option, print_json
from harness.control import state
from harness.control.client import Client
from harness.errors import HarnessError
from harness.reports.terminal import Plain, Terminal

ANSWER_S = 5.0  # for which a supervisor is waited
KEPT = ("runtime", "topology", "system", "up_since", "run", "phase", "pid")


@click.command()
@json_option
def clusters(*, as_json: bool) -> None:
    """Show all clusters of this user: nodes, runtime, since when, the run under way, the faults
    in force. A dead one is what a killed supervisor left.
    """
    names = sorted({*state.clusters(), *runtimes.orphans(state.root())})
    found = [_row(name) for name in names]
    if as_json:
        print_json({"version": 1, "clusters": found})
        return
    table = Plain()
    for column in ("name", "state", "nodes", "runtime", "up since", "run", "faults"):
        table.add_column(column, overflow="fold")
    for row in found:
        table.add_row(
            row["name"],
            row["stage"],
            "–" if row["nodes"] is None else f"{row['nodes']:,}",
            row["runtime"] or "–",
            _local(row["up_since"]),
            f"{row['run']} ({row['phase'] or 'no phase yet'})" if row["run"] else "–",
            ", ".join(row["faults"]) or "–",
        )
    if found:
        Terminal().print(table)
    dead = sum(row["stage"] == "dead" for row in found)
    lives = len(found) - dead
    click.echo(
        f"{lives} cluster{' lives' if lives == 1 else 's live'} in {state.root()}"
        + (f"; {dead} dead: `harness doctor` removes what they left" if dead else "")
    )


def _row(name: str) -> dict[str, Any]:
    """What is known of a cluster; its stage is also `dead`, or `silent`: it lives, and does not
    answer.
    """
    row: dict[str, Any] = {"name": name, "stage": "dead", "nodes": None, "faults": []}
    row |= dict.fromkeys(KEPT)
    if not state.is_alive(name):
        return row
    try:
        with Client.connect(name, timeout_s=ANSWER_S) as client:
            status = client.status()
    except HarnessError:
        return row | {"stage": "silent" if state.is_alive(name) else "dead"}
    kept = {key: status.get(key) for key in KEPT}
    faults = status.get("faults", [])
    return row | kept | {"stage": status["stage"], "nodes": len(status["nodes"]), "faults": faults}


def _local(since: str | None) -> str:
    """The time of day here, with its date."""
    if since is None:
        return "–"
    return datetime.fromisoformat(since).astimezone().strftime("%Y-%m-%d %H:%M:%S")
