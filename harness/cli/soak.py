"""``soak``: load for hours on one cluster, judged while it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.live import Live
from rich.text import Text

from harness.cli import words
from harness.cli.progress import as_lines, end_like_ctrl_c
from harness.cli.shared import (
    cluster_option,
    json_option,
    runs_option,
    runtime_option,
    system_option,
    workers_option,
)
from harness.control.progress import Progress, nobody
from harness.errors import BadFileError, InterruptedByUserError, UsageError
from harness.reports.terminal import Terminal, plain, visible

if TYPE_CHECKING:
    from harness.experiments.soak.folder import SoakFolder
    from harness.experiments.soak.play import Told, Watcher


@click.command()
@click.argument("what", required=False, shell_complete=words.soaks)
@click.option("--for", "for_s", type=words.Duration(), help="How long load is sent, such as 8h.")
@click.option(
    "--window", "window_s", type=words.Duration(), help="How long a window is; default 10m."
)
@click.option("--seed", type=click.IntRange(min=0), help="Another seed than the file's.")
@click.option(
    "--raw",
    "raw_s",
    type=words.Duration(),
    help="For how long raw values are kept of windows in which nothing was found; default 1h.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, file_okay=False),
    help="Go on with the soak of this folder, where it ended or was killed.",
)
@cluster_option
@runtime_option
@system_option
@runs_option
@workers_option
@json_option
def soak(
    what: str | None,
    for_s: float | None,
    window_s: float | None,
    seed: int | None,
    raw_s: float | None,
    resume: Path | None,
    cluster: str,
    runtime: str,
    system: str | None,
    runs: Path,
    workers: int,
    *,
    as_json: bool,
) -> None:
    """Play WHAT, a scenario with [soak] or a topology, for hours on one cluster: steady load, and
    faults and churn drawn for each window, which is judged while the next is played.

    Ctrl-C ends it with a verdict of what was played. Exit code: as of `harness judge`, 130 where
    it was interrupted.
    """
    from harness.experiments.soak import play

    if resume is not None:
        folder = _resumed(resume, [what, for_s, window_s, seed, raw_s, system])
    else:
        if what is None or for_s is None:
            raise UsageError("expected WHAT and --for, or --resume FOLDER")
        folder = play.begin(
            what,
            for_s=for_s,
            window_s=window_s,
            seed=seed,
            raw_s=play.RAW_S if raw_s is None else raw_s,
            cluster=cluster,
            runtime_name=runtime,
            runs=runs,
            workers=workers,
            system=system,
        )
    end_like_ctrl_c()
    if not as_json:
        click.echo(f"harness: soak: {folder.path}", err=True)
    with _watching(as_json=as_json) as (told, progress):
        judged = play.soak(folder, told=told, progress=progress)
    if as_json:
        click.echo(json.dumps({"final": True, **judged.as_json()}))
    else:
        from harness.reports import soak as page
        from harness.reports import text

        text.console().print(judged.report())
        for sentence in page.costs(judged.details):
            click.echo(sentence)
        click.echo(folder.path / "report.html")
    if "interrupted" in (folder.ended or ""):
        sys.exit(InterruptedByUserError.exit_code)
    sys.exit(judged.exit_code)


def _resumed(path: Path, others: list[object]) -> SoakFolder:
    from harness.experiments.soak import folder

    if any(one is not None for one in others):
        raise UsageError("--resume goes on with what was asked: expected no other option beside it")
    found = folder.find(path)
    if found is None:
        raise BadFileError(f"{path}: expected the folder of a soak, with a soak.json")
    return folder.SoakFolder(found)


@contextmanager
def _watching(*, as_json: bool) -> Iterator[tuple[Watcher, Progress]]:
    """Tell how it stands: a live line on a terminal, else a line a window. And how the cluster
    starts.
    """
    if as_json:
        yield _json_line, nobody
    elif sys.stderr.isatty():
        with Live(console=Terminal(stderr=True), transient=True, refresh_per_second=2) as live:
            yield (
                lambda told: _live(live, told),
                lambda stage, done, total: live.update(plain(f"{stage} {done}/{total}")),
            )
    else:
        yield _line, as_lines()


def _json_line(told: Told) -> None:
    if told.news is not None:
        click.echo(json.dumps(told.news))
        sys.stdout.flush()


def _live(live: Live, told: Told) -> None:
    if told.news is not None:
        live.console.print(plain(window_sentence(told)))
    live.update(Text(visible(live_line(told)), no_wrap=True, overflow="ellipsis"))


def _line(told: Told) -> None:
    if told.news is not None:
        click.echo(visible(f"harness: {window_sentence(told)}"), err=True)


def live_line(told: Told) -> str:
    """Say how it stands in one line: window, time, verdict so far, worst slopes."""
    answer = "nothing judged yet" if told.answer is None else f"so far {told.answer}"
    said = [
        f"window {told.number}/{told.windows}, {told.stage}",
        f"{clock(told.elapsed_s)} gone, {clock(told.left_s)} left",
        f"{answer} ({told.judged} judged)",
        *told.slopes,
    ]
    return " · ".join(said)


def window_sentence(told: Told) -> str:
    """Say what a window was judged to be."""
    news = told.news or {}
    pause = "" if news["pause_s"] is None else f", {news['pause_s']:.1f} s after the one before"
    faults = f"; {', '.join(news['faults'])}" if news["faults"] else ""
    problem = f"; {news['problem']}" if news["problem"] else ""
    answer = news["answer"] or "not judged"
    return (
        f"window {news['window']}/{news['windows']} {answer}{pause}{faults}{problem} · so far "
        f"{news['so_far'] or 'nothing judged'}, {clock(told.left_s)} left"
    )


def clock(seconds: float) -> str:
    """Show a time as h:mm:ss."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}"
