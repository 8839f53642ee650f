"""``history``: every verdict row of every run, what it did over time, and what got worse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli import words
from harness.cli.shared import json_option, print_json, runs_option
from harness.errors import StorageError, UsageError
from harness.history import store
from harness.history.database import Brought
from harness.kernel.files import replace_text

PAGE = "history.html"
GITHUB, SMALLER, BIGGER = (
    "github-action-benchmark",
    "customSmallerIsBetter",
    "customBiggerIsBetter",
)


@click.group(cls=words.Group, invoke_without_command=True)
@runs_option
@click.option("--scenario", shell_complete=words.files("scenarios"), help="Rows of this one alone.")
@click.option(
    "--last",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="How many of a row's newest runs are looked at.",
)
@click.option(
    "--least",
    type=words.Number(min=0),
    default=5.0,
    show_default=True,
    help="Call out what got worse by so many % or more.",
)
@click.option(
    "--false-alarms",
    type=words.Number(min=0, max=1),
    default=0.01,
    show_default=True,
    help="In what share of looks a row without a trend may seem to have one.",
)
@click.option(
    "--page",
    type=click.Path(path_type=Path, dir_okay=False),
    show_default=f"{PAGE} beside the runs; with --json: none",
    help="Where the page goes.",
)
@json_option
@click.pass_context
def history(
    context: click.Context,
    runs: Path,
    scenario: str | None,
    last: int,
    least: float,
    false_alarms: float,
    page: Path | None,
    *,
    as_json: bool,
) -> None:
    """Show every row of every judged run over time, and call out what got worse.

    Runs on other hosts, kernels, runtimes or of another load are never in one series. The rows
    outlive their run folders (`harness runs prune`).
    """
    context.obj = runs
    if context.invoked_subcommand is not None:
        return
    from harness.history import series as of

    with store.opened(runs, _say) as database:
        entries = [one for one in database.entries() if scenario in (None, one.scenario)]
    if scenario is not None and not entries:
        raise UsageError(f"--scenario: no run of {scenario!r} is in the history of {runs}")
    found = of.series(entries, last=last, false_alarms=false_alarms)
    share = least / 100
    if page is not None or not as_json:
        page = page or runs / PAGE
        _write(page, found, runs, false_alarms, share)
    if as_json:
        series = [of.as_json(one, share) for one in found]
        print_json({"version": 1, "runs": len(entries), "series": series})
        return
    from harness.reports import text, trend_table

    if found:
        text.console().print(trend_table.render(found, share))
    click.echo(f"{len(entries)} runs in {runs / 'history.db'}; page: {page}")


def _write(page: Path, found: Any, runs: Path, false_alarms: float, least: float) -> None:
    from harness.reports.html import trends

    try:
        replace_text(page, trends.render(found, str(runs.resolve()), false_alarms, least))
    except OSError as error:
        raise StorageError(f"{page}: cannot be written: {error.strerror}") from error


def _say(sentence: str) -> None:
    click.echo(f"harness: {sentence}", err=True)


@history.command()
@json_option
@click.pass_obj
def rebuild(runs: Path, *, as_json: bool) -> None:
    """Make the database anew, of the run folders and of what is kept of those that are gone."""
    _tell(store.rebuild(runs, _say), runs, as_json=as_json)


@history.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def merge(runs: Path, file: Path, *, as_json: bool) -> None:
    """Take another history in: a history.db, or what `harness history export` wrote.

    Of a run that both know, the newest judgement stands. So a history outlives the machines that
    run it.
    """
    runs.mkdir(parents=True, exist_ok=True)
    _tell(store.merge(runs, file, _say), runs, as_json=as_json)


def _tell(brought: Brought, runs: Path, *, as_json: bool) -> None:
    counts = {"added": brought.added, "replaced": brought.replaced, "same": brought.same}
    if as_json:
        print_json({"version": 1, **counts, "unread": list(brought.unread)})
        return
    said = ", ".join(f"{count} {how}" for how, count in counts.items() if count) or "none"
    unread = f"; {len(brought.unread)} could not be read" if brought.unread else ""
    click.echo(f"runs in {runs / 'history.db'}: {said}{unread}")


@history.command()
@click.option(
    "--format",
    "format_",
    type=words.Choice(["json", "csv", GITHUB]),
    show_default="json",
    help="json has all of it, and can be merged; csv a line a row of a run; "
    f"{GITHUB} the newest values, for that action.",
)
@click.option(
    "--tool",
    type=words.Choice([SMALLER, BIGGER]),
    show_default=SMALLER,
    help=f"Of {GITHUB}: which of its tools reads it, and so which rows.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there instead of to standard output.",
)
@json_option
@click.pass_obj
def export(
    runs: Path, format_: str | None, tool: str | None, output: Path | None, *, as_json: bool
) -> None:
    """Write the history for other programs."""
    if as_json and format_ not in (None, "json"):
        raise UsageError(f"--json is --format json: expected no --format {format_} beside it")
    if tool is not None and format_ != GITHUB:
        raise UsageError(f"--tool goes with --format {GITHUB}")
    from harness.reports import history_export

    with store.opened(runs, _say) as database:
        entries = database.entries()
    said = history_export.FORMATS[format_ or "json"](entries, tool or SMALLER)
    if output is None:
        click.echo(said, nl=False)
        return
    try:
        replace_text(output, said)
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error.strerror}") from error
