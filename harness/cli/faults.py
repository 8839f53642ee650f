"""``harness fault``: make a running cluster's network bad, see what is wrong with it, heal it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from harness.cli.shared import F, Group, cluster_option, json_option, print_json
from harness.control.client import Client
from harness.errors import BadFileError, UsageError
from harness.faults.partitions import PATTERNS
from harness.topology import quantities
from harness.topology.impairment import HALF_OPEN, WORDS


def _impairments(function: F) -> F:
    """An option for each word of asked.py."""
    for word, what in reversed(WORDS.items()):
        function = click.option(
            f"--{word}", metavar=what.example, help=f"{what.sentence} ({what.example})."
        )(function)
    return function


def _common(function: Callable[..., Any]) -> Callable[..., Any]:
    for option in (
        json_option,
        cluster_option,
        click.option("--name", help="What it is called, for `clear`; default: its words."),
        click.option("--for", "for_", metavar="20s", help="Take it back after so long."),
        click.option(
            "--part", metavar="30%", help="Only on a seeded share of these paths (a gray failure)."
        ),
        click.option(
            "--half-open",
            type=click.Choice(list(HALF_OPEN)),
            is_flag=False,
            flag_value="new",
            help="new (also without a word): connections that exist go on, nothing new is "
            "made. established: these are cut, new ones pass.",
        ),
    ):
        function = option(function)
    return function


@click.group(cls=Group)
def fault() -> None:
    """Make the network of a running cluster bad, while load runs. Faults fold: delays add, losses
    compound, the narrower rate wins.
    """


@fault.command(name="set")
@click.argument("where")
@_impairments
@click.option(
    "--toxic",
    multiple=True,
    metavar="'latency latency=100'",
    help="A stream fault by Toxiproxy, with its attributes; may be repeated.",
)
@click.option("--up", metavar="10mbit", help="Rate of what nodes send.")
@click.option("--down", metavar="10mbit", help="Rate of what nodes receive.")
@_common
def set_(where: str, cluster: str, *, as_json: bool, for_: str | None, **given: Any) -> None:
    """Impair WHERE: a node, region:NAME, all, or paths 'A -> B' (one way) and 'A <-> B'.

    harness fault set 'region:eu -> region:us' --delay 80ms --jitter 10ms --loss 1%
    """
    _ask({"where": where, **given}, cluster, for_, as_json=as_json)


@fault.command(
    epilog="Patterns: "
    + "; ".join(
        f"{name} {what.words}: {what.sentence}".replace(" :", ":")
        for name, what in PATTERNS.items()
    )
)
@click.argument("pattern", type=click.Choice(list(PATTERNS)))
@click.argument("of", nargs=-1)
@click.option("--one-way", is_flag=True, help="Only what the earlier node of each pair sends.")
@_impairments
@_common
def cut(
    pattern: str,
    of: tuple[str, ...],
    cluster: str,
    *,
    as_json: bool,
    for_: str | None,
    **given: Any,
) -> None:
    """Cut the network by PATTERN; with impairments (--loss 30%) its paths are impaired instead of
    cut.
    """
    _ask({"cut": pattern, "of": list(of), **given}, cluster, for_, as_json=as_json)


@fault.command(name="list")
@cluster_option
@json_option
def list_(cluster: str, *, as_json: bool) -> None:
    """Show the faults in force, and whether the kernel has what was asked."""
    with Client.connect(cluster) as client:
        found = client.call("fault-list", {})
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "does", "paths", "up", "down"):
        table.add_column(column, overflow="fold")
    for row in found["faults"]:
        rates = [
            ", ".join(sorted({f"{rate / 1e6:g} Mbit/s" for rate in row[direction].values()}))
            for direction in ("up", "down")
        ]
        table.add_row(row["name"], row["does"], f"{row['paths']:,}", *rates)
    Console().print(table)
    for injector, why in found["disagree"].items():
        click.echo(f"{injector} is not what was asked: {why}", err=True)
    click.echo(
        f"{len(found['faults'])} faults in force; "
        + (
            ", ".join(f"{what} by {by}" for what, by in found["backends"].items())
            or "nothing was ever set"
        )
    )


@fault.command()
@click.argument("name", required=False)
@cluster_option
def clear(name: str | None, cluster: str) -> None:
    """Take the fault NAME back, or all of them."""
    with Client.connect(cluster) as client:
        cleared = client.call("fault-clear", {"name": name})["cleared"]
    click.echo(f"cleared: {', '.join(cleared) or 'there was no fault'}")


def _ask(given: dict[str, Any], cluster: str, for_: str | None, *, as_json: bool) -> None:
    words = {key: value for key, value in given.items() if value not in (None, False, [], ())}
    try:
        seconds = None if for_ is None else quantities.time_ms(for_) / 1e3
    except BadFileError as error:
        raise UsageError(f"--for: {error}") from None
    with Client.connect(cluster) as client:
        done = client.call("fault-set", {"words": words, "for_s": seconds})
    if as_json:
        print_json({"version": 1, **done})
    else:
        where = (
            f"{done['paths']:,} paths" if done["paths"] else f"the links of {done['nodes']:,} nodes"
        )
        click.echo(
            f"{done['name']}: {done['does']} on {where}, in force after {done['took_ms']:.1f} ms"
            + (f", for {for_}" if for_ else "")
        )
