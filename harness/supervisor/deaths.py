"""Nodes that end by themselves: when is noted at once, how and what they left in other threads."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Sequence

from harness.faults.fault import Condition
from harness.supervisor.cluster import Cluster
from harness.supervisor.faults import Faults

WATCH_EVERY_MS = 500


class Deaths:
    """Notices the deaths of a cluster's nodes, and tells them."""

    def __init__(
        self,
        cluster: Cluster,
        faults: Faults,
        log: Callable[[str], None],
        note: Callable[[str], None],
    ) -> None:
        """`note`: takes what makes the record of an open run incomplete, and logs it."""
        self._cluster, self._faults, self._log, self._note = cluster, faults, log, note
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []
        cluster.settle = self._settle

    def look(self, wake: int) -> None:
        """Wait until a node has ended or the descriptor `wake` is readable, at most for a moment;
        note all that have ended as of now, before anything that takes time.
        """
        cluster = self._cluster
        poll = select.poll()
        poll.register(wake, select.POLLIN)
        watched = {
            one.pidfd: name
            for name, one in list(cluster.running.items())
            if not _is_down(cluster, name)
        }
        for pidfd in watched:
            poll.register(pidfd, select.POLLIN)
        ready = poll.poll(WATCH_EVERY_MS)
        at_ns = time.monotonic_ns()
        names = [watched[descriptor] for descriptor, _ in ready if descriptor in watched]
        names = self._faults.note_ended(names)
        if not names:
            return
        with self._guard:
            told = threading.Thread(target=self._tell, args=(names, at_ns), name="deaths")
            self._threads = [one for one in self._threads if one.is_alive()] + [told]
            told.start()

    def settle(self) -> None:
        """Wait until all that was noted so far is told, and nothing of those nodes is left."""
        with self._guard:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _settle(self, name: str) -> None:
        """Have it told that a node ended by itself, where it did: it is about to be changed, and a
        new process would be all that is left to look at.
        """
        at_ns = time.monotonic_ns()
        if self._faults.note_ended([name]):
            self._tell([name], at_ns)
        self._faults.await_told(name)

    def _tell(self, names: Sequence[str], at_ns: int) -> None:
        try:
            for name, ending in self._faults.tell_ended(names, at_ns).items():
                self._log(f"node {name} ended by itself: {ending.words}")
        except Exception as error:  # whatever it is, such as a full disk
            which = names[0] if len(names) == 1 else f"{len(names)} nodes"
            self._note(f"{which} ended by itself, which could not be written down: {error}")
        self._cluster.clear(names)


def _is_down(cluster: Cluster, name: str) -> bool:
    """Whether the harness has ended the node, or is about to; or its end is known already."""
    return cluster.conditions.get(name, Condition.RUNNING).is_down
