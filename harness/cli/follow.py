"""``judge --follow``: tell how a run stands while it is under way, and its verdict at the end."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import click
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from harness.errors import InterruptedByUserError
from harness.experiments import follow
from harness.experiments.follow import Followed
from harness.reports import headline, text
from harness.reports.terminal import Terminal, plain

NICE = 19  # whatever is measured goes first


def tell(run: Path, budget: Path | None, every_s: float, *, as_json: bool) -> None:
    """Tell look after look and exit with the code of the final verdict; Ctrl-C ends it quietly."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    way = _lines if as_json else _table if sys.stdout.isatty() else _sentences
    try:
        last = way(follow.follow(run, budget, every_s=every_s))
    except KeyboardInterrupt:
        sys.exit(InterruptedByUserError.exit_code)
    if last is not None and last.problem:
        click.echo(f"harness: {last.problem}", err=True)
    sys.exit(0 if last is None else last.judged.exit_code)


def _lines(looks: Iterable[Followed]) -> Followed | None:
    last = None
    for last in looks:
        click.echo(json.dumps(last.as_json()))
        sys.stdout.flush()
    return last


def _table(looks: Iterable[Followed]) -> Followed | None:
    console, last = Terminal(), None
    with Live(console=console, transient=True, auto_refresh=False) as shown:
        for last in looks:
            if not last.is_final:
                shown.update(_screen(last, console.height), refresh=True)
    if last is not None:
        console.print(last.judged.report())
    return last


def _screen(look: Followed, lines: int) -> RenderableType:
    """One look, cut to the lines of a terminal."""
    return Group(plain(_sentence(look)), Text(), text.findings(look.judged.verdict, lines - 6))


def _sentences(looks: Iterable[Followed]) -> Followed | None:
    """A line a look where nobody watches, and the report at the end."""
    last = None
    for last in looks:
        if not last.is_final:
            click.echo(_sentence(last))
            sys.stdout.flush()
    if last is not None:
        Terminal(width=text.WIDTH_COLUMNS).print(last.judged.report())
    return last


def _sentence(look: Followed) -> str:
    verdict = look.judged.verdict
    flight = f"{look.in_flight:,} operations in flight"
    oldest = f", the oldest for {look.oldest_s:.1f} s" if look.in_flight else ""
    return (
        f"{look.at_s:7.1f} s  {verdict.answer} so far: {headline.counts(verdict)}; {flight}{oldest}"
    )
