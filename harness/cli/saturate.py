"""``saturate``: the highest rate, or number of nodes, at which a promise holds."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.checks.verdict import Answer
from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    print_json,
    runs_option,
    runtime_option,
    system_option,
    workers_option,
)
from harness.errors import InterruptedByUserError
from harness.reports.terminal import visible
from harness.scenario import shipped


@click.command()
@click.argument("scenario", shell_complete=words.files("scenarios"))
@click.option("--stream", required=True, metavar="OPERATION", help="Whose rate is searched.")
@click.option(
    "--nodes",
    is_flag=True,
    help="Search the number of nodes, at the scenario's rates: each try has a cluster of its own.",
)
@click.option(
    "--until",
    required=True,
    metavar="PROMISE",
    help="What must hold: 'p99 < 50 ms', or 'private_message.burst p99 < 50 ms'.",
)
@cluster_option
@runtime_option
@system_option
@runs_option
@workers_option
@click.option(
    "--seconds",
    type=words.Number(1, 3600),
    default=8.0,
    show_default=True,
    help="How long a try lasts.",
)
@click.option(
    "--tries", type=click.IntRange(1, 100), default=14, show_default=True, help="At most so many."
)
@click.option(
    "--repeats",
    type=click.IntRange(1, 20),
    default=3,
    show_default=True,
    help="How often the highest rate must hold.",
)
@json_option
def saturate(
    scenario: str,
    stream: str,
    nodes: bool,
    until: str,
    cluster: str,
    runtime: str,
    system: str | None,
    runs: Path,
    workers: int,
    seconds: float,
    tries: int,
    repeats: int,
    *,
    as_json: bool,
) -> None:
    """Search for the highest rate of a stream of SCENARIO at which a promise holds, by short runs
    on one cluster; with --nodes for the highest number of nodes.

    Exit code: 0 one held, 1 none did, 2 it is not known; 130 interrupted, with what is known.
    """
    from harness.experiments.saturate import PAGE
    from harness.experiments.saturate import saturate as searched
    from harness.reports.saturation import sentence, told

    with shown() as progress:
        folder, found = searched(
            shipped.find(scenario, "scenarios"),
            stream,
            until,
            cluster=cluster,
            runtime_name=runtime,
            runs=runs,
            workers=workers,
            system=system,
            seconds=seconds,
            tries=tries,
            repeats=repeats,
            nodes=nodes,
            progress=progress,
        )
    if as_json:
        print_json(found)
    else:
        for one in found["tries"]:
            click.echo(visible(f"{told(found, one):>14}  {one['answer']:<8}{one['why']}"))
        click.echo(visible(f"{found['answer']}: {sentence(found)}"))
        click.echo(f"{folder / PAGE}")
    if found["interrupted"]:
        sys.exit(InterruptedByUserError.exit_code)
    sys.exit(Answer(found["answer"]).exit_code)
