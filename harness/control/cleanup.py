"""Cleanup removes what dead clusters left."""

from __future__ import annotations

from contextlib import suppress

from harness import runtimes
from harness.control import state
from harness.errors import NameTakenError
from harness.kernel import mounts
from harness.runtimes import owner


def _forget_log(cluster: str) -> None:
    """Remove a supervisor's log, unless another one lives: it is that one's.

    It is worth keeping only while the supervisor lives, and after it died without being asked to.
    """
    if state.is_alive(cluster):
        return
    with suppress(OSError):
        (state.root() / f"{cluster}.log").unlink()


def sweep(cluster: str) -> list[str]:
    """Remove what a dead cluster left, by its label and its mark.

    Returns what was removed, a line each. Raises NameTakenError where the cluster's supervisor
    lives.
    """
    lock = state.Lock(cluster)
    removed = runtimes.sweep(cluster, lock.path.parent)
    removed += [f"process {pid}" for pid in owner.end_processes(lock.path)]
    removed += [f"mount {path}" for path in mounts.remove_below(lock.path)]
    removed.append(f"folder {lock.path}")
    lock.remove()
    _forget_log(cluster)
    return removed


def doctor() -> dict[str, list[str]]:
    """Remove the leftovers of all dead clusters of this user: cluster → what was removed."""
    found: dict[str, list[str]] = {}
    for cluster in (*state.clusters(), *runtimes.orphans(state.root())):
        if cluster not in found and not state.is_alive(cluster):
            with suppress(NameTakenError):  # somebody has taken the name just now
                found[cluster] = sweep(cluster)
    return found
