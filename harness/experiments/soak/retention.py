"""Which windows keep their raw values: those of the last hour, and those in which something was
found. The others have their summary.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace

from harness.checks.verdict import Answer
from harness.experiments.soak.folder import SoakFolder, Window
from harness.history.folder import translated

FOUND = (Answer.FAIL, Answer.UNKNOWN)


def to_let_go(
    windows: Iterable[Window], answers: Mapping[int, Answer], now_s: float, raw_s: float
) -> list[Window]:
    """Return the windows whose raw values are kept and need not be. One that was not judged keeps
    them.
    """
    return [
        one
        for one in windows
        if one.raw
        and one.number in answers
        and answers[one.number] not in FOUND
        and one.ended_s < now_s - raw_s
    ]


def least_wanted(windows: Iterable[Window], answers: Mapping[int, Answer]) -> Window | None:
    """Return the judged window whose raw values go first where the disk is nearly full: the oldest
    without a finding, then the oldest UNKNOWN; never a FAIL.
    """
    order = {Answer.PASS: 0, Answer.MEASURED: 0, Answer.UNKNOWN: 1}
    kept = [one for one in windows if one.raw and answers.get(one.number) in order]
    return min(kept, key=lambda one: (order[answers[one.number]], one.number), default=None)


def let_go(folder: SoakFolder, window: Window) -> None:
    """Remove a window's raw values. Its note says so first: who is killed meanwhile leaves a
    window that is known to have none. Raises StorageError.
    """
    run = folder.run_of(window)
    folder.write(replace(window, raw=False))
    with translated(folder.window_folder(window.number)):
        (folder.window_folder(window.number) / "latest").unlink(missing_ok=True)
        if run is not None:
            shutil.rmtree(run)


def let_go_leftovers(folder: SoakFolder) -> None:
    """Finish what somebody who was killed had begun to remove. Raises StorageError."""
    for window in folder.windows():
        if not window.raw and folder.run_of(window) is not None:
            let_go(folder, window)
