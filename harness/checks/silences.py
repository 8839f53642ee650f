"""When a node could not receive, and when it could not journal, because of what the harness did to
it: told by the run's events. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.checks.metric import Chosen
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
from harness.history.history import History

END_NS = 2**63 - 1
SPREADING_NS = 2_000_000_000  # a broadcast may take so long; who is stopped meanwhile is not due it


@dataclass(frozen=True, slots=True)
class Stretch:
    """A time of one node. CLOCK_MONOTONIC ns, both ends in it."""

    node: int
    begin_ns: int
    end_ns: int

    def overlaps(self, begin_ns: npt.NDArray[np.int64], end_ns: npt.NDArray[np.int64]) -> Chosen:
        """Which of these times share a moment with it."""
        shared: Chosen = (begin_ns <= self.end_ns) & (end_ns >= self.begin_ns)
        return shared


@dataclass(frozen=True, slots=True)
class Silences:
    """`away`: the harness had stopped or paused the node. `mute`: it did not journal, though it
    may have received: from its end until its journal went on.
    """

    away: tuple[Stretch, ...]
    mute: tuple[Stretch, ...]

    def during(
        self, history: History, chosen: Chosen, nodes: npt.NDArray[np.integer[npt.NBitBase]]
    ) -> Chosen:
        """Which of the chosen operations were under way while their node was mute."""
        sent, done = history.column("sent_ns")[chosen], history.column("done_ns")[chosen]
        found = np.zeros(len(nodes), np.bool_)
        for stretch in self.mute:
            found |= (nodes == stretch.node) & stretch.overlaps(sent, done)
        return found

    def anybody_during(self, history: History, chosen: Chosen) -> Chosen:
        """Which of the chosen operations were under way while some node was mute."""
        sent, done = history.column("sent_ns")[chosen], history.column("done_ns")[chosen]
        found = np.zeros(len(sent), np.bool_)
        for stretch in self.mute:
            found |= stretch.overlaps(sent, done)
        return found

    def expected(self, history: History, chosen: Chosen) -> npt.NDArray[np.bool_]:
        """Who is to receive each of the chosen broadcasts (a row each, a column a node): all but
        its source, and those that the harness kept from running while it spread.
        """
        sent = history.column("sent_ns")[chosen]
        found = np.ones((len(sent), len(history.nodes)), np.bool_)
        for stretch in (*self.away, *self.mute):
            found[stretch.overlaps(sent, sent + SPREADING_NS), stretch.node] = False
        found[np.arange(len(sent)), history.column("source")[chosen]] = False
        return found


def of(history: History) -> Silences:
    """The silences of a run. A node that ended by itself is not away: that is a finding of its own
    (nodes.py), and what it was due is judged.
    """
    away: list[Stretch] = []
    mute: list[Stretch] = []
    stopped: dict[int, int] = {}  # node → since when the harness has kept it from running
    unheard: dict[int, int] = {}  # node → since when nothing may have kept its journal
    for event in history.events:
        if not isinstance(event, (NodeChanged, NodeEnded, NodeStarted)):
            continue
        node = history.index(event.node)
        if isinstance(event, NodeChanged) and event.condition != "running":
            stopped.setdefault(node, event.since_ns or event.at_ns)
            unheard.setdefault(node, event.since_ns or event.at_ns)
        elif isinstance(event, NodeEnded):
            unheard.setdefault(node, event.at_ns)
        else:
            if node in stopped:
                away.append(Stretch(node, stopped.pop(node), event.at_ns))
            since_ns = unheard.pop(node, None)
            if isinstance(event, NodeStarted) and since_ns is not None:
                mute.append(Stretch(node, since_ns, event.journals_ns or event.at_ns))
    away += [Stretch(node, since_ns, END_NS) for node, since_ns in stopped.items()]
    return Silences(tuple(away), tuple(mute))
