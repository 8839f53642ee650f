"""``capabilities``, ``doctor`` and ``machine``: what this host can do, and what was left on it."""

from __future__ import annotations

import sys
from pathlib import Path

import click
from rich.text import Text

from harness.cli import words
from harness.cli.shared import json_option, print_json
from harness.control import state
from harness.reports.terminal import Plain, Terminal


@click.command()
@json_option
def capabilities(*, as_json: bool) -> None:
    """What this kernel and user can do, found by trying; which programs are here, what each is
    for, and how to get it.
    """
    from harness.host import capabilities as probing

    found = probing.probe()
    if as_json:
        click.echo(found.as_json())
        return
    table = Plain()
    for column in ("capability", "here", "detail", "needed for"):
        table.add_column(column, overflow="fold")
    for one in found.capabilities:
        table.add_row(
            one.name,
            Text("yes", "green") if one.available else Text("no", "yellow"),
            one.detail if one.available else f"{one.detail}. To get it: {one.get}",
            one.needed_for,
        )
    Terminal().print(table)
    click.echo(
        "faults here: "
        + ", ".join(
            f"{what} by {by}" if by != "none" else f"no {what}"
            for what, by in found.backends.items()
        )
    )


@click.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Remove what dead clusters and killed commands left behind; living ones are not touched."""
    from harness.control import cleanup, scratch

    removed, folders = cleanup.doctor(), scratch.sweep()
    living = [name for name in state.clusters() if state.is_alive(name)]
    if as_json:
        print_json({"version": 1, "removed": removed, "scratch": folders, "running": living})
        return
    for folder in folders:
        click.echo(f"{folder}: removed, of a command that was killed")
    for cluster, things in removed.items():
        click.echo(f"{cluster}: removed {', '.join(things)}")
    click.echo(f"{len(removed)} dead clusters removed; running: {', '.join(living) or 'none'}")


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    type=words.Number(min=0, min_open=True),
    help="Of this host's time: the machine's own goes slower.",
)
def machine(command: tuple[str, ...], timeout: float) -> None:
    """Run a command in a throw-away machine over this host's files: QEMU and a stock kernel, which
    has netem.

    harness machine -- sh -c 'tc qdisc add dev lo root netem delay 10ms; ping -c 3 127.0.0.1'
    """
    from harness.runtimes.machine import run as run_inside

    code, _ = run_inside(
        command,
        directory=Path.cwd(),
        timeout_s=timeout,
        progress=lambda what: click.echo(f"machine: {what}", err=True),
        heard=lambda text: click.echo(text, nl=False),
    )
    sys.exit(code)
