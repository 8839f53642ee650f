"""iperf3 measures what a path carries, by a tool that is not ours.

It sends between two nodes' namespaces, beside the system under test.
"""

from __future__ import annotations

import json
import os
import select
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import IO

from harness.errors import HarnessError, UnavailableError
from harness.history.events import Iperf3Failed
from harness.history.folder import RunFolder
from harness.runtimes.runtime import Runtime
from harness.scenario.timeline import PlannedPhase
from harness.supervisor.cluster import Cluster

PORT = 5201
SERVER_START_S = 0.5
GRACE_S = 10
MARGIN_S = 2.0  # it starts and ends within its phase


class Iperf3:
    """Runs iperf3 beside the load in the phases that ask for it, each in a thread of its own."""

    def __init__(self, cluster: Cluster, folder: RunFolder, phases: Sequence[PlannedPhase]) -> None:
        self._cluster, self._folder = cluster, folder
        self._asked = {phase.name: phase for phase in phases if phase.iperf3 is not None}
        self._threads: list[threading.Thread] = []
        self._measured: list[float] = []
        self._over = os.eventfd(0, os.EFD_CLOEXEC)  # readable once the run is over

    def began(self, phase: str) -> None:
        """Start iperf3 where the phase that began asks for it."""
        if phase in self._asked:
            thread = threading.Thread(
                target=self._measure, args=(self._asked[phase],), name="iperf3", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """End the iperf3 whose time is not over, and write what was measured."""
        os.eventfd_write(self._over, 1)
        for thread in self._threads:
            thread.join()
        os.close(self._over)
        if self._measured:
            self._folder.write_json("measurements.json", {"iperf3.goodput": self._measured})

    def _measure(self, phase: PlannedPhase) -> None:
        assert phase.iperf3 is not None
        assert phase.end_s is not None
        source, target = phase.iperf3
        address = self._cluster.places[target].address
        seconds = phase.end_s - phase.begin_s - MARGIN_S
        try:
            value = goodput(self._cluster.runtime, source, target, address, seconds, self._over)
            self._measured.append(value)
        except (HarnessError, OSError) as error:  # its row is UNKNOWN then; all others stand
            self._folder.event(Iperf3Failed(error=str(error)))


def goodput(
    runtime: Runtime, source: str, target: str, address: str, seconds: float, over: int
) -> float:
    """Return the bytes a second that one TCP stream carried from `source` to `target`, at
    `address`.

    Blocks for that long, or until the descriptor `over` is readable. Raises UsageError where iperf3
    is not installed, UnavailableError with its words where it fails, or where it was ended early.
    """
    with tempfile.TemporaryFile() as said, open(os.devnull, "r+b") as nothing:
        server = _run(
            runtime, target, ["iperf3", "--server", "--one-off", "--port", str(PORT)], nothing
        )
        try:
            time.sleep(SERVER_START_S)
            client = _run(
                runtime,
                source,
                [
                    "timeout",
                    "-k",
                    "1",
                    str(round(seconds + GRACE_S)),
                    "iperf3",
                    "--json",
                    "--client",
                    address,
                    "--port",
                    str(PORT),
                    "--time",
                    str(max(1, round(seconds))),
                ],
                said,
            )
            if not _ends(client, time.monotonic() + seconds, over):
                raise UnavailableError("iperf3 was ended: the run was over before its time")
        finally:
            with suppress(ProcessLookupError):
                os.kill(server, signal.SIGKILL)
            os.waitpid(server, 0)
        said.seek(0)
        return parse(said.read())


def _ends(client: int, until_s: float, over: int) -> bool:
    """Wait for the client; where `over` is readable before its time, end it and return False."""
    pidfd = os.pidfd_open(client)
    try:
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(over, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll()}
        if pidfd not in ready and time.monotonic() < until_s:
            signal.pidfd_send_signal(pidfd, signal.SIGTERM)
            return False
        return True
    finally:
        os.close(pidfd)
        os.waitpid(client, 0)


def parse(said: bytes) -> float:
    """Return the bytes a second at the receiver, from iperf3's JSON.

    Raises UnavailableError with iperf3's own words.
    """
    try:
        found = json.loads(said)
        return float(found["end"]["sum_received"]["bits_per_second"]) / 8
    except (ValueError, KeyError, TypeError) as error:
        problem = (
            found.get("error", "no result")
            if isinstance(found := _or_none(said), dict)
            else "no JSON"
        )
        raise UnavailableError(f"iperf3 said {problem}") from error


def _or_none(said: bytes) -> object:
    with suppress(ValueError):
        return json.loads(said)
    return None


def _run(runtime: Runtime, node: str, argv: list[str], output: IO[bytes]) -> int:
    with open(os.devnull, "rb") as nothing:
        return runtime.execute(node, argv, (nothing.fileno(), output.fileno(), output.fileno()))
