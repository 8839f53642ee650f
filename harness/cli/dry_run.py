"""``run --dry-run``: what would be played, as a table."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import print_json
from harness.experiments.dry_run import compiled
from harness.reports import text, timeline

VERSION = 1


def tell(scenario: Path, system: str | None, *, as_json: bool) -> None:
    """Print what a run of a scenario or a suite would play."""
    found = compiled(scenario, system)
    if as_json:
        print_json({"version": VERSION, "scenarios": [one.as_json() for one in found]})
        return
    for one in found:
        click.echo(text.to_text(timeline.laid_out(one.planned, one.played)))
    click.echo("Nothing was started: without --dry-run it is played.")
