"""``harness fault``: make a running cluster's network bad, see what is wrong with it, heal it."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click

from harness.cli import words
from harness.cli.shared import F, cluster_option, json_option, print_json
from harness.control.client import Client
from harness.errors import BadFileError, UsageError
from harness.faults.partitions import PATTERNS
from harness.faults.words import CONDITIONS, OF_NODES, STATES, WORDS, Word
from harness.kernel.proc import age_ns
from harness.reports.terminal import Plain, Terminal
from harness.scenario.tables import with_file
from harness.topology import quantities
from harness.topology.impairment import HALF_OPEN

# Words that are arguments of a command, or mean nothing by hand: a fault is set now.
NO_OPTIONS = ("where", "cut", "of", "at_s")
TIMES = {"for_s": "--for", "flap_s": "--flap"}  # by hand with a unit: 20s
CHOICES = {"condition": CONDITIONS, "state": STATES}
OF_CUTS = ("one_way",)
OF_SETS = ("up", "down", "toxic", "condition", "state", *OF_NODES)


def _option(name: str, word: Word) -> Callable[[F], F]:
    """The option of a word: its values are read where they are resolved, by the supervisor."""
    flag, text = f"--{name.replace('_', '-')}", f"{word.sentence}."
    text = text[0].upper() + text[1:]
    if name in TIMES:
        return click.option(TIMES[name], name, metavar=f"{word.example}s", help=text)
    if name == "one_way":
        return click.option(flag, is_flag=True, help=text)
    if name == "toxic":
        return click.option(flag, multiple=True, metavar=f"'{word.example}'", help=text)
    if name == "half_open":
        return click.option(
            flag,
            type=words.Choice(list(HALF_OPEN)),
            is_flag=False,
            flag_value="new",
            help=f"{text} Without a word: new.",
        )
    if name in CHOICES:
        return click.option(flag, type=words.Choice(CHOICES[name]), help=text)
    return click.option(flag, metavar=word.example, help=f"{text} ({word.example})")


def _words_but(*left_out: str) -> Callable[[F], F]:
    """An option for each word of faults/spec.py that a command takes."""

    def decorate(function: F) -> F:
        for name, word in reversed(WORDS.items()):
            if name not in (*NO_OPTIONS, *left_out):
                function = _option(name, word)(function)
        return function

    return decorate


@click.group(cls=words.Group)
def fault() -> None:
    """Make the network of a running cluster bad, while load runs. Faults fold: delays add, losses
    compound, the narrower rate wins.
    """


@fault.command(name="set")
@click.argument("where", shell_complete=words.targets)
@_words_but(*OF_CUTS)
@cluster_option
@json_option
def set_(where: str, cluster: str, *, as_json: bool, **given: Any) -> None:
    """Impair WHERE: a node, region:NAME, all, or paths 'A -> B' (one way) and 'A <-> B'.

    harness fault set 'region:eu -> region:us' --delay 80ms --jitter 10ms --loss 1%

    harness fault set node-3 --condition paused --for 5s

    harness fault set node-3 --condition crashed --state wipe --for 5s
    """
    _ask({"where": where, **given}, cluster, as_json=as_json)


@fault.command(
    epilog="Patterns: "
    + "; ".join(
        f"{name} {what.words}: {what.sentence}".replace(" :", ":")
        for name, what in PATTERNS.items()
    )
)
@click.argument("pattern", type=words.Choice(list(PATTERNS)))
@click.argument("of", nargs=-1, shell_complete=words.nodes)
@_words_but(*OF_SETS)
@cluster_option
@json_option
def cut(pattern: str, of: tuple[str, ...], cluster: str, *, as_json: bool, **given: Any) -> None:
    """Cut the network by PATTERN; with impairments (--loss 30%) its paths are impaired instead of
    cut.
    """
    _ask({"cut": pattern, "of": list(of), **given}, cluster, as_json=as_json)


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
    table = Plain()
    for column in ("name", "does", "paths", "nodes", "up", "down", "time left"):
        table.add_column(column, overflow="fold")
    for row in found["faults"]:
        rates = [
            ", ".join(sorted({f"{rate / 1e6:g} Mbit/s" for rate in row[direction].values()}))
            for direction in ("up", "down")
        ]
        nodes = ", ".join(row["nodes"])
        left = "until cleared" if row["left_s"] is None else f"{row['left_s']:.0f} s"
        table.add_row(row["name"], row["does"], f"{row['paths']:,}", nodes, *rates, left)
    Terminal().print(table)
    for name, left_s in found["away"].items():
        click.echo(f"{name} is away just now and comes again; it ends in {left_s:.0f} s")
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
@click.argument("name", required=False, shell_complete=words.faults)
@cluster_option
@json_option
def clear(name: str | None, cluster: str, *, as_json: bool) -> None:
    """Take the fault NAME back, or all of them."""
    with Client.connect(cluster) as client:
        cleared = client.call("fault-clear", {"name": name})["cleared"]
    if as_json:
        print_json({"version": 1, "cleared": cleared})
        return
    click.echo(f"cleared: {', '.join(cleared) or 'there was no fault'}")


def _ask(given: dict[str, Any], cluster: str, *, as_json: bool) -> None:
    words = {key: value for key, value in given.items() if value not in (None, False, [], ())}
    try:
        for word, option in TIMES.items():
            if word in words:
                words[word] = with_file(option, partial(quantities.time_ms, words[word])) / 1e3
        asked_ns = time.monotonic_ns() - age_ns()  # when this command was given
        with Client.connect(cluster) as client:
            done = client.call("fault-set", {"words": words})
    except BadFileError as error:  # these words stand in no file
        raise UsageError(str(error)) from None
    done["asked_ms"] = (done["at_ns"] - asked_ns) / 1e6
    if as_json:
        print_json({"version": 1, **done})
        return
    count, what = (done["paths"], "path") if done["paths"] else (done["nodes"], "node")
    on = f"{count:,} {what}{'' if count == 1 else 's'}"
    lasting = f", for {words['for_s']:g} s" if "for_s" in words else ""
    took = f"in force after {done['asked_ms']:.0f} ms (the change: {done['took_ms']:.1f} ms)"
    click.echo(f"{done['name']}: {done['does']} on {on}, {took}{lasting}")
