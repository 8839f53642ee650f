"""``replay``: a run once more, as it was executed, and with one thing changed; ``bundle``: a run as
one file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

import harness
from harness.cli.dry_run import refused
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    print_json,
    run_argument,
    runs_option,
    runtime_option,
    system_option,
)
from harness.errors import UnavailableError, UsageError
from harness.experiments import beforehand, foreign, fork
from harness.experiments import bundle as packing
from harness.experiments.replay import BASE, Replayed, opened
from harness.reports import replay as reports
from harness.reports import text, timeline
from harness.reports.terminal import plain
from harness.runtimes import AUTO

VERSION = 1


def _help(function: click.Command) -> click.Command:
    """Add the list of changes to a command's help, as it stands."""
    listed = "\n\n".join(
        f"\b\n{change.words}\n    {change.sentence.replace('`', '')}" for change in fork.CHANGES
    )
    function.help = f"{function.help}\n\nWhat --fork may change:\n\n{listed}"
    return function


@_help
@click.command()
@run_argument
@cluster_option
@runtime_option
@system_option
@runs_option
@click.option(
    "--fork",
    "forks",
    multiple=True,
    metavar="CHANGE",
    help="Play it with one thing changed, beside the replay; again for another fork.",
)
@click.option("--no-base", is_flag=True, help="Play the forks only.")
@click.option(
    "--dry-run", is_flag=True, help="Show what would be played, faults by number; start nothing."
)
@json_option
def replay(
    run: Path,
    cluster: str,
    runtime: str,
    system: str | None,
    runs: Path,
    forks: tuple[str, ...],
    *,
    no_base: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Play RUN again as it was executed, also what was done by hand; judge it by its own budget,
    and say how near it came.

    RUN is a run folder, a folder of runs, whose latest is meant, or a file that `harness bundle`
    wrote: the default is $HARNESS_RUNS, else runs. The runtime is the run's own unless one is
    named. Exit code: the replay's verdict;
    with --fork, the worst of the forks'.
    """
    if no_base and not forks:
        raise UsageError("--no-base leaves the forks, and there is no --fork")
    if dry_run:
        _show(run, forks, system, cluster, runtime, as_json=as_json)
        return
    with shown(lines=True) as progress:
        replayed = harness.replay(
            run,
            cluster=cluster,
            runtime_name=runtime,
            system=system,
            runs=runs,
            forks=forks,
            base=not no_base,
            progress=progress,
        )
    _tell(replayed, as_json=as_json)
    sys.exit(replayed.exit_code)


def _tell(replayed: Replayed, *, as_json: bool) -> None:
    """Print verdicts, side by side where there are forks, and the fidelity."""
    if as_json:
        print_json(replayed.as_json())
        return
    console = text.console()
    forked = list(replayed.runs) != [BASE]
    for name, judged in replayed.runs.items():
        if forked:
            console.rule(plain(name), align="left", style="dim")
        console.print(judged.report())
        console.print()
    if forked:
        console.print(reports.side_by_side(*replayed.side_by_side()))
    if replayed.fidelity is not None:
        console.print(reports.fidelity(replayed.fidelity))


def _show(
    run: Path,
    forks: tuple[str, ...],
    system: str | None,
    cluster: str,
    runtime: str,
    *,
    as_json: bool,
) -> None:
    """Print the timeline that would be played, of the run and of each fork, and why it would not
    be, as far as that is seen without running anything.
    """
    with opened(run) as first:
        try:
            foreign.require_none(first, system, runtime)
            named = first.runtime if runtime == AUTO else runtime
            beforehand.require_programs([first.timeline], cluster=cluster, runtime_name=named)
        except (UsageError, UnavailableError) as error:
            refused(error)
        every = {BASE: first} | {change: fork.made(first, change) for change in forks}
    if as_json:
        timelines = {name: one.timeline.as_json() for name, one in every.items()}
        print_json({"version": VERSION, "timelines": timelines})
        return
    console = text.console()
    for name, one in every.items():
        if forks:
            console.rule(plain(name), align="left", style="dim")
        system = str(one.facts["adapter"])
        console.print(timeline.laid_out(one.scenario, one.timeline, system))


@click.command()
@run_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"Where to write it; default: NAME-TIME{packing.SUFFIX}, here.",
)
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also raw samples, journals and logs: it can be judged again.",
)
@json_option
def bundle(run: Path, output: Path | None, *, everything: bool, as_json: bool) -> None:
    """Write RUN as one file, which `harness replay FILE` plays on any machine.

    RUN is a run folder, or a folder of runs, whose latest is meant: the default is $HARNESS_RUNS,
    else runs.
    """
    made = packing.write(run, output, everything=everything)
    if as_json:
        print_json(made.as_json())
    else:
        left = f"; {made.left_out} left out (--all)" if made.left_out else ""
        click.echo(f"{made.path}: {made.files} files, {made.size_bytes:,} bytes{left}")
