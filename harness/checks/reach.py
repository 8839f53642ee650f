"""Where faults surely stood, and who had no way to whom while cuts did. Pure.

A cut surely stands from when the last part of it was set until it began to be changed. A way may
lead over any nodes: what parts the nodes for a while is all cuts of that while together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.checks.fault_times import changes_of
from harness.checks.metric import Chosen
from harness.faults.fault import Condition
from harness.history.events import FaultChanged
from harness.history.history import History, Nanoseconds, once
from harness.history.resolved import Block

Matrix = npt.NDArray[np.bool_]  # [source, target] by the nodes' indexes
Nodes = npt.NDArray[np.integer[Any]]
CUT = "cut"  # what an event says that such a fault does


@dataclass(frozen=True, slots=True)
class Stand:
    """A fault while it surely stood. CLOCK_MONOTONIC ns, the end is not in it. `gone_ns`: until
    when some of it may have.
    """

    change: FaultChanged
    begin_ns: int
    end_ns: int
    gone_ns: int

    @property
    def is_cut(self) -> bool:
        """Whether nothing passed on its paths."""
        return is_cut(self.change)

    @property
    def is_an_end(self) -> bool:
        """Whether it is that nodes were ended, or paused: when they ran is told by events."""
        return self.change.does.partition(",")[0] in tuple(Condition)

    @property
    def is_impairing(self) -> bool:
        """Whether something passed on its paths, and nobody can say what did not."""
        return not self.is_cut and not self.is_an_end


def is_cut(change: FaultChanged) -> bool:
    """Whether nothing passes on the paths of a fault that was set."""
    return bool(change.sides) or change.does.partition(",")[0] == CUT


@once
def stands(history: History) -> tuple[Stand, ...]:
    """Tell when each fault stood, as executed, in order; one that nobody took back stood until the
    last phase was over.
    """
    over_ns = history.phases[-1].end_ns if history.phases else 0
    by_fault: dict[str, list[FaultChanged]] = {}
    for change in sorted(changes_of(history), key=lambda one: one.set_ns):
        by_fault.setdefault(change.fault, []).append(change)
    found = [
        Stand(
            change,
            change.set_ns,
            over_ns if later is None else later.begun_ns,
            over_ns if later is None else later.set_ns,
        )
        for changes in by_fault.values()
        for change, later in pairwise([*changes, None])
        if change is not None and change.is_set
    ]
    found.sort(key=lambda one: one.begin_ns)
    return tuple(one for one in found if one.begin_ns < one.end_ns)


def between(history: History, blocks: Iterable[Block]) -> Matrix:
    """Mark the paths of blocks; no node has a path to itself."""
    order = {name: index for index, name in enumerate(history.nodes)}
    found = np.zeros((len(order), len(order)), np.bool_)
    for block in blocks:
        sources, targets = (
            np.array([order[name] for name in some if name in order], np.intp) for some in block
        )
        found[np.ix_(sources, targets)] = True
    np.fill_diagonal(found, val=False)
    return found


def paths(history: History, change: FaultChanged) -> Matrix | None:
    """Mark the paths that a fault is on; None where the record does not say which."""
    if change.sides:
        sides = np.array([change.sides.get(name, -1) for name in history.nodes])
        found: Matrix = (sides[:, None] != sides) & (sides[:, None] >= 0) & (sides >= 0)
        return found
    known = history.resolved.get(change.resolved)
    blocks = () if known is None else known.far or known.paths
    return between(history, blocks) if blocks else None


@dataclass(frozen=True, slots=True)
class Reach:
    """Who had no way to whom, stretch by stretch.

    `edges_ns`: where one stretch ends and the next begins; `cuts`: which of the `patterns` were in
    force in each, one stretch more than there are edges. `unknown`: names of cuts of which the
    record does not say whom they parted; they part nobody here.
    """

    edges_ns: Nanoseconds
    cuts: Sequence[frozenset[int]]
    patterns: Sequence[Matrix]
    unknown: frozenset[str]
    _known: dict[frozenset[frozenset[int]], Matrix | None] = field(default_factory=dict)

    def stretch(self, at_ns: Nanoseconds) -> npt.NDArray[np.intp]:
        """In which stretch each moment is."""
        return np.searchsorted(self.edges_ns, at_ns, "right")

    def is_cut(self, at_ns: Nanoseconds) -> Chosen:
        """Whether some cut stood at each moment."""
        marks = np.array([bool(one) for one in self.cuts])
        found: Chosen = marks[self.stretch(at_ns)]
        return found

    def apart(self, first: int, last: int) -> Matrix | None:
        """Mark who had no way to whom from one stretch to another, had each path been open for all
        of the time that was open in one of them; None: everybody had one.
        """
        key = frozenset(self.cuts[first : last + 1])
        if key not in self._known:
            self._known[key] = self._apart(key)
        return self._known[key]

    def _apart(self, stretches: frozenset[frozenset[int]]) -> Matrix | None:
        if not all(stretches):
            return None
        blocked = np.logical_and.reduce([self._cut(patterns) for patterns in stretches])
        found: Matrix = ~ways(~blocked)
        return found if found.any() else None

    def blocked(self, stretch: int) -> Matrix:
        """Mark the paths on which nothing passed in a stretch in which some cut stood."""
        return self._cut(self.cuts[stretch])

    def _cut(self, patterns: frozenset[int]) -> Matrix:
        found: Matrix = np.logical_or.reduce([self.patterns[one] for one in patterns])
        return found

    def bounds_ns(self, stretch: int) -> tuple[int, int]:
        """From when and until when a stretch was, where some cut stood in it."""
        return int(self.edges_ns[stretch - 1]), int(self.edges_ns[stretch])

    def parted(
        self, sent_ns: Nanoseconds, at_ns: Nanoseconds, source: Nodes, target: Nodes
    ) -> Chosen:
        """Whether each source had no way to its target from one moment to the other."""
        first, last = self.stretch(sent_ns), self.stretch(at_ns)
        found = np.zeros(len(first), np.bool_)
        if not len(first):
            return found
        for begin, end in np.unique(np.stack([first, last]), axis=1).T.tolist():
            apart = self.apart(begin, end)
            if apart is not None:
                mine = (first == begin) & (last == end)
                found[mine] = apart[source[mine], target[mine]]
        return found


@once
def of(history: History) -> Reach:
    """Tell who could reach whom in a run."""
    patterns: list[Matrix] = []
    numbers: dict[object, int] = {}
    unknown: set[str] = set()
    numbered: list[tuple[Stand, int]] = []
    for stand in stands(history):
        if not stand.is_cut:
            continue
        change = stand.change
        key = (change.resolved, tuple(sorted(change.sides.items())))
        if key not in numbers:
            found = paths(history, change)
            if found is None:
                unknown.add(change.fault)
                continue
            numbers[key] = len(patterns)
            patterns.append(found)
        numbered.append((stand, numbers[key]))
    edges = sorted({at for stand, _ in numbered for at in (stand.begin_ns, stand.end_ns)})
    begins = [-1, *edges]
    cuts = [
        frozenset(number for one, number in numbered if one.begin_ns <= at < one.end_ns)
        for at in begins
    ]
    return Reach(np.array(edges, np.int64), cuts, patterns, frozenset(unknown))


def sources(paths_of: Matrix) -> Chosen:
    """Mark the nodes that some path begins at."""
    found: Chosen = np.logical_or.reduce(paths_of, axis=1)
    return found


def ways(is_open: Matrix) -> Matrix:
    """Mark who has a way to whom over paths that are open: each has one to itself."""
    is_open = is_open | np.eye(len(is_open), dtype=np.bool_)
    alike = np.packbits(np.concatenate([is_open, is_open.T], axis=1), axis=1)
    if not len(alike):
        return is_open
    # Nodes that have the same paths, to and from each other too, stand for one another.
    _, first, kind = np.unique(alike, axis=0, return_index=True, return_inverse=True)
    found = is_open[np.ix_(first, first)]
    while True:
        more = (found.astype(np.float32) @ found.astype(np.float32)) > 0
        if (more == found).all():
            break
        found = more
    kind = kind.ravel()
    made: Matrix = found[np.ix_(kind, kind)]
    return made
