"""``shrink``: the smallest scenario that still fails."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import cluster_option, json_option, print_json, runs_option
from harness.errors import BadFileError, UsageError
from harness.topology import quantities

CORES = 2  # that a cluster under load wants
JOBS_MOST = 4  # unless more are asked for: each has all the memory of a cluster


@click.command()
@click.argument("run", type=click.Path(path_type=Path), shell_complete=words.runs)
@click.option(
    "--finding", metavar="NAME", help="What has to fail again; default: any finding that is FAIL."
)
@click.option(
    "--for",
    "for_",
    metavar="TIME",
    default="15m",
    show_default=True,
    help="How long all runs together may take.",
)
@click.option(
    "--tries", metavar="N", type=click.IntRange(1), help="At most so many runs; default: any."
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 64),
    default=lambda: min(max(len(os.sched_getaffinity(0)) // CORES, 1), JOBS_MOST),
    show_default=f"one for each {CORES} cores, at most {JOBS_MOST}",
    help="Candidates side by side, each on a cluster of its own.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the smallest scenario there too (.toml), with topology and budget beside it, once "
    "the search has begun.",
)
@cluster_option
@runs_option
@json_option
def shrink(
    run: Path,
    finding: str | None,
    for_: str,
    tries: int | None,
    jobs: int,
    out: Path | None,
    cluster: str,
    runs: Path,
    *,
    as_json: bool,
) -> None:
    """Make the scenario of RUN, the folder or bundle of a run with a FAIL, as small as it can be
    while it still fails, by real runs on the same runtime.

    Exit code: 0 the smallest was found and fails by its own file, 2 that is not known; 130
    interrupted, with the smallest so far.
    """
    from harness.experiments.shrink import shrink as shrunk

    try:
        for_s = quantities.time_ms(for_) / 1e3
    except BadFileError as error:
        raise UsageError(f"--for: {error}") from None
    with shown() as progress:
        found = shrunk(
            run,
            finding,
            cluster=cluster,
            runs=runs,
            for_s=for_s,
            tries=tries,
            jobs=jobs,
            out=out,
            progress=progress,
            told=lambda sentence: click.echo(f"harness: {sentence}", err=True),
        )
    if as_json:
        print_json(found.facts())
    else:
        facts = found.facts()
        for what, some in (("left out", facts["dropped"]), ("changed", facts["changed"])):
            for one in some:
                click.echo(f"{what:<10}{one}")
        click.echo(found.sentence())
        if found.file is not None:
            click.echo(found.file)
    sys.exit(found.exit_code)
