"""Nodes that end by themselves: when is noted at once, how and what they left in other threads."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Callable, Sequence

from harness.errors import HarnessError
from harness.faults.fault import Condition
from harness.supervisor.cluster import Cluster
from harness.supervisor.recording import Recording

WATCH_EVERY_MS = 500


class Deaths:
    """Notices the deaths of a cluster's nodes, and tells them to the run that is recorded then."""

    def __init__(
        self,
        cluster: Cluster,
        recording: Callable[[], Recording | None],
        log: Callable[[str], None],
    ) -> None:
        """`recording`: asks for the open run."""
        self._cluster, self._recording, self._log = cluster, recording, log
        self._guard = threading.Lock()
        self._threads: list[threading.Thread] = []

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
            if cluster.conditions.get(name) is not Condition.STOPPED
        }
        for pidfd in watched:
            poll.register(pidfd, select.POLLIN)
        ready = poll.poll(WATCH_EVERY_MS)
        at_ns = time.monotonic_ns()
        names = [
            name
            for name in (watched.get(descriptor) for descriptor, _ in ready)
            if name is not None
            and cluster.conditions.get(name) is not Condition.STOPPED
            and cluster.has_ended(name)
        ]
        if not names:
            return
        cluster.note_ended(names)
        with self._guard:
            told = threading.Thread(
                target=self._tell, args=(names, at_ns, self._recording()), name="deaths"
            )
            self._threads = [one for one in self._threads if one.is_alive()] + [told]
            told.start()

    def settle(self) -> None:
        """Wait until all that was noted so far is told, and nothing of those nodes is left."""
        with self._guard:
            threads = list(self._threads)
        for thread in threads:
            thread.join()

    def _tell(self, names: Sequence[str], at_ns: int, recording: Recording | None) -> None:
        endings = {name: self._cluster.runtime.ending(name) for name in names}
        for name, ending in endings.items():
            self._log(f"node {name} ended by itself: {ending.words}")
        if recording is not None:
            try:
                recording.nodes_ended(endings, at_ns)
            except HarnessError as error:
                recording.note(f"{len(names)} nodes ended: {error}")
        self._cluster.clear(names)
