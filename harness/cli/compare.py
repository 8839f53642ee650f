"""``compare`` and ``baseline``: whether what runs measure has changed, and what they are held
against.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import json_option, print_json, runs_option
from harness.errors import StorageError, UsageError
from harness.reports.terminal import Plain, visible
from harness.scenario import shipped

# How often false alarms may be, and from which change on what is said, in %.
SAID, WARNED, FAILED, FALSE_ALARMS = 5.0, 10.0, 20.0, 1.0
# What a shell is offered; harness/experiments/agreement.py is what knows, and a test compares.
PARTS = (
    *("host", "kernel", "runtime", "backend", "versions", "system"),
    *("options", "topology", "scenario", "load", "others"),
)
FORMATS = ("text", "json", "markdown", "html")


def sides(ctx: click.Context, param: click.Parameter, incomplete: str) -> words.Items:
    """Offer baselines and run folders; where none begins so, the shell's own folders, which would
    take the place of all others.
    """
    kept, found = names(ctx, param, incomplete), words.runs(ctx, param, incomplete)
    return [*kept, *(one for one in found if one.type == "plain")] or found


def names(ctx: click.Context, _: click.Parameter, incomplete: str) -> words.Items:
    """Offer baselines."""
    return [CompletionItem(name) for name in _names(ctx) if name.startswith(incomplete)]


def _names(ctx: click.Context) -> list[str]:
    runs = ctx.params.get("runs") or os.environ.get("HARNESS_RUNS") or "runs"
    return sorted(file.stem for file in (Path(runs) / "baselines").glob("*.json"))


as_judged_option = click.option(
    "--as-judged",
    is_flag=True,
    help="Believe each run's verdict.json, of which all else may be gone; else judge it anew.",
)


@click.command()
@click.argument("base", shell_complete=sides)
@click.argument("head", shell_complete=sides)
@runs_option
@click.option(
    "--budget",
    shell_complete=words.files("budgets"),
    help="Compare the rows of another budget: a file, or the name of a shipped one.",
)
@click.option("--scenario", help="Of folders with runs of several: whose runs are meant.")
@as_judged_option
@click.option(
    "--row", "rows", multiple=True, metavar="PATTERN", help="Only rows of such names ('*p50*')."
)
@click.option(
    "--despite",
    multiple=True,
    type=words.Choice(list(PARTS)),
    help="What the sides may differ in; the answer says so.",
)
@click.option("--said", type=words.Number(0.1, 1000), default=SAID, show_default=True, help="In %.")
@click.option("--warned", type=words.Number(0.1, 1000), default=WARNED, show_default=True)
@click.option(
    "--failed",
    type=words.Number(0.1, 1000),
    default=FAILED,
    show_default=True,
    help="In %: a row that got worse by more is FAIL.",
)
@click.option(
    "--false-alarms",
    type=words.Number(0.01, 50),
    default=FALSE_ALARMS,
    show_default=True,
    help="In %: of comparisons without a change, how many may say that any row changed.",
)
@click.option(
    "--format",
    "format_",
    type=words.Choice(list(FORMATS)),
    show_default="text",
    help="How to tell it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there instead of to standard output.",
)
@json_option
def compare(
    base: str,
    head: str,
    runs: Path,
    budget: str | None,
    scenario: str | None,
    as_judged: bool,
    rows: tuple[str, ...],
    despite: tuple[str, ...],
    said: float,
    warned: float,
    failed: float,
    false_alarms: float,
    format_: str | None,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Compare what the runs of HEAD measured with those of BASE, row by row.

    Each is a run folder, a folder of runs, a baseline's name, or its file. Several runs a side are
    wanted: how runs differ from one another is what a change is held against (docs/compare.md).

    Exit code: 0 nothing got worse by more than --failed, 1 something did, 2 it is not known.
    """
    from harness.checks.changes import Thresholds
    from harness.experiments.compare import compare as compared

    if as_json and format_ not in (None, "json"):
        raise UsageError(f"--json is --format json: expected no --format {format_} beside it")
    thresholds = Thresholds(
        said=said / 100,
        warned=warned / 100,
        failed=failed / 100,
        false_alarms=false_alarms / 100,
    )
    with shown() as progress:
        found = compared(
            base,
            head,
            runs=runs,
            budget=shipped.find(budget, "budgets") if budget else None,
            scenario=scenario,
            rows=rows,
            despite=despite,
            as_judged=as_judged,
            thresholds=thresholds,
            progress=progress,
        )
    _tell(found.as_json(), "json" if as_json else format_ or "text", output)
    sys.exit(found.answer.exit_code)


def _tell(facts: dict[str, Any], format_: str, output: Path | None) -> None:
    from harness.reports import comparison, text

    if format_ == "text" and output is None:
        text.console().print(comparison.render(facts))
        return
    if format_ == "json" and output is None:
        print_json(facts)
        return
    told = comparison.rendered(facts, format_)
    if output is None:
        click.echo(told, nl=False)
        return
    try:
        output.write_text(told)
    except OSError as error:
        raise StorageError(f"{output}: cannot be written: {error.strerror}") from error


@click.group(cls=words.Group)
def baseline() -> None:
    """Keep what runs measured under a name, for `harness compare NAME HEAD`."""


@baseline.command("save")
@click.argument("name", shell_complete=names)
@click.argument("folders", metavar="RUN...", nargs=-1, required=True, shell_complete=words.runs)
@runs_option
@click.option(
    "--budget",
    shell_complete=words.files("budgets"),
    help="Keep the rows of another budget: a file, or the name of a shipped one.",
)
@click.option("--scenario", help="Of folders with runs of several: whose runs are meant.")
@as_judged_option
@click.option("--replace", is_flag=True, help="Where there is one of this name.")
@json_option
def save(
    name: str,
    folders: tuple[str, ...],
    runs: Path,
    budget: str | None,
    scenario: str | None,
    as_judged: bool,
    *,
    replace: bool,
    as_json: bool,
) -> None:
    """Keep what these run folders, or folders of runs, measured; the folders may go then."""
    from harness.experiments import baseline as kept
    from harness.experiments.compare import gathered

    kept.free(runs, name, replace=replace)
    with shown() as progress:
        played = gathered(
            folders,
            runs=runs,
            budget=shipped.find(budget, "budgets") if budget else None,
            scenario=scenario,
            as_judged=as_judged,
            progress=progress,
        )
    file = kept.save(runs, name, played, replace=replace)
    if as_json:
        print_json({"version": kept.VERSION, "name": name, "file": str(file), "runs": len(played)})
    else:
        click.echo(visible(f"{name}: {len(played)} runs of {played[0].scenario} ({file})"))


@baseline.command("list")
@runs_option
@json_option
def list_(runs: Path, *, as_json: bool) -> None:
    """List what is kept."""
    from harness.experiments import baseline as kept
    from harness.reports import text

    found = kept.listed(runs)
    if as_json:
        print_json({"version": kept.VERSION, "baselines": found})
        return
    if not found:
        click.echo(visible(f"no baselines in {runs}"))
        return
    table = Plain(header_style="bold")
    for head in ("baseline", "scenario", "runs", "rows", "saved"):
        table.add_column(head)
    for one in found:
        told = [str(one.get(key, "–")) for key in ("scenario", "runs", "rows", "saved")]
        table.add_row(one["name"], *([one["error"], "", "", ""] if "error" in one else told))
    text.console().print(table)


@baseline.command("remove")
@click.argument("name", shell_complete=names)
@runs_option
@json_option
def remove(name: str, runs: Path, *, as_json: bool) -> None:
    """Remove one."""
    from harness.experiments import baseline as kept

    file = kept.remove(runs, name)
    if as_json:
        print_json({"version": kept.VERSION, "removed": name, "file": str(file)})
    else:
        click.echo(visible(f"removed {name} ({file})"))
