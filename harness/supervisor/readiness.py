"""Readiness: nodes say that they are ready, by sd_notify(3) datagrams on one unix socket.

A thread listens, so no node ever waits. A datagram is ``NODE=<name>`` and then ``STATUS=…`` or
``READY=1``, a line each.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from pathlib import Path

DATAGRAM_BYTES_MAX = 4096
TICK_S = 0.25


class Readiness:
    """The last status of every node, and which nodes are ready. `told` is told of each that becomes
    so. `hurried`: nodes that were not waited for, as others were due to change them.
    """

    def __init__(self, path: Path) -> None:
        self.told: Callable[[str], None] = lambda _: None
        self.hurried: set[str] = set()
        self._changed = threading.Condition()
        self.statuses: dict[str, str] = {}
        self.ready: set[str] = set()
        self._last_news_s = time.monotonic()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._socket.bind(str(path))
        self._path = path
        threading.Thread(target=self._listen, name="readiness", daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        self._path.unlink(missing_ok=True)

    def expect(self, node: str) -> None:
        """Forget what a node said: it is about to start."""
        with self._changed:
            self.ready.discard(node)
            self.hurried.discard(node)
            self.statuses[node] = "starting"
            self._last_news_s = time.monotonic()

    def wait(
        self, nodes: Collection[str], silence_s: float, tick: Callable[[int], None]
    ) -> list[str]:
        """Wait until all `nodes` are ready, or no node said anything new for `silence_s` seconds of
        waiting: before, they may have been held.

        `tick` is called at least twice a second with the number of nodes that are ready, and may
        raise to give up. Returns the nodes that are not ready.
        """
        wanted, since_s = set(nodes), time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: wanted <= self.ready, timeout=TICK_S)
                missing = wanted - self.ready
                silent_s = time.monotonic() - max(self._last_news_s, since_s)
            tick(len(wanted) - len(missing))
            if not missing or silent_s > silence_s:
                return sorted(missing)

    def _listen(self) -> None:
        while True:
            try:
                datagram = self._socket.recv(DATAGRAM_BYTES_MAX)
            except OSError:
                return
            said = dict(
                line.split("=", 1)
                for line in datagram.decode("utf-8", "replace").splitlines()
                if "=" in line
            )
            node = said.get("NODE", "")
            with self._changed:
                is_news = said.get("READY") == "1" and node not in self.ready
                if said.get("READY") == "1" or said.get("STATUS", "") not in (
                    "",
                    self.statuses.get(node),
                ):
                    self._last_news_s = time.monotonic()  # the same words again are no news
                if "STATUS" in said:
                    self.statuses[node] = said["STATUS"]
                if said.get("READY") == "1":
                    self.ready.add(node)
                    self._changed.notify_all()
            if is_news:
                with suppress(Exception):  # what could not be written down is a node that is not
                    self.told(node)
