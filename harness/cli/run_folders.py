"""``runs``: the run folders that there are, and those that may go."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from harness.cli import words
from harness.cli.shared import json_option, print_json, runs_option
from harness.errors import HarnessError, InterruptedByUserError, StorageError
from harness.history import pruning, run_folders
from harness.history.run_folders import RunFolder
from harness.reports.terminal import Plain, Terminal


@click.group(cls=words.Group)
@runs_option
@click.pass_context
def runs(context: click.Context, runs: Path) -> None:
    """List and prune run folders."""
    context.obj = runs


@runs.command(name="list")
@json_option
@click.pass_obj
def list_(root: Path, *, as_json: bool) -> None:
    """Show the run folders, the oldest first: verdict, age, size. A suite's parts are in it."""
    found = run_folders.listed(run_folders.require_root(root))
    if as_json:
        print_json({"version": 1, "runs": str(root), "folders": [_as_json(one) for one in found]})
        return
    table = Plain(padding=(0, 2, 0, 0))
    for name in ("folder", "kind", "verdict"):
        table.add_column(name, no_wrap=True)
    for name in ("age", "size"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("")
    for one in found:
        table.add_row(
            one.name,
            one.kind + (f" of {len(one.parts)}" if one.parts else ""),
            one.answer or "–",
            _age(one),
            _size(one.size_bytes),
            "latest" if one.is_latest else one.busy or "",
        )
    if found:
        Terminal().print(table)
    total = _size(sum(one.size_bytes for one in found))
    click.echo(f"{len(found)} run folders, {total}, in {root}")


@runs.command()
@click.option(
    "--keep", type=click.IntRange(0), default=30, show_default=True, help="How many newest stay."
)
@click.option(
    "--keep-failures",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many of the newest that are FAIL stay beside them.",
)
@click.option("--dry-run", is_flag=True, help="Say what would go; remove nothing.")
@json_option
@click.pass_obj
def prune(root: Path, keep: int, keep_failures: int, *, dry_run: bool, as_json: bool) -> None:
    """Remove the oldest run folders. The history keeps their rows.

    What is being written stays, and what `latest` points to.
    """
    root = run_folders.require_root(root)
    gone: list[RunFolder] = []
    failed: list[str] = []
    with pruning.alone(root):
        choices = pruning.choose(run_folders.listed(root), keep, keep_failures)
        going = [one.folder for one in choices if one.stays is None]
        try:
            if not dry_run:
                pruning.remove_leftovers(root)
                for one in going:
                    _remove(root, one, gone, failed, quiet=as_json)
        except KeyboardInterrupt:
            raise InterruptedByUserError(
                f"interrupted: {len(gone)} of {len(going)} folders went, the others are whole, but "
                "for what the next prune removes"
            ) from None
    _told(root, choices, going if dry_run else gone, failed, dry_run=dry_run, as_json=as_json)
    if failed:
        raise StorageError("; ".join(failed))


def _remove(
    root: Path, one: RunFolder, gone: list[RunFolder], failed: list[str], *, quiet: bool
) -> None:
    """Remove a folder; one that cannot be must not keep the others."""
    try:
        pruning.remove(root, one)
    except HarnessError as error:
        failed.append(str(error))
        return
    gone.append(one)
    if not quiet:
        click.echo(f"gone: {one.name} ({one.answer or 'no verdict'}, {_size(one.size_bytes)})")


def _told(
    root: Path,
    choices: list[pruning.Choice],
    gone: list[RunFolder],
    failed: list[str],
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    if as_json:
        stays = {one.folder.name: one.stays for one in choices if one.stays is not None}
        listed = [_as_json(one) for one in gone]
        said: dict[str, Any] = {"version": 1, "runs": str(root), "dry_run": dry_run}
        print_json({**said, "gone": listed, "stays": stays, "failed": failed})
        return
    if dry_run:
        for one in gone:
            click.echo(f"would go: {one.name} ({one.answer or 'no verdict'})")
    size = _size(sum(one.size_bytes for one in gone))
    verb = "would go" if dry_run else "went"
    click.echo(f"{len(gone)} of {len(choices)} run folders {verb}, {size}; in {root}")


def _as_json(one: RunFolder) -> dict[str, Any]:
    return {
        "folder": one.name,
        "kind": one.kind,
        "answer": one.answer,
        "age_s": round(time.time() - one.begun_s, 1),
        "size_bytes": one.size_bytes,
        "parts": list(one.parts),
        "is_latest": one.is_latest,
        "busy": one.busy,
    }


def _age(one: RunFolder) -> str:
    seconds = max(time.time() - one.begun_s, 0.0)
    for unit, of_s in (("d", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= of_s:
            return f"{seconds / of_s:,.0f} {unit}"
    return f"{seconds:.0f} s"


def _size(size_bytes: int) -> str:
    for unit, of in (("GB", 1e9), ("MB", 1e6)):
        if size_bytes >= of:
            return f"{size_bytes / of:,.1f} {unit}"
    return f"{size_bytes / 1e3:,.0f} KB"
