"""What was taken from a run, second by second: cores of the host, by the hypervisor or by a quota,
and its disks, by other processes. Pure.

Disks are others' where tasks waited for one, and others moved most of what was moved. What a node
writes is counted when it writes it to memory, and reaches the disk up to FLUSHED_NS later: so much
is held against each second as what the run may have written of it. Which nodes waited nobody tells:
it excuses no second in which none of them used a disk.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.checks.metric import Chosen, Floats
from harness.history.history import History, Nanoseconds, PhaseWindow, once

# What is taken from the host: the column, its unit (ns), from which share of all cores on, by whom.
TAKEN = (
    ("cpu_steal_ns", 1, 0.1, "the hypervisor"),
    ("cpu_throttled_us", 1000, 0.005, "the CPU quota of its control group"),
)
WAITED_SHARE = 0.2  # of a second, in which some task waited for a disk
OTHERS_SHARE = 0.5  # of the bytes that disks moved
FLUSHED_NS = 35_000_000_000  # vm.dirty_expire_centisecs is 30 s, and it is looked every 5 s
APART_NS = 2_000_000_000  # two samples that are further apart tell of no second
MOST_SHARE = 0.5  # of a phase


class Taken(NamedTuple):
    """A stretch between two samples of the host in which somebody took something from it: from, to
    (ns), which share of all cores, or of the time for which tasks waited for a disk, and who.
    """

    begin_ns: int
    end_ns: int
    share: float
    by: str
    of_disks: bool = False

    @property
    def sentence(self) -> str:
        """What it took."""
        if self.of_disks:
            waited = f"tasks waited for one up to {self.share:.0%} of a second"
            return f"{self.by} had the host's disks, and {waited}"
        return f"{self.by} took up to {self.share:.0%} of the host from it"

    @property
    def briefly(self) -> str:
        """The same of this second alone."""
        if self.of_disks:
            return f"{self.by} had the disks, and tasks waited for one {self.share:.0%} of it"
        return f"{self.by} took {self.share:.0%}"


OTHERS = "processes that are none of this run's"


@once
def taken(history: History) -> list[Taken]:
    """Return when the hypervisor took much of the host, or anything was taken by the quota of the
    control group that the harness runs in: that stops all of it, for most of a tenth of a second;
    and when others had its disks.
    """
    at = history.host.column("at_ns").to_numpy()
    found = []
    for column, unit_ns, least, by in TAKEN:
        gained = np.diff(_column(history, column))
        shares = gained * unit_ns / np.maximum(np.diff(at), 1) / history.cores
        found += [
            Taken(int(at[each]), int(at[each + 1]), float(shares[each]), by)
            for each in np.nonzero(shares >= least)[0]
        ]
    return found + disks(history)


@once
def disks(history: History) -> list[Taken]:
    """Return when others had the host's disks. Where the folder does not tell, never."""
    at = history.host.column("at_ns").to_numpy()
    if len(at) < 2:
        return []
    waited = np.diff(_column(history, "psi_io_some_us")) * 1e3 / np.maximum(np.diff(at), 1)
    is_others = (waited >= WAITED_SHARE) & (_of_others(history, at) >= OTHERS_SHARE)
    is_others = is_others & (np.diff(at) <= APART_NS) & _used(history, at)
    return [
        Taken(
            int(at[each]), int(at[each + 1]), min(float(waited[each]), 1.0), OTHERS, of_disks=True
        )
        for each in np.flatnonzero(is_others)
    ]


def mostly(history: History, phase: PhaseWindow) -> str | None:
    """Say that others had the disks for most of a phase; None where they had not."""
    inside = [one for one in disks(history) if meets(phase, one.begin_ns, one.end_ns)]
    lasted_ns = sum(
        min(one.end_ns, phase.end_ns) - max(one.begin_ns, phase.begin_ns) for one in inside
    )
    if not inside or lasted_ns < MOST_SHARE * phase.seconds * 1e9:
        return None
    return max(inside, key=lambda one: one.share).sentence


def meets(phase: PhaseWindow, begin_ns: int, end_ns: int) -> bool:
    """Whether a stretch has a moment of a phase."""
    return begin_ns < phase.end_ns and end_ns > phase.begin_ns


def _of_others(history: History, at_ns: Nanoseconds) -> Floats:
    """Which share of what the disks moved from one sample to the next others moved, at least."""
    moved = _column(history, "disk_io_bytes")
    own = np.nan_to_num(_column(history, "load_io_bytes")) + _by_nodes(history, at_ns).sum(axis=0)
    since = np.searchsorted(at_ns, at_ns[1:] - FLUSHED_NS)
    gained = np.diff(moved)
    others = (moved[1:] - moved[since]) - (own[1:] - own[since])
    shares: Floats = np.minimum(others, gained) / np.maximum(gained, 1.0)
    return np.where(gained > 0, shares, 0.0)


def _used(history: History, at_ns: Nanoseconds) -> Chosen:
    """Whether some node used a disk from one sample to the next; also where nobody tells."""
    by_node = _by_nodes(history, at_ns)
    if not len(by_node):
        return np.ones(len(at_ns) - 1, np.bool_)
    return np.asarray((np.diff(by_node, axis=1) > 0).any(axis=0))


@once
def _by_node(history: History) -> dict[int, tuple[Nanoseconds, Floats]]:
    """What each node has used of disks: when it was sampled, and how many bytes until then, over
    all lives of its process, each of which begins anew.
    """
    nodes, at = (history.samples.column(name).to_numpy() for name in ("node", "at_ns"))
    values = history.samples.column("io_bytes").to_numpy(zero_copy_only=False).astype(np.float64)
    found = {}
    for node in np.unique(nodes[np.isfinite(values)]).tolist():
        mine = np.flatnonzero((nodes == node) & np.isfinite(values))
        mine = mine[np.argsort(at[mine], kind="stable")]
        steps = np.diff(values[mine])
        gained = np.where(steps < 0, values[mine][1:], steps)
        found[node] = at[mine], np.append(0.0, np.cumsum(gained))
    return found


def _by_nodes(history: History, at_ns: Nanoseconds) -> Floats:
    """What each node had used until each sample of the host: a row a node that tells."""
    rows = [np.interp(at_ns, at, values) for at, values in _by_node(history).values()]
    return np.array(rows).reshape(-1, len(at_ns))


def _column(history: History, name: str) -> Floats:
    """A cumulative column of the host; nan where it does not tell."""
    values: Floats = history.host.column(name).to_numpy(zero_copy_only=False).astype(np.float64)
    return values
