"""A Locust process as a worker of runs: what it does when the master begins and drains one."""

from __future__ import annotations

import logging
import os
from math import inf
from time import monotonic_ns
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from locust.runners import WorkerRunner

from harness.errors import HarnessError
from harness.load.locust import statistics
from harness.load.locust.exits import ExitCode
from harness.load.plan import RunPlan
from harness.load.worker import YIELD_S, Worker
from harness.operations import Operation
from harness.stats import Integers

log = logging.getLogger(__name__)


class Follower:
    """Follows the master through one run after another."""

    def __init__(self, environment: Any, runner: Any, exit_code: ExitCode) -> None:
        self._environment, self._runner, self._exit_code = environment, runner, exit_code
        self._worker: Worker | None = None
        self._timeout_s = 0.0  # of the run's operations
        self._draining = BoundedSemaphore()
        self._since_s, self._until_s = 0.0, inf  # of the load, as Locust's statistics know it

    def listen(self) -> None:
        """Hear the master's messages, and Locust's own end."""
        self._runner.register_message("p2p-begin", lambda msg, **_: self._begin(msg.data))
        self._runner.register_message(
            "p2p-end-phase", lambda msg, **_: self._end_phase(msg.data["phase"], msg.data["at_ns"])
        )
        self._runner.register_message(
            "p2p-drain",
            lambda msg, **_: self._drain(msg.data["at_ns"], msg.data["wait_s"]),
            concurrent=True,
        )
        if isinstance(self._runner, WorkerRunner):
            # Ctrl-C reaches workers too; one that ends before the master has told it to drain does
            # so by itself.
            self._environment.events.test_stopping.add_listener(
                lambda **_: self._drain(monotonic_ns(), self._timeout_s)
            )
            self._environment.events.quitting.add_listener(lambda **_: self._quit())

    def _begin(self, sent: Any) -> None:
        plan, client = RunPlan.from_wire(sent), self._runner.client_id
        if client not in plan.workers:
            return
        if isinstance(self._runner, WorkerRunner):
            self._tell("p2p-here", {"pid": os.getpid()})
        try:
            index, self._timeout_s = plan.workers.index(client), plan.timeout_s
            self._since_s, self._until_s = statistics.wall_s(plan.t0_ns), inf
            worker = Worker(plan, index, report=self._report, failed=self._failed)
            worker.start()
            self._worker = worker  # one that did not start could not finish
        except Exception as error:  # Locust would log it and go on without load
            self._failed(error)

    def _end_phase(self, phase: str, at_ns: int) -> None:
        if self._worker is not None:
            try:
                self._worker.end_phase(phase, at_ns)
            except Exception as error:  # Locust would log it, and the phase would go on
                self._failed(error)

    def _drain(self, at_ns: int, wait_s: float) -> None:
        with self._draining:  # a second caller, about to end the process, waits for the first
            worker, self._worker = self._worker, None
            if worker is None:
                return
            self._until_s = statistics.wall_s(at_ns)
            try:
                self._tell("p2p-drained", worker.finish(at_ns, wait_s))
            except Exception as error:  # the master waits for an answer
                self._failed(error)

    def _quit(self) -> None:
        self._runner.stop()
        self._environment.process_exit_code = 0
        self._exit_code.decided = True

    def _report(
        self, facts: dict[str, Any], news: list[tuple[Operation, Integers]], errors: list[str]
    ) -> None:
        for operation, rows in news:
            statistics.feed(
                self._environment.stats,
                operation,
                rows,
                errors,
                since_s=self._since_s,
                until_s=self._until_s,
            )
            gevent.sleep(YIELD_S)
        self._tell("p2p-progress", facts)

    def _tell(self, message: str, facts: dict[str, Any]) -> None:
        self._runner.send_message(message, facts | {"client": self._runner.client_id})

    def _failed(self, error: BaseException) -> None:
        """Tell the master that this worker broke."""
        if isinstance(error, HarnessError):
            kind, sentence = type(error).__name__, str(error)
        else:
            log.error("the load worker broke", exc_info=error)
            kind = HarnessError.__name__
            sentence = f"the load worker broke: {type(error).__name__}: {error}"
        self._runner.send_message("p2p-broken", {"kind": kind, "error": sentence})
