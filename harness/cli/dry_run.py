"""``run --dry-run``: what would be played, as a table."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import print_json
from harness.errors import HarnessError, UnavailableError
from harness.experiments import beforehand
from harness.experiments.dry_run import compiled
from harness.reports import text, timeline
from harness.reports.terminal import visible
from harness.systems import adapters

VERSION = 1


def tell(scenario: Path, system: str | None, cluster: str, runtime: str, *, as_json: bool) -> None:
    """Print what a run of a scenario or a suite would play, and why it would not be played here, as
    far as that is seen without starting anything.
    """
    found = compiled(scenario, system)
    try:
        played = [one.played for one in found]
        beforehand.require_programs(played, cluster=cluster, runtime_name=runtime)
    except UnavailableError as error:
        refused(error)
    if as_json:
        print_json({"version": VERSION, "scenarios": [one.as_json() for one in found]})
        return
    for one in found:
        system = adapters.shown(one.planned.topology.adapter)
        click.echo(text.to_text(timeline.laid_out(one.planned, one.played, system)))
        if adapters.is_foreign(system):
            click.echo(f"{visible(system)} was not looked at: it is Python of your own.")
        for said in one.left_out():
            click.echo(f"Not asked: {visible(said)}.")
    click.echo("Nothing was started: without --dry-run it is played.")


def refused(error: HarnessError) -> None:
    """Say beside what would be played why it would not be."""
    click.echo(f"harness: it would be refused: {visible(str(error))}", err=True)
