"""The supervisor is one process a cluster, which owns everything and composes the owners.

control/launcher.py starts it with a channel (a socket): the Spec comes down, progress goes up as
JSON lines, and a channel that closes before the cluster is ready means that the user gave up.
Afterwards the control socket is the only way in.
"""

from __future__ import annotations

import os
import pickle
import resource
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import runtimes
from harness.control import logs, state
from harness.control.spec import Spec
from harness.errors import HarnessError, UnavailableError, UsageError, attempt, close_all
from harness.faults.fault import Condition
from harness.faults.spec import parse
from harness.host import preflight
from harness.host.starting import Starting
from harness.kernel import memory
from harness.kernel.descriptors import peer
from harness.network.fabric import Fabric
from harness.operations import Operation, own
from harness.runtimes import owner
from harness.runtimes.processes import last_lines
from harness.scenario.files import read_budget
from harness.scenario.timeline import Timeline, changes_of
from harness.supervisor import execution, server
from harness.supervisor.channel import Channel, failure
from harness.supervisor.cluster import Cluster
from harness.supervisor.deaths import Deaths
from harness.supervisor.fault_player import FaultPlayer
from harness.supervisor.faults import Faults
from harness.supervisor.past import Past
from harness.supervisor.profiles import Profiles, profiled
from harness.supervisor.recording import Recording
from harness.supervisor.usage import Usage
from harness.systems import adapters
from harness.systems.adapter import DrivenAdapter

STATUS_VERSION = 1


class Supervisor:
    """One cluster from `up` to `down`, and its runs."""

    def __init__(self, spec: Spec, folder: Path) -> None:
        self._spec, self._folder = spec, folder
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._recording: Recording | None = None
        self._faults: Faults | None = None  # once the cluster is up
        self._fault_player: FaultPlayer | None = None
        self._run: Path | None = None
        self._past, self._stage = Past(), "starting"
        self._started: dict[str, Any] = {}  # how its start went, once it is over
        self._up_since: str | None = None
        topology = spec.topology
        self._runtime = runtimes.made(
            spec.runtime, label=spec.cluster, state=folder, containers=spec.containers
        )
        self._fabric = Fabric(
            spec.cluster,
            topology.addresses,
            congestion_control=topology.congestion_control,
            gso_max_segs=topology.gso_max_segs,
        )
        self.cluster = Cluster(
            topology, adapters.named(topology.adapter), self._runtime, self._fabric, folder
        )
        self._deaths: Deaths | None = None
        self._usage = Usage(self.cluster)
        self.profiles = Profiles(self.cluster)
        self._server = server.Server(folder / "control.sock", self._handlers())

    def _handlers(self) -> dict[str, server.Handler]:
        return {
            "status": lambda *_: self.status(),
            "begin": lambda params, _, by: self.begin(by=peer(by)[0], **params),
            "start": lambda params, _, by: self.start(by=peer(by)[0], **params),
            "end": lambda params, *_: self.end(**params),
            "end-phase": lambda params, *_: self._recorded(params["run"]).end_phase(
                params["phase"], params["at_ns"]
            ),
            "exec": lambda params, fds, by: execution.answer(
                self.cluster, self._past, self._recording, params, fds, by
            ),
            "profile": lambda params, _, by: self.profiles.by_hand(
                profiled(self._recording), params, by
            ),
            "logs": lambda params, *_: self.cluster.last_lines(params["node"], params["lines"]),
            "condition": lambda params, *_: self.set_condition(**params),
            "fault-set": lambda params, *_: self.set_fault(params["words"]),
            "fault-clear": lambda params, *_: self.clear_faults(params.get("name")),
            "fault-list": lambda *_: self.faults(),
            "metrics": lambda *_: self._usage.told(
                self.status(), self._fault_player, self._recording
            ),
            "down": lambda *_: self.stop(),
        }

    def status(self) -> dict[str, Any]:
        """Return what `harness status --json` prints (docs/interfaces.md)."""
        recording = self._recording
        return {
            "version": STATUS_VERSION,
            "cluster": self._spec.cluster,
            "pid": os.getpid(),
            "stage": self._stage,
            "runtime": self._spec.runtime,
            "adapter": self._spec.topology.adapter,
            "system": self.cluster.adapter.name,
            "own": own.entries(self.cluster.adapter.operations),
            "topology": self._spec.topology.name,
            "topology_digest": self.cluster.topology_digest,
            "run": str(recording.folder.path) if recording else None,
            "phase": recording.phase if recording else None,
            "last_run": str(self._run) if self._run else None,
            "up_since": self._up_since,
            "faults": sorted(self._faults.standing) if self._faults is not None else [],
            "nodes": self.cluster.rows(),
        }

    def begin(
        self,
        *,
        scenario: str,
        timeline: Mapping[str, Any],
        budget: str | None,
        runs: str,
        files: Mapping[str, str],
        facts: Mapping[str, Any] | None = None,
        by: int,
    ) -> dict[str, Any]:
        """Open a run folder below `runs` for a timeline, which is played from `start` on.

        `budget`: the path of one, whose text is kept in the folder. `facts`: what its metadata say
        besides (the checks that are asked for). `by`: a pid. Raises BadFileError before all else.
        """
        with self._lock:
            faults, player = self._standing
            if self._recording is not None and self._recording.is_abandoned:
                for error in attempt(lambda: self._close({"interrupted": True}, None)):
                    logs.say(f"the end of a run that nobody leads any more: {error}")
            if self._recording is not None:
                raise UsageError(
                    f"cluster {self._spec.cluster!r} is recording a run already: "
                    f"{self._recording.folder.path}"
                )
            played = Timeline.from_json(timeline)
            named, system = self._spec.inputs(), self.cluster.adapter
            named |= system.kept() if isinstance(system, DrivenAdapter) else {}
            if budget is not None:
                from harness.checks import rows as budget_rows  # late: `up` judges nothing

                budget_rows.validate(read_budget(Path(budget)).rows, None)
                named["budget.toml"] = Path(budget).read_text()
            self._recording = Recording(
                self.cluster,
                faults,
                player,
                name=scenario,
                timeline=played,
                runs=Path(runs),
                begun_by=by,
                past=self._past,
                files={**named, **files},
                facts={
                    **(facts or {}),
                    "cluster": self._spec.cluster,
                    **self.cluster.facts(),
                    "seed": played.seed,
                    "runtime": {"name": self._spec.runtime, **self._runtime.facts()},
                    "network": self._fabric.facts(),
                    "operations": {one.word: int(one) for one in {*Operation, *system.operations}},
                    **self._started,
                },
            )
            return {"run": str(self._recording.folder.path)}

    def start(
        self, *, run: str, load: Mapping[str, Any], start_in_s: float, by: int
    ) -> dict[str, Any]:
        """Start the clock of the run that was begun: its first phase begins at ``t0_ns``
        (CLOCK_MONOTONIC) of the answer, and the ids of its operations are made with ``id_key``.
        `load`: what the metadata say of it; `by`: its pid. A run that cannot start is gone.
        """
        with self._lock:
            recording = self._recorded(run)
            try:
                return recording.start(load, start_in_s, by)
            finally:
                self._recording = recording if recording.is_started else None

    def _recorded(self, run: str | None) -> Recording:
        """The open run; raises UsageError where there is none, or `run` names another."""
        found = self._recording
        if found is None or run not in (None, str(found.folder.path)):
            what = "no run" if found is None else f"{found.folder.path}, not {run}"
            raise UsageError(f"cluster {self._spec.cluster!r} is recording {what}")
        return found

    def end(
        self,
        *,
        run: str | None = None,
        at_ns: int | None = None,
        load: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Close the run. `run`: only this one. `at_ns`: when the load stopped, if before now."""
        with self._lock:
            self._recorded(run)
            answer = {"run": str(self._close(load or {}, at_ns))}
            memory.give_back_what_is_done_with()
            return answer

    def _close(self, load: Mapping[str, Any], at_ns: int | None) -> Path:
        recording = self._recorded(None)
        self._note_troubles()
        if self._deaths is not None:
            self._deaths.settle()
        self._recording = None
        path = recording.close(load, at_ns)
        self._run = path if recording.is_started else self._run
        return path

    @property
    def _standing(self) -> tuple[Faults, FaultPlayer]:
        if self._faults is None or self._fault_player is None or self._stage != "up":
            raise UnavailableError(f"cluster {self._spec.cluster!r} is {self._stage}, not up yet")
        return self._faults, self._fault_player

    def set_condition(self, node: str, condition: str) -> dict[str, Any]:
        """Bring a node into a condition, as a fault of its own name; RUNNING takes it back."""
        self.cluster.require(node)
        faults, player = self._standing
        name, condition = f"condition {node}", Condition(condition)
        if condition is not Condition.RUNNING:
            self.set_fault({"where": node, "condition": str(condition), "name": name})
        elif name in faults.standing:
            player.clear(name)
        elif (holding := faults.holding(node)) is not None:
            raise UsageError(
                f"node {node} is {holding.condition} by the fault {holding.name!r}: "
                f"`harness fault clear {holding.name!r}` first"
            )
        else:
            if self._deaths is not None:
                self._deaths.settle()
            faults.revive(node)
        return {"node": node, "condition": str(condition), "says": self.cluster.not_ready(node)}

    def set_fault(self, words: dict[str, Any]) -> dict[str, Any]:
        """Bring a fault into force, in the words of faults/spec.py. Raises before it changes."""
        faults, player = self._standing
        network, spec = faults.network, parse(words)
        if spec.at_s:
            raise UsageError("at_s: a fault that is set by hand is set now")
        if spec.flap_s is not None and spec.for_s is None:
            raise UsageError("flap: expected how long too (--for 20s)")
        seed = network.seed if self._recording is None else self._recording.seed
        fault = spec.resolve(network.nodes, seed)
        faults.refuse_stopped(spec)
        change = player.set_for(fault, list(changes_of(spec, fault, 0.0, None)))
        return {
            "name": fault.name,
            "paths": fault.count,
            "does": fault.does,
            "nodes": len({*fault.up, *fault.down, *fault.nodes}),
            "took_ms": change.took_ns / 1e6,
            "at_ns": change.at_ns,
            "backends": network.backends,
        }

    def clear_faults(self, name: str | None = None) -> dict[str, Any]:
        """Take one fault back, or all."""
        return {"cleared": self._standing[1].clear(name)}

    def faults(self) -> dict[str, Any]:
        """List the faults in force, and say whether the kernel has what was asked."""
        faults, player = self._standing
        drift = faults.network.drift()
        return {
            "version": 1,
            **player.listed(),
            "backends": faults.network.backends,
            "disagree": {name: why for name, why in drift.items() if why is not None},
        }

    def stop(self, *_: object) -> dict[str, Any]:
        """Have the main thread take everything down."""
        self._stop.set()
        with suppress(BlockingIOError):
            os.write(self._wake_write, b".")
        return {"cluster": self._spec.cluster, "runtime": self._spec.runtime}

    def up(self, channel: Channel) -> None:
        """Start everything. Raises what went wrong; `close` then removes what was made."""
        count, hard = len(self._spec.topology.nodes), resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        cost, limits = self._runtime.cost(count), preflight.read_limits()
        preflight.preflight(count, self._spec.runtime, cost, limits)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        starting = Starting()
        self.cluster.up(channel.progress)
        self._started = starting.facts()
        assert self.cluster.network is not None
        self._faults = Faults(self.cluster, self.cluster.network)
        self._fault_player = FaultPlayer(self._faults, self._note)
        self._deaths = Deaths(self.cluster, self._faults, logs.say, self._note)
        self._up_since = datetime.now(UTC).isoformat(timespec="seconds")
        memory.take_as_lasting()
        self._stage = "up"

    def serve(self) -> None:
        """Notice nodes that end by themselves, until `stop` or the end of the gateway."""
        assert self._deaths is not None
        while not self._stop.is_set():
            gateway = self.cluster.gateway
            if gateway is not None and gateway.has_ended:
                logs.say(f"the gateway, which speaks to the nodes, ended{last_lines(gateway.log)}")
                if self._recording is not None:
                    self._recording.note(
                        "the gateway, which speaks to the nodes, ended: nothing is known of them "
                        "from then on"
                    )
                return
            self._deaths.look(self._wake_read)
            self._note_troubles()
            self._usage.rest()

    def _note(self, sentence: str) -> None:
        """Write what went wrong beside what anybody asked into the log and the open run."""
        logs.say(sentence)
        if (recording := self._recording) is not None:  # which may end meanwhile
            recording.note(sentence)

    def _note_troubles(self) -> None:
        for sentence in self._runtime.troubles():
            self._note(sentence)

    def close(self) -> None:
        """End an open run as it is, then take the cluster down."""
        self._stage = "going down"
        self.cluster.haste.add(self._stage)
        player = [self._fault_player.close] if self._fault_player is not None else []
        close_all(
            "the supervisor",
            lambda: self._recording is None or self.end(load={"interrupted": True}),
            *(self.profiles.close, *player, self._server.close, self._usage.close),
            self.cluster.close,
        )


def main(descriptor: int, problem: HarnessError | None = None) -> int:
    """Read the Spec from the channel, bring the cluster up, serve. `problem`: what __main__ met."""
    connection = socket.socket(fileno=descriptor)
    with connection.makefile("rb") as file:
        spec: Spec = pickle.load(file)  # noqa: S301 - from our own parent, over a socketpair
    channel = Channel(connection)
    ends: list[Callable[[], object]] = []
    told: dict[str, str] | None = None
    try:
        if problem is not None:
            raise problem
        lock = state.Lock(spec.cluster)
        ends.append(lock.remove)
        logs.begin(sys.stderr.fileno(), spec.cluster)  # an earlier one may have logged
        os.environ |= owner.mark(lock.path)
        ends.append(owner.start_warden(lock.path))
        supervisor = Supervisor(spec, lock.path)
        ends.append(supervisor.close)
        signal.signal(signal.SIGTERM, supervisor.stop)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervisor.up(channel)
        channel.say(ready=True)
        channel.when_gone(supervisor.stop)
        supervisor.serve()
    except Exception as error:
        kind, message = failure(error, state.folder(spec.cluster))
        logs.say(message)
        told = {"kind": kind, "message": message}
    finally:
        broken = attempt(*reversed(ends))
        for one in broken:
            logs.say(f"{type(one).__name__}: {one}")
    if told is not None:
        channel.say(error=told)  # last: whoever reads it finds nothing left
    return 70 if told or broken else 0
