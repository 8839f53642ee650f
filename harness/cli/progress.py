"""How far a long command is, as bars on stderr."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars

from harness.control.progress import Progress
from harness.reports.terminal import Terminal

# Stage → its words; a stage that is not here is shown as it is called.
STAGES = {
    "wire": "wiring namespaces",
    "start": "starting nodes",
    "ready": "nodes ready",
    "load": "load, seconds",
}


@contextmanager
def bars() -> Iterator[Progress]:
    """Show progress as bars on stderr, one a stage; nothing where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Terminal(stderr=True)
    # SIGTERM and a terminal that closes end like Ctrl-C: what was started is taken back.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with Bars(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(STAGES.get(stage, stage), total=total)
            shown.update(tasks[stage], completed=done, total=total)

        yield progress
