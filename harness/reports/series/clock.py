"""The clock of a report: time zero is the begin of the first phase."""

from __future__ import annotations

import math

import numpy as np

from harness.history.history import History
from harness.reports.series.chart import Floats

CELLS_MOST = 200_000_000  # nodes × seconds: two days of a thousand nodes


def begin_ns(history: History) -> int:
    """Find time zero: the begin of the first phase."""
    return history.phases[0].begin_ns if history.phases else 0


def end_s(history: History) -> float:
    """Find the end of the last phase, in seconds after time zero."""
    return (history.phases[-1].end_ns - begin_ns(history)) / 1e9 if history.phases else 0.0


def is_drawable(history: History) -> bool:
    """Whether a run has a time that charts can show, and is not too long for its seconds to be
    held.
    """
    cells = seconds(history) * max(len(history.nodes), 1)
    return bool(history.phases) and end_s(history) > 0 and cells <= CELLS_MOST


def seconds(history: History) -> int:
    """Count the seconds of a run, the last of which may be a part of one."""
    return max(1, math.ceil(end_s(history) - 1e-9))


def middles(history: History) -> Floats:
    """Find the middle of each second."""
    return np.arange(seconds(history), dtype=np.float64) + 0.5


def of_s(history: History, at_ns: int) -> float:
    """Tell a moment in seconds after time zero."""
    return (at_ns - begin_ns(history)) / 1e9
