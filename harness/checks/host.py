"""How busy the host was, and with what: whether the machine, or other processes on it, stood in the
way of what was measured. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.checks.resource_metrics import cpu
from harness.history.history import History, PhaseWindow

# A host is limited where it had hardly a free core and other processes used a fifth of it.
BUSY_SHARE_LIMIT = 0.85
OTHER_PROCESSES_SHARE_LIMIT = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """Shares of all cores over a phase: all that was busy (or stolen by the hypervisor), and the
    part of it that processes used which are none of the run's.
    """

    busy: float
    other_processes: float

    @property
    def limited(self) -> bool:
        """Whether a missed time says more of the host than of the system under test."""
        return self.busy >= BUSY_SHARE_LIMIT and self.other_processes >= OTHER_PROCESSES_SHARE_LIMIT


def use(history: History, phase: PhaseWindow) -> HostUse | None:
    """How the host was used in a phase; None where it was not sampled at least twice.

    The run's own processes are the nodes, the supervisor and the load generator; an engine's
    helpers and the kernel's threads count as other processes.
    """
    at = history.host.column("at_ns").to_numpy()
    inside = np.nonzero((at >= phase.begin_ns) & (at < phase.end_ns))[0]
    if len(inside) < 2:
        return None
    first, last = int(inside[0]), int(inside[-1])
    whole = float(at[last] - at[first]) * history.cores
    busy = sum(_gained(history, column, first, last) for column in ("cpu_busy_ns", "cpu_steal_ns"))
    watched = [dict(history.host.column("load_cpu_ns")[row].as_py()) for row in (first, last)]
    own = sum(watched[1][name] - watched[0][name] for name in watched[0].keys() & watched[1].keys())
    nodes = cpu(history, phase)
    own += sum(float(share[0]) for share in nodes.series.values()) * (at[last] - at[first])
    return HostUse(busy=busy / whole, other_processes=max(busy - own, 0.0) / whole)


def _gained(history: History, column: str, first: int, last: int) -> float:
    values = history.host.column(column)
    return float(values[last].as_py() - values[first].as_py())
