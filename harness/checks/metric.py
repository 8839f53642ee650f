"""The port of all metrics: what a budget's row may name, and what it gives.

A metric gives either samples (one value an operation or a receiver; what never arrived is infinite)
or values by node.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.history.gaps import EVERYTHING, Parts
from harness.history.history import History, PhaseWindow
from harness.operations.records import RecordKind

Floats = npt.NDArray[np.float64]
UNSAMPLED = "were not sampled"
Chosen = npt.NDArray[np.bool_]  # which rows of a table, one value a row


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """One value an operation, in the base unit of the metric's kind; `inf` where it never came
    true.

    `of`: which of the history's operations the values are about, in their order or by position,
    where each is taken from its own operation alone. Without it, what the values would be without
    some operations is found by taking the metric again.
    """

    values: Floats
    of: Chosen | npt.NDArray[np.intp] | None = None
    known: dict[str, float] = field(default_factory=dict, compare=False)  # its statistics so far


@dataclass(frozen=True, slots=True, kw_only=True)
class PerNode:
    """Values by node index: all samples of the phase (`series`), or one number a node (a series of
    one). `lack`: what nodes did that are missing. `refused`: why nothing is said of a node that
    told what cannot be.
    """

    series: dict[int, Floats]
    lack: str = UNSAMPLED
    refused: Mapping[int, Exception] = field(default_factory=dict)


class Within(Protocol):
    """What is known of a node's values: not each, but between what a statistic of them lies."""

    def of(self, statistic: str) -> tuple[float, float]:
        """Return the least and the most that the statistic can be. Raises NoValueError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded(PerNode):
    """Values by node that are known within bounds; `series` is of none of them. `quiet`: nodes that
    had nothing to tell of.
    """

    series: dict[int, Floats] = field(default_factory=dict)
    within: dict[int, Within]
    quiet: frozenset[int] = frozenset()


Measured = Samples | PerNode


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """A row may name it: the kind of quantity, how it is taken from a phase of a history, and a
    sentence for people.

    `needs` is what it takes of the record: where some of that is missing, no row of it is judged.
    `records` are the kinds that it counts in journals; what a system's cannot have is not missed.
    `take_by` is how it is taken by a row's `factor`, `take_within` of what came within so many ns,
    where it knows them. `over` are the stretches
    that it holds against each other, where these are others than the row's phase. `moment` ends
    what is shown of one value a node: when in the phase that was, of which it tells nothing else.
    `whatever_load`: it is of the nodes themselves, whatever they are asked to do meanwhile.
    """

    kind: str
    take: Callable[[History, PhaseWindow], Measured]
    sentence: str
    needs: Parts = EVERYTHING
    records: frozenset[RecordKind] = frozenset()
    by_node: bool = False  # a row that names a node needs the record of no other
    moment: str = ""
    tells: str = ""  # what nodes have to tell by this name; a system that never does is said to
    whole_run: bool = False  # it needs more of the record than what it is taken from
    take_by: Callable[[History, PhaseWindow, float], Measured] | None = None
    take_within: Callable[[History, PhaseWindow, float], Measured] | None = None
    over: Callable[[History, PhaseWindow], list[PhaseWindow]] | None = None
    whatever_load: bool = False
