"""Which of a run's workers are gone: those whose process has ended.

Locust counts heartbeats and gives a worker up after three seconds of silence. But a worker that is
silent may only be waiting for a core: its run goes on, and the verdict says how late it was.

Locust also hands the users of a worker that left to the others, for up to two seconds in which it
reads no message, the others' last words among them. Which worker sends what is planned before a
run begins, so users are handed out once.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any

from locust import runners

from harness.kernel.proc import is_readable

SILENCE_S = 60  # Locust gives up a silent worker after so long, and a worker its master


class Workers:
    """The worker processes of a master."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        self._pidfds: dict[str, int] = {}
        runners.HEARTBEAT_LIVENESS = SILENCE_S
        self._start, runner.start = runner.start, self._start_once

    def _start_once(self, *given: Any, **named: Any) -> None:
        if self._runner.state not in (runners.STATE_SPAWNING, runners.STATE_RUNNING):
            self._start(*given, **named)

    def here(self, client: str, pid: int) -> None:
        """Note which process a worker is."""
        with suppress(OSError):  # it has ended, or is of another PID namespace: silence tells
            if client not in self._pidfds:
                self._pidfds[client] = os.pidfd_open(pid)

    def are_left(self) -> bool:
        """Whether any worker is there that could send the next run."""
        known = {client.id for client in self._runner.clients.all}
        return bool(known - self.gone(known))

    def gone(self, wanted: set[str]) -> set[str]:
        """Return those of the wanted workers that have ended, or that Locust has given up."""
        known = {client.id for client in self._runner.clients.all if client.state != "missing"}
        ended = {client for client, pidfd in self._pidfds.items() if is_readable(pidfd)}
        return (wanted - known) | (wanted & ended)
