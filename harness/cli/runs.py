"""``run`` and ``judge``: play a scenario, and tell the verdict of a run folder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import harness
from harness.cli import dry_run as dry_run_cli
from harness.cli import follow as follow_cli
from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    print_json,
    run_argument,
    runs_option,
    runtime_option,
    system_option,
    workers_option,
)
from harness.errors import StorageError, UsageError
from harness.experiments import follow as follow_of
from harness.reports import FORMATS, text
from harness.scenario import shipped


@click.command()
@click.argument("scenario", shell_complete=words.files("scenarios"))
@cluster_option
@runtime_option
@system_option
@runs_option
@workers_option
@click.option(
    "--keep", is_flag=True, help="Leave the cluster up that this starts; else it ends with the run."
)
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print what would be played when, on which nodes and paths; start nothing.",
)
@json_option
def run(
    scenario: str,
    cluster: str,
    runtime: str,
    system: str | None,
    runs: Path,
    workers: int,
    *,
    keep: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Play SCENARIO (a file, or the name of a shipped one) and judge it; starts the cluster if none
    is up.
    """
    file = shipped.find(scenario, "scenarios")
    if dry_run:
        dry_run_cli.tell(file, system, cluster, runtime, as_json=as_json)
        return
    with shown(lines=True) as progress:
        judged = harness.run(
            file,
            cluster=cluster,
            runtime_name=runtime,
            runs=runs,
            workers=workers,
            system=system,
            keep=keep,
            progress=progress,
        )
    tell(judged, as_json=as_json)


@click.command()
@run_argument
@click.option(
    "--budget",
    shell_complete=words.files("budgets"),
    help="Judge by another budget: a file, or the name of a shipped one. Writes nothing.",
)
@click.option(
    "--format",
    "format_",
    type=words.Choice(["text", "json", *FORMATS]),
    show_default="text",
    help="How to tell it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there instead of to standard output.",
)
@click.option("--follow", is_flag=True, help="Judge a run while it is under way, look after look.")
@click.option(
    "--every",
    "every_s",
    type=words.Number(min=0.1),
    show_default=f"{follow_of.EVERY_S:g}",
    help="Seconds between two looks of --follow, at least.",
)
@json_option
def judge(
    run: Path,
    budget: str | None,
    format_: str | None,
    output: Path | None,
    *,
    follow: bool,
    every_s: float | None,
    as_json: bool,
) -> None:
    """Judge a run folder; the same verdict comes out anywhere, later.

    RUN may be a folder of runs too, whose latest is meant: the default is $HARNESS_RUNS, else runs.
    With --follow, --json prints a line a look; the last is the final verdict.
    """
    other = shipped.find(budget, "budgets") if budget else None
    if follow:
        if (format_, output) != (None, None):
            raise UsageError("--follow tells looks: neither --format nor --output goes with it")
        follow_cli.tell(run, other, every_s or follow_of.EVERY_S, as_json=as_json)
    if every_s is not None:
        raise UsageError("--every is between two looks of --follow, which is not there")
    if as_json and format_ not in (None, "json"):
        raise UsageError(f"--json is --format json: expected no --format {format_} beside it")
    judged = harness.judge(run, other)
    if format_ in (None, "text") and output is None:
        tell(judged, as_json=as_json)
    said = judged.rendered("json" if as_json else format_ or "text")
    if output is None:
        click.echo(said, nl=False)
    else:
        try:
            output.write_text(said)
        except OSError as error:
            raise StorageError(f"{output}: cannot be written: {error.strerror}") from error
    sys.exit(judged.exit_code)


def tell(judged: Any, *, as_json: bool) -> None:
    """Print a verdict and exit with its code."""
    if as_json:
        print_json(judged.as_json())
    else:
        text.console().print(judged.report())
    sys.exit(judged.exit_code)
