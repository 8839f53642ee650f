"""Cleanup removes what dead clusters left."""

from __future__ import annotations

from contextlib import suppress

from harness import runtimes
from harness.control import state
from harness.runtimes import owner


def _forget_log(cluster: str) -> None:
    """Remove a supervisor's log.

    It is worth keeping only while the supervisor lives, and after it died without being asked to.
    """
    with suppress(OSError):
        (state.root() / f"{cluster}.log").unlink()


def sweep(cluster: str) -> list[str]:
    """Remove what a dead cluster left, by its label and its mark.

    Returns what was removed, a line each. Raises NameTakenError where the cluster's supervisor
    lives.
    """
    lock = state.Lock(cluster)
    removed = runtimes.sweep(cluster)
    removed += [f"process {pid}" for pid in owner.end_processes(lock.path)]
    removed.append(f"folder {lock.path}")
    lock.remove()
    _forget_log(cluster)
    return removed


def doctor() -> dict[str, list[str]]:
    """Remove the leftovers of all dead clusters of this user: cluster → what was removed."""
    found = {cluster: sweep(cluster) for cluster in state.clusters() if not state.is_alive(cluster)}
    for label in runtimes.orphans(state.root()):
        if label not in found and not state.is_alive(label):
            found[label] = sweep(label)
    return found
