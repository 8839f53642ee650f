"""How far a long command is, on stderr: bars on a terminal, else a line a stage."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import click
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from harness.control.progress import Progress, nobody
from harness.reports.terminal import Terminal, plain

# Stage → its words; a stage that is not here is shown as it is called.
STAGES = {
    "wire": "wiring namespaces",
    "start": "starting nodes",
    "ready": "waiting until nodes are ready",
    "judge": "judging",
}


@contextmanager
def shown(*, lines: bool = False) -> Iterator[Progress]:
    """Show progress as bars where stderr is a terminal; else as a line a stage, if asked for.

    SIGTERM and a terminal that closes end like Ctrl-C: what was started is taken back.
    """
    end_like_ctrl_c()
    if Terminal(stderr=True).is_terminal:
        with _bars() as progress:
            yield progress
    else:
        yield as_lines() if lines else nobody


def end_like_ctrl_c() -> None:
    """Have SIGTERM and SIGHUP do what Ctrl-C does, also where a shell that started this in the
    background has it ignore Ctrl-C itself.
    """
    asked: list[int] = []

    def end(number: int, _: object) -> None:
        asked.append(number)
        os.kill(os.getpid(), signal.SIGINT)

    def interrupt(number: int, frame: FrameType | None) -> None:
        if asked:
            signal.default_int_handler(number, frame)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, end)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, interrupt)


@contextmanager
def _bars() -> Iterator[Progress]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Terminal(stderr=True)) as bars:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(_words(stage), total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield progress


def as_lines() -> Progress:
    """Return what says a line a stage."""
    begun_s, told = time.monotonic(), set[str]()

    def progress(stage: str, _: int, total: int) -> None:
        if stage not in told:
            told.add(stage)
            after_s = time.monotonic() - begun_s
            much = (
                f" ({total:,}{' s' if _is_phase(stage) else ''})"
                if total > 1 or _is_phase(stage)
                else ""
            )
            said = plain(f"harness: {after_s:5.1f} s: {_words(stage)}{much}")
            click.echo(said.plain, err=True)

    return progress


def _is_phase(stage: str) -> bool:
    """Whether its numbers are seconds: `phase load`, and of a suite `demo: phase load`."""
    return stage.rpartition(": ")[2].startswith("phase ")


def _words(stage: str) -> str:
    part, colon, own = stage.rpartition(": ")
    return f"{part}{colon}{STAGES.get(own, own)}"
