"""What a row of one run might as well have been: its phase is cut into blocks of time, and these
are drawn again (a block bootstrap: what comes close together depends on each other). Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from harness.checks import statistic
from harness.checks.metric import Measured, PerNode, Samples
from harness.checks.metrics import METRICS, take
from harness.checks.statistic import NoValueError
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

BLOCKS_MOST, BLOCKS_LEAST = 20, 5
BLOCK_S = 1.0  # at least
DRAWN = 200
SEED = 1
# What a metric with parts is taken from: what is told once a phase has none.
IN_TIME = frozenset({Part.OPERATIONS, Part.JOURNAL, Part.SAMPLES})
NEAR = 0.02  # the blocks together are the phase, or the row is none that has parts


def drawn(history: History, row: Row, value: float | None) -> tuple[float, ...]:
    """Return the row's values, in its unit, with blocks drawn again; empty where it has no parts:
    its phase is too short, its metric is of a whole phase or run, or `value`, what the run
    measured, is not what all blocks together give.
    """
    metric, phase = METRICS[row.metric], history.phase(row.conditions.phase)
    is_whole = metric.over is not None or metric.whole_run or row.conditions.under is not None
    has_parts = not is_whole and metric.needs and metric.needs <= IN_TIME
    if value is None or phase is None or not has_parts or math.isinf(value):
        return ()
    count = min(int(phase.seconds / BLOCK_S), BLOCKS_MOST)
    if count < BLOCKS_LEAST:
        return ()
    try:
        blocks = [take(history, row, block) for block in _cut(phase, count)]
        together = _value(history, row, blocks)
        if abs(together - value) > NEAR * abs(value):
            return ()
        rng = np.random.default_rng(SEED)
        chosen = rng.integers(count, size=(DRAWN, count)).tolist()
        found = [_value(history, row, [blocks[one] for one in some]) for some in chosen]
    except NoValueError:
        return ()
    return tuple(found) if all(map(math.isfinite, found)) else ()


def _cut(phase: PhaseWindow, count: int) -> list[PhaseWindow]:
    edges = np.linspace(phase.begin_ns, phase.end_ns, count + 1).astype(np.int64).tolist()
    return [
        replace(phase, begin_ns=begin_ns, end_ns=end_ns) for begin_ns, end_ns in pairwise(edges)
    ]


def _value(history: History, row: Row, blocks: Sequence[Measured]) -> float:
    """The row's statistic of these blocks together. Raises NoValueError."""
    samples = [one.values for one in blocks if isinstance(one, Samples)]
    together: Measured
    if samples:
        together = Samples(values=np.concatenate(samples))
    else:
        nodes = {node for one in blocks if isinstance(one, PerNode) for node in one.series}
        together = PerNode(
            series={
                node: np.concatenate(
                    [
                        one.series[node]
                        for one in blocks
                        if isinstance(one, PerNode) and node in one.series
                    ]
                )
                for node in nodes
            }
        )
    return row.in_unit(statistic.take(together, history, row)[0])
