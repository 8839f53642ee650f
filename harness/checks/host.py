"""How busy the host was, and with what: whether the machine, or other processes on it, stood in the
way of what was measured. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from harness.checks import gateway, lateness, record, records, taken
from harness.checks.metric import Chosen
from harness.checks.operation_metrics import CAME_TRUE, SPEEDS, TIMES
from harness.checks.resource_metrics import OF_IPERF3, cores, cpu, waited
from harness.checks.taken import meets
from harness.checks.times import Times
from harness.checks.verdict import Cause
from harness.history.gaps import Part
from harness.history.history import History, Nanoseconds, PhaseWindow, once
from harness.operations import Outcome
from harness.operations.operation import Witness
from harness.scenario.budget import Row

# A host is limited where other processes used a fifth of it, and it had hardly a free core; or some
# node waited for a core while they used more than the run: cores are shared out one by one, and who
# has the higher priority may have the one that a node wants.
BUSY_SHARE_LIMIT = 0.85
OTHER_PROCESSES_SHARE_LIMIT = 0.2
WAITED_SHARE_LIMIT = 0.05  # of the time: 50 ms in a second
RELIEF_SHARE = 0.25  # that others took of a full host: without them, the run's own use left it free
STARVED_SHARE = 0.5  # of the time, from which on a node's own times run out meanwhile
HOST_FULL = 0.95  # share of all cores from which on the host has no more to give
AROUND_NS = 1_500_000_000  # samples are taken once a second
APART_NS = 300_000_000  # at most, of a host's sample and its nodes'
LOOKED_AT_NS = 2_000_000_000  # at once: others have it in bursts, and it is sampled each second
NODE_FULL = 0.9  # share of one core from which on a node is at its own limit


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """Shares of all cores over a phase: all that was busy (or stolen by the hypervisor), and the
    part of it that processes used which are none of the run's. `waited`: for which share of the
    time the node that waited longest for a core did; 0 where others can hardly have been why.
    """

    busy: float
    other_processes: float
    waited: float = 0.0

    @property
    def is_full(self) -> bool:
        """Whether there was hardly a free core."""
        return self.busy >= BUSY_SHARE_LIMIT

    @property
    def is_of_others(self) -> bool:
        """Whether what waited for a core did so for others more than for the run itself."""
        return self.other_processes >= max(OTHER_PROCESSES_SHARE_LIMIT, self.busy / 2)

    @property
    def is_shared(self) -> bool:
        """Whether others had most of it, and it was not full."""
        return self.is_of_others and not self.is_full

    @property
    def may_starve(self) -> bool:
        """Whether a node that hardly got a core may have had one without others: they used more
        than the run, or so much of a full host that the run alone would not have filled it.
        """
        is_relief = self.busy >= HOST_FULL and self.other_processes >= RELIEF_SHARE
        return self.is_of_others or is_relief

    @property
    def starved(self) -> bool:
        """Whether some node hardly got a core, for others had them."""
        return self.may_starve and self.waited >= STARVED_SHARE

    @property
    def limited(self) -> bool:
        """Whether a missed time says more of the host than of the system under test."""
        if self.is_full:
            return self.other_processes >= OTHER_PROCESSES_SHARE_LIMIT
        return self.is_shared and self.waited >= WAITED_SHARE_LIMIT

    @property
    def sentence(self) -> str:
        """What others took of it."""
        said = f"processes that are none of this run's took {self.other_processes:.0%} of the host"
        if self.waited < WAITED_SHARE_LIMIT:
            return said
        return f"{said}, and {_waiting('', self.waited)}"


def _waiting(most: str, share: float) -> str:
    """Say for which share of the time a node waited for a core; its threads wait each for
    themselves.
    """
    if share <= 1:
        return f"a node waited for a core for {most}{share:.0%} of the time"
    return f"the threads of a node waited for a core for {most}{share:.1f} s a second in all"


def use(history: History, phase: PhaseWindow) -> HostUse | None:
    """How the host was used in a phase, or around one too short for two samples; None where it
    was not sampled at least twice.

    The run's own processes are the nodes, the supervisor and the load generator; an engine's
    helpers and the kernel's threads count as other processes.
    """
    phase, at = replace(phase, left_out=()), history.host.column("at_ns").to_numpy()
    if ((at >= phase.begin_ns) & (at < phase.end_ns)).sum() < 2:
        begin_ns, end_ns = phase.begin_ns - AROUND_NS, phase.end_ns + AROUND_NS
        phase = replace(phase, begin_ns=begin_ns, end_ns=end_ns)
    inside = np.nonzero((at >= phase.begin_ns) & (at < phase.end_ns))[0]
    if len(inside) < 2:
        return None
    return _between(history, phase, int(inside[0]), int(inside[-1]))


def _between(history: History, phase: PhaseWindow, first: int, last: int) -> HostUse | None:
    """How the host was used between two of its samples; None where these are of one moment."""
    begin_ns, end_ns = (history.host.column("at_ns")[row].as_py() for row in (first, last))
    if end_ns <= begin_ns:
        return None
    whole = float(end_ns - begin_ns) * history.cores
    busy = sum(_gained(history, column, first, last) for column in ("cpu_busy_ns", "cpu_steal_ns"))
    watched = [dict(history.host.column("load_cpu_ns")[row].as_py()) for row in (first, last)]
    own = sum(watched[1][name] - watched[0][name] for name in watched[0].keys() & watched[1].keys())
    around = replace(phase, begin_ns=begin_ns - APART_NS, end_ns=end_ns + APART_NS, left_out=())
    own += cores(history, around) * (end_ns - begin_ns)
    used = HostUse(busy=busy / whole, other_processes=max(busy - own, 0.0) / whole)
    return replace(used, waited=waited(history, around)) if used.may_starve else used


@once
def by_second(history: History) -> list[tuple[int, int, HostUse]]:
    """How the host was used from one of its samples to the next: from, to (ns), and how. Others
    come in bursts: over a phase, or over three seconds, it may have had a free core, and none when
    it mattered.
    """
    at = history.host.column("at_ns").to_numpy()
    found = []
    for row, (begin_ns, end_ns) in enumerate(pairwise(at.tolist())):
        phase = PhaseWindow(name="", begin_ns=begin_ns, end_ns=end_ns)
        used = _between(history, phase, row, row + 1)
        if used is not None:
            found.append((begin_ns, end_ns, used))
    return found


def untold(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """Say what is missing that could show that nodes waited for a core in a phase, where a row is
    about times; None where nothing is.
    """
    if not feels_it(row):
        return None
    for begin_ns, end_ns, used in by_second(history):
        if used.is_shared and not used.limited and meets(phase, begin_ns, end_ns):
            window = PhaseWindow(name="", begin_ns=begin_ns, end_ns=end_ns)
            if missing := record.lacking(history, frozenset({Part.SAMPLES}), window):
                return missing
    return None


def limits(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """Why a missed row says nothing of the system; None where it does.

    Of a time: other processes had the host. Of a rate that should have been higher: the host was
    full, or others had the core that the node wanted, and the node was far from using one.
    """
    if row.metric == "cluster.ready":
        return _of_start(history)
    is_rate = row.metric == OF_IPERF3 or row.kind in ("rate", "byte rate")
    is_rate &= row.metric not in SPEEDS
    if is_rate and row.comparison in (">", ">="):
        return _full(history, row, phase)
    if not feels_it(row) or row.bound is None:
        return None
    used = use(history, phase)
    if used is not None and used.limited:
        return f"{used.sentence}{busy(history, phase)}"
    return taken.mostly(history, phase)


def _of_start(history: History) -> str | None:
    """Why a start that took too long says nothing of the system: no phase's samples tell of it."""
    others = history.ready_others
    if others is None:
        return "how much of the host others took while the cluster started is not known"
    if others < OTHER_PROCESSES_SHARE_LIMIT:
        return None
    return f"processes that are none of the cluster's took {others:.0%} of the host as it started"


def feels_it(row: Row) -> bool:
    """Whether a slow host alone can make a row be missed, by how long operations take: it promises
    that times are short, or do not differ much, or that a speed is high, or much comes in time.
    """
    if row.metric in SPEEDS or row.within_ms is not None:
        return row.comparison in (">", ">=")
    return (row.kind == "time" or row.metric in TIMES) and row.comparison in ("<", "<=")


def excuse(history: History, from_ns: int, until_ns: int) -> tuple[Cause, str] | None:
    """Why what was due from one moment until another may not have been the system's to do; None
    where it was.
    """
    stalls = gateway.stalls(history)
    if len(stalls) and ((stalls[:, 0] < until_ns) & (stalls[:, 1] > from_ns)).any():
        return Cause.GATEWAY_STALLED, "the gateway, which keeps its journal, stood still meanwhile"
    window = PhaseWindow(name="", begin_ns=from_ns, end_ns=until_ns)
    if missing := record.lacking(history, frozenset({Part.HOST}), window):
        return Cause.GAP, missing
    parts = (
        PhaseWindow(name="", begin_ns=at_ns, end_ns=min(at_ns + LOOKED_AT_NS, until_ns))
        for at_ns in range(from_ns, until_ns, LOOKED_AT_NS)
    )
    used = [one for one in (use(history, part) for part in parts) if one and one.limited]
    if used:
        worst = max(used, key=lambda one: one.other_processes)
        return Cause.HOST_LIMITED, f"in two seconds of it, {worst.sentence}"
    for one in taken.taken(history):
        if meets(window, one.begin_ns, one.end_ns):
            return Cause.HOST_LIMITED, f"meanwhile {one.sentence}"
    return None


def ends_slowly(row: Row) -> Outcome | None:
    """How an operation ends that a slow host alone made miss the row; None: in no way."""
    if feels_it(row):
        return Outcome.OK
    return Outcome.UNKNOWN if row.metric in CAME_TRUE else None


def came(history: History, unanswered: Chosen) -> Chosen:
    """Which of these operations came to whom they were for, though nobody answered in time, or
    could not, because their sender had given them up, or may have, for all that records tell.
    """
    found = np.zeros(len(unanswered), np.bool_)
    for kind in records.kinds(history):
        mine = unanswered & (history.column("operation") == kind)
        operation = history.kind(kind)
        spec = operation.spec
        found[mine] = spec.is_given_up | (
            records.witnessed_ns(history, operation, mine) != records.NEVER
        )
        if spec.ledger is not None and spec.ledger.witness is Witness.KEEPER:
            found[mine] |= records.shares_key(history, mine)
    return found


@once
def slowed(history: History, phase: PhaseWindow) -> tuple[Chosen, str]:
    """Return which operations were under way while the host was limited, or some of it was taken
    away, and the sentence of it.
    """
    limited = [one for one in by_second(history) if one[2].limited and meets(phase, *one[:2])]
    lost = [one for one in taken.taken(history) if meets(phase, *one[:2])]
    stretches = [(begin_ns, end_ns - 1) for begin_ns, end_ns, _ in limited]
    stretches += [(one.begin_ns, one.end_ns - 1) for one in lost]
    found = Times.of(stretches).meet(history.column("intended_ns"), until_ns(history))
    if not limited:
        return found, max(lost, key=lambda one: one.share).sentence if lost else ""
    share = np.mean([used.other_processes for *_, used in limited])
    longest = max(used.waited for *_, used in limited)
    lasted_ns = sum(
        min(end_ns, phase.end_ns) - max(begin_ns, phase.begin_ns) for begin_ns, end_ns, _ in limited
    )
    return found, (
        f"processes that are none of this run's took {share:.0%} of the host in "
        f"{lasted_ns / 1e9:.0f} of {phase.seconds:.0f} seconds"
        + (f", in which {_waiting('up to ', longest)}" if longest >= WAITED_SHARE_LIMIT else "")
    )


def until_ns(history: History) -> Nanoseconds:
    """Compute until when each operation was under way: until it was done, or its time was over."""
    until_ns = history.column("done_ns").copy()
    for kind in records.kinds(history):
        open_ = (until_ns == 0) & (history.column("operation") == kind)
        wait_ns = lateness.patience_ns(history, history.kind(kind))
        until_ns[open_] = history.column("intended_ns")[open_] + wait_ns
    return until_ns


def pressure(history: History, begin_ns: int, end_ns: int) -> float | None:
    """Return the share of a stretch in which some task waited for a core; None where the kernel
    does not say it, or fewer than two samples are around it.
    """
    at = history.host.column("at_ns").to_numpy()
    first = int(np.searchsorted(at, begin_ns, "right")) - 1
    last = int(np.searchsorted(at, end_ns, "left"))
    if first < 0 or last >= len(at):
        return None
    waited = [history.host.column("psi_cpu_some_us")[each].as_py() for each in (first, last)]
    if None in waited or at[last] <= at[first]:
        return None
    return float((waited[1] - waited[0]) * 1e3 / (at[last] - at[first]))


def _full(history: History, row: Row, phase: PhaseWindow) -> str | None:
    """Why a rate that was too low says nothing of the node; None where it does."""
    used, shares = use(history, phase), cpu(history, phase)
    wanted = (
        [history.index(row.conditions.node)]
        if row.conditions.node is not None
        else list(shares.series)
    )
    busiest = max(
        (float(shares.series[index].mean()) for index in wanted if index in shares.series),
        default=math.inf,
    )
    if used is None or busiest > NODE_FULL:
        return None
    if used.busy >= HOST_FULL:
        why = "the host had no more to give"
    elif used.waited >= WAITED_SHARE_LIMIT:
        why = used.sentence
    elif (of_disks := taken.mostly(history, phase)) is not None:
        why = of_disks
    else:
        return None
    return (
        f"the node used {busiest:.0%} of one core, and {why}: what it can do is not known"
        f"{busy(history, phase)}"
    )


def busy(history: History, phase: PhaseWindow) -> str:
    """How busy the host was, as the end of a sentence; empty where it was not sampled."""
    used = use(history, phase)
    return "" if used is None else f"; the host's {history.cores} cores were {used.busy:.0%} busy"


def _gained(history: History, column: str, first: int, last: int) -> float:
    values = history.host.column(column)
    return float(values[last].as_py() - values[first].as_py())
