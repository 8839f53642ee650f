"""The supervisor: one process a cluster, which owns everything and composes the owners. Nothing
else lives here.

It is started by launch.py with a channel (a socket): the Spec comes down, progress goes up as JSON
lines, and a channel that closes before the cluster is ready means that the user gave up. Afterwards
the control socket is the only way in.
"""

from __future__ import annotations

import errno
import json
import os
import pickle
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness import runtimes
from harness.checks import rows as budget_check
from harness.control import state
from harness.control.spec import Spec
from harness.errors import (
    HarnessError,
    InterruptedByUserError,
    StorageError,
    UnavailableError,
    UsageError,
)
from harness.faults import spec
from harness.faults.fault import Condition, Fault
from harness.host import preflight
from harness.kernel.proc import is_readable
from harness.network.fabric import Fabric
from harness.network.network import Network
from harness.runtimes import owner
from harness.runtimes.processes import last_lines
from harness.scenario.files import read_budget
from harness.supervisor import server
from harness.supervisor.cluster import Cluster
from harness.supervisor.recording import Recording
from harness.systems import adapters
from harness.topology.topology import Topology

STATUS_VERSION = 1
PROGRESS_EVERY_S = 0.05
WATCH_EVERY_MS = 500


class Channel:
    """Progress to the one who waits for the cluster, and notice of their giving up."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._said_s = 0.0
        self._lock = threading.Lock()

    def say(self, **message: Any) -> None:
        """Send one line; a client that is gone is noticed by `progress`."""
        with suppress(OSError), self._lock:
            self._connection.sendall(json.dumps(message).encode() + b"\n")

    def progress(self, stage: str, done: int, total: int) -> None:
        """Say how far it is. Raises InterruptedByUserError where nobody listens any more."""
        if is_readable(self._connection.fileno()):
            raise InterruptedByUserError(
                "interrupted while the cluster was starting; everything was removed"
            )
        now = time.monotonic()
        if done == total or now - self._said_s > PROGRESS_EVERY_S:
            self._said_s = now
            self.say(stage=stage, done=done, of=total)

    def close(self) -> None:
        self._connection.close()


class Supervisor:
    """One cluster from `up` to `down`, and its runs."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self._spec = spec
        self._folder = folder
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._recording: Recording | None = None
        self._run: Path | None = None
        self._stage = "starting"
        self._ready_s: float | None = None
        topology = spec.topology
        self._runtime = runtimes.named(spec.runtime)(label=spec.cluster, state=folder)
        self._fabric = Fabric(
            spec.cluster,
            topology.addresses,
            congestion_control=topology.congestion_control,
            gso_max_segs=topology.gso_max_segs,
        )
        self.cluster = Cluster(
            topology, adapters.named(topology.adapter), self._runtime, self._fabric, folder
        )
        self._server = server.Server(
            folder / "control.sock",
            {
                "status": lambda *_: self.status(),
                "begin": lambda params, *_: self.begin(**params),
                "end": lambda params, *_: self.end(**params),
                "exec": self.execute,
                "logs": lambda params, *_: self.cluster.last_lines(params["node"], params["lines"]),
                "condition": lambda params, *_: self.set_condition(
                    params["node"], Condition(params["condition"])
                ),
                "fault-set": lambda params, *_: self.set_fault(
                    params["words"], params.get("for_s")
                ),
                "fault-clear": lambda params, *_: self.clear_faults(params.get("name")),
                "fault-list": lambda *_: self.faults(),
                "down": lambda *_: self.stop(),
            },
        )

    def status(self) -> dict[str, Any]:
        """What `harness status --json` prints (docs/interfaces.md)."""
        recording = self._recording
        return {
            "version": STATUS_VERSION,
            "cluster": self._spec.cluster,
            "pid": os.getpid(),
            "stage": self._stage,
            "runtime": self._spec.runtime,
            "adapter": self._spec.topology.adapter,
            "system": self.cluster.adapter.name,
            "topology": self._spec.topology.name,
            "run": str(recording.folder.path) if recording else None,
            "phase": recording.phase if recording else None,
            "last_run": str(self._run) if self._run else None,
            "nodes": self.cluster.rows(),
        }

    def begin(
        self,
        *,
        scenario: str,
        phases: list[Mapping[str, Any]],
        seed: int,
        budget: str | None,
        runs: str,
        load: Mapping[str, Any],
        files: Mapping[str, str],
        start_in_s: float,
    ) -> dict[str, Any]:
        """Open a run folder below `runs`; the first phase begins at the ``t0_ns`` (CLOCK_MONOTONIC)
        in the answer.

        `budget` is the path of a budget file, whose text is kept in the folder. Raises BadFileError
        before anything is made.
        """
        with self._lock:
            if self._stage != "up":
                raise UnavailableError(
                    f"cluster {self._spec.cluster!r} is {self._stage}, not up yet"
                )
            if self._recording is not None:
                raise UsageError(
                    f"cluster {self._spec.cluster!r} is recording a run already: "
                    f"{self._recording.folder.path}"
                )
            named = {"topology.toml": self._spec.topology_text} if self._spec.topology_text else {}
            named["topology.json"] = json.dumps(topology_json(self._spec.topology), indent=1)
            if budget is not None:
                budget_check.validate(read_budget(Path(budget)).rows)
                named["budget.toml"] = Path(budget).read_text()
            self._recording = Recording(
                self.cluster,
                name=scenario,
                phases=phases,
                runs=Path(runs),
                start_in_s=start_in_s,
                files={**named, **files},
                facts={
                    "cluster": self._spec.cluster,
                    "topology": self._spec.topology.name,
                    "adapter": self.cluster.adapter.name,
                    "seed": seed,
                    "load": dict(load),
                    "runtime": {"name": self._spec.runtime, **self._runtime.facts()},
                    "network": self._fabric.facts(),
                    "exempt": dict(self.cluster.adapter.exempt),
                    "nodes": self.cluster.rows(),
                    "ready_s": self._ready_s,
                },
            )
            return {"run": str(self._recording.folder.path), "t0_ns": self._recording.t0_ns}

    def end(
        self, *, at_ns: int | None = None, load: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Close the run folder; it is complete when this returns. `at_ns`: when the load stopped,
        if before now.
        """
        with self._lock:
            if self._recording is None:
                raise UsageError(f"cluster {self._spec.cluster!r} is recording no run")
            recording, self._recording = self._recording, None
            self._run = recording.close(load or {}, at_ns)
            return {"run": str(self._run)}

    def execute(
        self, params: dict[str, Any], descriptors: list[int], connection: socket.socket
    ) -> dict[str, Any]:
        """Run a command beside a node with the client's stdin, stdout and stderr; it ends when the
        client goes.
        """
        self.cluster.require(params["node"])
        if len(descriptors) != 3:
            raise UsageError(
                "exec: expected three descriptors (stdin, stdout, stderr) with the request"
            )
        pid = self._runtime.execute(
            params["node"], params["argv"], (descriptors[0], descriptors[1], descriptors[2])
        )
        pidfd = os.pidfd_open(pid)
        poll = select.poll()
        poll.register(pidfd, select.POLLIN)
        poll.register(connection, select.POLLIN | select.POLLHUP)
        try:
            while not any(descriptor == pidfd for descriptor, _ in poll.poll()):
                with suppress(ProcessLookupError):  # the client hung up (Ctrl-C)
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)
                poll.unregister(connection)
        finally:
            os.close(pidfd)
        _, how = os.waitpid(pid, 0)
        return {"exit_code": os.waitstatus_to_exitcode(how)}

    def set_condition(self, node: str, condition: Condition) -> dict[str, Any]:
        """Bring a node into a condition; a node that starts anew journals into the open run
        again.
        """
        self.cluster.set_condition(node, condition)
        recording = self._recording
        if recording is not None:
            if condition is Condition.RUNNING:
                recording.rejoin(node)
            else:
                recording.folder.event("node-condition", node=node, condition=str(condition))
        return {"node": node, "condition": str(condition)}

    @property
    def _network(self) -> Network:
        if self.cluster.network is None or self._stage != "up":
            raise UnavailableError(f"cluster {self._spec.cluster!r} is {self._stage}, not up yet")
        return self.cluster.network

    def set_fault(self, words: dict[str, Any], for_s: float | None = None) -> dict[str, Any]:
        """Bring a fault into force (asked.py has the words), for a time where one is given. Raises
        before anything changes.
        """
        network = self._network
        fault = spec.asked(words, network.nodes, network.seed)
        for name in sorted(spec.named_nodes(words, network.nodes)):
            if self.cluster.conditions.get(name) is Condition.STOPPED:
                raise UsageError(
                    f"node {name} is stopped; a fault there would be nobody's: `harness "
                    f"condition {name} running` first"
                )
        change = network.set(fault)
        if for_s is not None:
            timer = threading.Timer(for_s, self._expire, (change.fault,))
            timer.daemon = True
            timer.start()
        return {
            "name": fault.name,
            "paths": fault.count,
            "does": fault.does,
            "nodes": len({*fault.up, *fault.down}),
            "took_ms": change.took_ns / 1e6,
            "backends": network.backends,
        }

    def _expire(self, fault: Fault) -> None:
        network = self.cluster.network
        if (
            network is not None and network.faults.get(fault.name) is fault
        ):  # not one that took its name since
            with suppress(HarnessError):
                network.clear(fault.name)

    def clear_faults(self, name: str | None = None) -> dict[str, Any]:
        """Take one fault back, or all."""
        return {"cleared": [change.fault.name for change in self._network.clear(name)]}

    def faults(self) -> dict[str, Any]:
        """The faults in force, and whether the kernel has what was asked."""
        return {
            "version": 1,
            "faults": self._network.rows(),
            "backends": self._network.backends,
            "disagree": {name: why for name, why in self._network.agrees().items() if why},
        }

    def stop(self, *_: object) -> dict[str, Any]:
        """Have the main thread take everything down."""
        self._stop.set()
        with suppress(BlockingIOError):
            os.write(self._wake_write, b".")
        return {"cluster": self._spec.cluster}

    def up(self, channel: Channel) -> None:
        """Start everything; raises what went wrong, and `close` then removes what was made."""
        count, hard = len(self._spec.topology.nodes), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        preflight.preflight(
            count,
            self._spec.runtime,
            self._runtime.cost(count),
            preflight.read_limits(),
        )
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        begun = time.monotonic()
        self.cluster.up(channel.progress)
        self._ready_s = time.monotonic() - begun
        self._stage = "up"

    def serve(self) -> None:
        """Until `stop`: notice nodes that end by themselves. A cluster whose gateway ended is
        blind, and goes down.
        """
        known: set[str] = set()
        while not self._stop.is_set():
            gateway = self.cluster.gateway
            if gateway is not None and gateway.has_ended:
                _log(f"the gateway, which speaks to the nodes, ended{last_lines(gateway.log)}")
                if self._recording is not None:
                    self._recording.note(
                        "the gateway, which speaks to the nodes, ended: nothing is known of them "
                        "from then on"
                    )
                return
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            watched = {
                one.pidfd: name
                for name, one in list(self.cluster.running.items())
                if name not in known
            }
            for pidfd in watched:
                poll.register(pidfd, select.POLLIN)
            for descriptor, _ in poll.poll(WATCH_EVERY_MS):
                name = watched.get(descriptor)
                if (
                    name is not None
                    and self.cluster.conditions.get(name) is Condition.RUNNING
                    and self.cluster.has_ended(name)
                ):
                    self.cluster.note_ended(name)
                    if self._recording is not None:
                        self._recording.node_ended(name)
                    _log(f"node {name} ended by itself")

    def close(self) -> None:
        """End an open run as it is, then take the cluster down."""
        self._stage = "going down"
        with suppress(HarnessError):
            if self._recording is not None:
                self.end(load={"interrupted": True})
        self._server.close()
        self.cluster.close()


def _told(error: Exception, folder: Path) -> tuple[str, str]:
    """The kind and the words of an error for the one who waits: ours as they are, a full disk as
    what it is.
    """
    if isinstance(error, HarnessError):
        return type(error).__name__, str(error)
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return (
            StorageError.__name__,
            (
                f"the state folder {folder} cannot be written: {error.strerror} (HARNESS_STATE "
                "chooses another)"
            ),
        )
    return HarnessError.__name__, f"{type(error).__name__}: {error}"


def _log(line: str) -> None:
    """Into supervisor's log file; on a full disk the channel and the events still say it."""
    with suppress(OSError):
        print(line, file=sys.stderr, flush=True)


def topology_json(topology: Topology) -> dict[str, Any]:
    """A topology as JSON: names, regions, options, links."""
    return {
        "version": 1,
        "name": topology.name,
        "adapter": topology.adapter,
        "addresses": str(topology.addresses),
        "seed": topology.seed,
        "nodes": [
            {"name": node.name, "region": node.region, "options": dict(node.options)}
            for node in topology.nodes
        ],
        "links": sorted(topology.links),
    }


def main(descriptor: int, problem: HarnessError | None = None) -> int:
    """Read the Spec from the channel, bring the cluster up, serve until told to stop. `problem`:
    what bootstrap met.
    """
    connection = socket.socket(fileno=descriptor)
    with connection.makefile("rb") as file:
        spec: Spec = pickle.load(file)  # noqa: S301 - from our own parent, over a socketpair
    channel = Channel(connection)
    supervisor: Supervisor | None = None
    lock: state.Lock | None = None
    try:
        if problem is not None:
            raise problem
        lock = state.Lock(spec.cluster)
        os.environ |= owner.mark(lock.path)
        supervisor = Supervisor(spec, lock.path)
        signal.signal(signal.SIGTERM, supervisor.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervisor.up(channel)
        channel.say(ready=True)
        channel.close()
        supervisor.serve()
        return 0
    except Exception as error:
        kind, message = _told(error, state.folder(spec.cluster))
        _log(message)
        failure = {"kind": kind, "message": message}
    finally:
        if supervisor is not None:
            supervisor.close()
        if lock is not None:
            lock.remove()
    channel.say(error=failure)  # last: whoever reads it finds nothing left
    return 70
