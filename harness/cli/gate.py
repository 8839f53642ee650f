"""``gate``: play what a release, or a night, has to meet."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    print_json,
    runs_option,
    runtime_option,
    workers_option,
)
from harness.scenario import shipped


@click.command()
@click.argument("gate", shell_complete=words.files("gates"))
@cluster_option
@runtime_option
@runs_option
@workers_option
@click.option(
    "--for",
    "for_s",
    type=words.Duration(),
    help="The time of the whole (8h, 5m): what takes longer than is left is skipped, and said.",
)
@json_option
def gate(
    gate: str,
    cluster: str,
    runtime: str,
    runs: Path,
    workers: int,
    for_s: float | None,
    *,
    as_json: bool,
) -> None:
    """Play what each criterion of GATE (a file, or the name of a shipped one) asks for, and say
    whether it is met.

    Exit code: 0 MET, 1 NOT MET, 2 PARTIAL (something was not played, or nobody could tell).
    """
    from harness.checks.gate import WORDS
    from harness.experiments import gate as gates

    file = shipped.find(gate, "gates")
    with shown(lines=True) as progress:
        judged = gates.run(
            file,
            cluster=cluster,
            runtime_name=runtime,
            runs=runs,
            workers=workers,
            for_s=for_s,
            progress=progress,
            told=lambda sentence: click.echo(f"harness: {sentence}", err=True),
        )
    if as_json:
        print_json({**judged.as_json(), "gate": WORDS[judged.verdict.answer]})
    else:
        click.echo((judged.run / gates.PAGE).read_text(), nl=False)
        click.echo(f"\n{judged.run}")
    sys.exit(judged.exit_code)
