"""Cleanup removes what dead clusters left."""

from __future__ import annotations

from contextlib import suppress

from harness import runtimes
from harness.control import logs, state
from harness.errors import NameTakenError
from harness.kernel import mounts
from harness.runtimes import owner


def sweep(cluster: str, runtime: str | None = None) -> list[str]:
    """Remove what a dead cluster left, by its label and its mark. `runtime`: the one that it is
    known to have lived in; an engine that others use is not asked then, and need not answer.

    Returns what was removed, a line each. Raises NameTakenError where the cluster's supervisor
    lives.
    """
    existed = state.folder(cluster).exists()
    lock = state.Lock(cluster)
    removed = runtimes.sweep(cluster, lock.path.parent, of=runtime)
    removed += [f"process {pid}" for pid in owner.end_processes(lock.path)]
    removed += [f"mount {path}" for path in mounts.remove_below(lock.path)]
    if existed:
        removed.append(f"folder {lock.path}")
    lock.remove()
    return removed + logs.forget(cluster)


def doctor() -> dict[str, list[str]]:
    """Remove the leftovers of all dead clusters of this user: cluster → what was removed. Of one
    that went down when nobody waited for it any more that is its log.
    """
    found: dict[str, list[str]] = {}
    for cluster in (*state.clusters(), *runtimes.orphans(state.root())):
        if cluster not in found and not state.is_alive(cluster):
            with suppress(NameTakenError):  # somebody has taken the name just now
                found[cluster] = sweep(cluster)
    for cluster in logs.clusters():
        if removed := logs.forget(cluster):
            found.setdefault(cluster, []).extend(removed)
    return found
