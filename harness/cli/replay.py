"""``replay``: a run once more, as it was executed."""

from __future__ import annotations

from pathlib import Path

import click

import harness
from harness.cli import runs as runs_cli
from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    runs_option,
    runtime_option,
    system_option,
)


@click.command()
@click.argument(
    "run",
    type=click.Path(path_type=Path),
    envvar="HARNESS_RUNS",
    default=Path("runs"),
    shell_complete=words.runs,
)
@cluster_option
@runtime_option
@system_option
@runs_option
@json_option
def replay(
    run: Path, cluster: str, runtime: str, system: str | None, runs: Path, *, as_json: bool
) -> None:
    """Play RUN again as it was executed, also what was done by hand, and judge it by its budget.

    RUN is a run folder, or a folder of runs, whose latest is meant: the default is $HARNESS_RUNS,
    else runs. The runtime is the run's own unless one is named.
    """
    with shown(lines=True) as progress:
        judged = harness.replay(
            run,
            cluster=cluster,
            runtime_name=runtime,
            system=system,
            runs=runs,
            progress=progress,
        )
    runs_cli.tell(judged, as_json=as_json)
