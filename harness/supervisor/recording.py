"""A recording is one run while it is played: its folder, players, samples and proofs.

The supervisor owns it from `begin` to `end`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.errors import UsageError, attempt
from harness.faults.fault import Change, Condition, Fault
from harness.history.events import (
    FaultChanged,
    NodeChanged,
    NodeEnded,
    NodeReadiness,
    NodeStarted,
    PhaseEnded,
    RunBegan,
    RunEnded,
)
from harness.history.folder import RunFolder, require_writable
from harness.history.proof import Proof
from harness.kernel.proc import is_ended
from harness.network import injectors
from harness.network.proof.datagrams import Prober
from harness.network.proof.prover import Prover
from harness.runtimes.runtime import Ending
from harness.scenario.timeline import Timeline
from harness.supervisor import beginning, journals
from harness.supervisor.by_hand import ByHand
from harness.supervisor.cluster import Cluster
from harness.supervisor.fault_player import FaultPlayer
from harness.supervisor.faults import NOBODY, Faults, Listener
from harness.supervisor.iperf3 import Iperf3
from harness.supervisor.past import Past
from harness.supervisor.phase_player import PhasePlayer
from harness.supervisor.profiles import RunProfiles, require_profilers
from harness.supervisor.samples import Samples
from harness.systems import abilities
from harness.systems.adapter import Endpoint

HOLDER_ENDED = "a zygote, which is the harness's own, ended and took its nodes along"


class Recording:
    """Opens the run folder; `start` starts the clock, `close` ends the run. Between the two nodes
    journal, samples are taken and the timeline is played.
    """

    def __init__(
        self,
        cluster: Cluster,
        faults: Faults,
        fault_player: FaultPlayer,
        *,
        name: str,
        timeline: Timeline,
        runs: Path,
        files: Mapping[str, str],
        facts: Mapping[str, Any],
        begun_by: int,
        past: Past,
    ) -> None:
        """`files`: inputs as they were, by name; `facts`: what metadata.json says of the cluster;
        `begun_by`: the pid of who asked for it; 0: a process of another PID namespace.

        Raises StorageError where no run can be written in `runs`, UnavailableError for a fault that
        no backend here can set, and for a profiler that is not here.
        """
        if cluster.network is not None:
            injectors.require_faults(timeline.faults, cluster.network.backends)
            faults.require(timeline.faults)
        require_profilers(timeline.phases)
        require_writable(runs)
        self._cluster, self._faults, self._fault_player = cluster, faults, fault_player
        self._timeline, self._name, self._facts = timeline, name, dict(facts)
        self._facts["inputs"] = sorted({*(f for f in files if "/" not in f), "timeline.json"})
        self._failures: list[str] = []
        self._journalled: dict[str, Condition] = {}  # as journals see it; STOPPED: none is kept
        self._kept: dict[int, tuple[Fault, int]] = {}  # id() → a fault, its number in faults.jsonl
        self._keeping = threading.Lock()
        self._unready: set[str] = set()  # nodes of which it was told that they are not ready
        self._led_by, self._past, self._by_hand = begun_by, past, ByHand(timeline)
        self._player: PhasePlayer | None = None  # None: it has not started
        self.samples: Samples | None = None  # likewise
        self.profiles: RunProfiles | None = None  # the same
        self._stops: list[Callable[[], object]] = []  # what has to end, in this order
        self._ended = RunEnded()  # as far as it is known
        self.folder = RunFolder(runs, name)
        try:
            for file, text in files.items():
                self.folder.write_text(file, text)
            self.folder.write_json("timeline.json", timeline.as_json())
        except BaseException:
            self.folder.discard()
            raise

    def start(self, load: Mapping[str, Any], start_in_s: float, by: int) -> dict[str, Any]:
        """Start the clock; return ``t0_ns``, when the first phase begins (CLOCK_MONOTONIC), and
        ``id_key``, which makes its ids. Raises UsageError where it has started, UnavailableError
        where a node does not journal; such a run leaves no folder.

        `load`: what metadata.json says of the load generator; `by`: its pid, or 0.
        """
        if self.is_started:
            raise UsageError(f"{self.folder.path} has started already")
        try:
            abilities.require_same(self._cluster.adapter, load.get("streams", ()))
            with self._faults.held():  # what the run finds is of one moment
                t0_ns = self._start(load, start_in_s)
            self._fault_player.play(self._timeline.changes, t0_ns, self.note)
        except BaseException:
            attempt(lambda: self._fault_player.end(self.note), self._faults.listen, *self._stops)
            self.folder.discard()
            raise
        self._led_by = by
        return {name: self._facts[name] for name in ("t0_ns", "id_key")}

    def _start(self, load: Mapping[str, Any], start_in_s: float) -> int:
        cluster, self._stops = self._cluster, [self._end_journals]
        journals.begin_journals(cluster.adapter, self._live(), self.folder)
        t0_ns = time.monotonic_ns() + int(start_in_s * 1e9)
        self._write_facts(t0_ns, load)
        self.folder.event(RunBegan())
        pids = load.get("pids", ())
        self.samples = Samples(cluster, self.folder, pids, self.note, t0_ns)
        self._stops.append(self.samples.close)
        iperf3 = Iperf3(cluster, self.folder, self._timeline.phases)
        self.profiles = RunProfiles(cluster, self.folder, self._timeline.phases, pids)
        self._stops[:0] = [self.profiles.close, iperf3.close]
        self._prover = self._make_prover()
        self._stops[:0] = [self._prover.close, self._faults.listen]
        self._faults.listen(
            Listener(
                changed=self._changed,
                node_changed=self._node_changed,
                nodes_ended=self.nodes_ended,
                node_ready=self._node_ready,
                proven=self._prove,
            )
        )
        for name, condition in cluster.conditions.items():
            self._find(name, condition)
        self._faults.tell_standing()
        self._player = PhasePlayer(
            self._timeline.phases,
            t0_ns,
            self.folder,
            self._snapshot,
            lambda error: self.note(f"player: {error}"),
            iperf3.began,
            self.profiles.began,
        )
        return t0_ns

    @property
    def is_started(self) -> bool:
        """Whether the run's clock has started."""
        return self._player is not None

    @property
    def is_abandoned(self) -> bool:
        """Whether whoever is to go on with it has ended: who began it until its start, and from
        then on who started it, which is the load. Of a process of another PID namespace (pid 0)
        nobody here can say that it ended.
        """
        return bool(self._led_by) and is_ended(self._led_by)

    @property
    def phase(self) -> str | None:
        """The phase that is played now; None before the first and after the last."""
        return None if self._player is None else self._player.phase

    @property
    def seed(self) -> int:
        """The seed of the run."""
        return self._timeline.seed

    def note(self, failure: str) -> None:
        """Note a failure that makes the record incomplete; it lands in the verdict."""
        self._failures.append(failure)

    def end_phase(self, phase: str, at_ns: int) -> None:
        """End a phase at a moment ahead, for its condition held; the rest comes as much earlier.

        Raises UsageError where it is no phase that a condition ends, or has ended.
        """
        if self._player is None:
            raise UsageError(f"{self.folder.path} has not started")
        due_ns, early_ns = self._player.end_phase(phase, at_ns)
        self._fault_player.bring_forward(due_ns, early_ns)
        self.folder.event(PhaseEnded(phase=phase, end_ns=at_ns))

    def nodes_ended(self, endings: Mapping[str, Ending], at_ns: int) -> None:
        """Record that nodes' processes ended by themselves, how, and when (CLOCK_MONOTONIC ns).

        Those whose holder ended were stopped by us, and the record is incomplete.
        """
        for name, ending in endings.items():
            self._journalled[name] = Condition.STOPPED
            if ending.with_holder:
                stopped = NodeChanged(node=name, condition=Condition.STOPPED, since_ns=at_ns)
                self.folder.event(stopped)
                if HOLDER_ENDED not in self._failures:
                    self.note(HOLDER_ENDED)
            else:
                self.folder.event(NodeEnded(at_ns=at_ns, node=name, **ending.as_json()))

    def close(self, load: Mapping[str, Any], at_ns: int | None) -> Path:
        """End the phases, journals and samples; return the folder, complete.

        `at_ns`: when the load stopped, if before now. A run that never started leaves no folder.
        Whatever fails, all ends; it stands in the folder, and is raised afterwards.
        """
        if (player := self._player) is None:
            self.folder.discard()
            return self.folder.path
        for sentence in load.get("failures", ()):
            self.note(sentence)
        raised = attempt(
            partial(player.stop, at_ns),
            lambda: self._fault_player.end(self.note, in_haste=player.is_cut),
            # What somebody changes during the last look is of no run, and that look has to know.
            partial(self._faults.listen, replace(NOBODY, changed=self._prover.changed)),
            *self._stops,
            self._copy_logs,
        )
        for error in raised:
            self.note(f"its end: {type(error).__name__}: {error}")
        raised += attempt(partial(self._write_end, load), self.folder.seal)
        if raised:
            raise raised[0]
        return self.folder.path

    def _end_journals(self) -> None:
        """End the journals of all nodes that can be asked, and leave none to the others.

        The gateway keeps those of its nodes, whatever condition these are in.
        """
        journals_ns, cluster = time.monotonic_ns(), self._cluster
        asked = self._live() if cluster.gateway is None else list(cluster.endpoints.values())
        broken = journals.end_journals(cluster.adapter, asked)
        self._failures += broken.values()
        self._ended = replace(self._ended, journals_ns=journals_ns, unclosed=(*broken,))
        for node in {*cluster.endpoints} - {endpoint.node for endpoint in asked} | {*broken}:
            self.folder.detach_journal(node)

    def _copy_logs(self) -> None:
        for name, place in self._cluster.places.items():
            self.folder.copy_log(name, place.directory / "log")

    def _write_end(self, load: Mapping[str, Any]) -> None:
        self.folder.event(replace(self._ended, failures=(*self._failures,)))
        self._facts |= {"load": {**self._facts["load"], **load}, **self._past.facts()}
        self._facts |= self._by_hand.facts(self._facts["t0_ns"])
        self._facts["failures"] = self._failures
        self._past.ran(self._facts["t0_ns"], self.seed, self._facts["id_key"])
        self.folder.write_json("metadata.json", self._facts)

    def _write_facts(self, t0_ns: int, load: Mapping[str, Any]) -> None:
        self._facts = {
            **beginning.facts(t0_ns),
            "name": self._name,
            "plan": self._timeline.as_json()["phases"],
            **self._facts,
            **self._past.facts(),
            "load": dict(load),
        }
        self.folder.write_json("metadata.json", self._facts)

    def _make_prover(self) -> Prover:
        network, places = self._cluster.network, self._cluster.places
        idle = {phase.name for phase in self._timeline.phases if phase.idle}
        assert network is not None
        return Prover(
            network,
            Prober(
                {name: one.namespace for name, one in places.items()},
                {name: one.address for name, one in places.items()},
            ),
            self._timeline.seed,
            self._prove,
            self.note,
            lambda: self.phase in idle,
            planned=any(
                not change.fault.is_of_nodes or change.fault.condition is Condition.CRASHED
                for change in self._timeline.changes
            ),
            conditions=self._faults.looks,
        )

    def _prove(self, proof: Proof) -> None:
        self.folder.append_line("proofs.jsonl", proof.as_json())

    def _changed(self, change: Change) -> None:
        fault = change.fault
        self.folder.event(
            FaultChanged(
                verb=str(change.verb),
                fault=fault.name,
                words=fault.words,
                does=fault.does,
                paths=fault.count,
                up=dict(fault.up),
                down=dict(fault.down),
                nodes=fault.nodes,
                sides=fault.sides,
                set_ns=change.at_ns,
                took_ms=change.took_ns / 1e6,
                resolved=self._resolved(fault),
            )
        )
        self._by_hand.changed(change)
        self._prover.changed(change)

    def _resolved(self, fault: Fault) -> int:
        """Return a fault's number in faults.jsonl, where it is kept when it first comes: what was
        set by hand is in no timeline.
        """
        with self._keeping:
            if id(fault) not in self._kept:
                number = len(self._kept)
                self.folder.append_line("faults.jsonl", {"number": number, **fault.as_json()})
                self._kept[id(fault)] = fault, number
            return self._kept[id(fault)][1]

    def _find(self, node: str, condition: Condition) -> None:
        """Record what the run finds of a node; the journal of one that runs has begun."""
        if node in self._cluster.ended:
            ending, at_ns = self._cluster.ended[node]
            self.nodes_ended({node: ending}, at_ns)
        elif condition is Condition.RUNNING:
            self._journalled[node] = condition
            self._tell_unready(node, time.monotonic_ns())
        else:
            self.folder.event(NodeChanged(node=node, condition=str(condition)))
            self._journalled[node] = Condition.STOPPED

    def _node_changed(self, node: str, condition: Condition, since_ns: int) -> None:
        """Record a node's new condition, which began to be brought about at `since_ns`.

        One that was started journals into the same file again. One that was paused never ceased
        to, and one that ran anyway has no news.
        """
        before = self._journalled.get(node)
        self._journalled[node] = condition
        if condition is Condition.RUNNING and before is not Condition.PAUSED:
            if before is Condition.RUNNING:
                return
            journals_ns, endpoint = NodeStarted.NO_JOURNAL, self._cluster.endpoints[node]
            try:
                [journals_ns] = journals.begin_journals(
                    self._cluster.adapter, [endpoint], self.folder, early=True
                )
            finally:
                said = NodeStarted(node=node, journals_ns=journals_ns, since_ns=since_ns)
                self.folder.event(said)
                self._tell_unready(node, said.at_ns)
        else:
            self.folder.event(NodeChanged(node=node, condition=str(condition), since_ns=since_ns))
            if condition.is_down and self._cluster.gateway is None:
                self.folder.mend_journal(node)

    def _tell_unready(self, node: str, at_ns: int) -> None:
        """Record that a node which runs is not ready, where it is not, as of a moment."""
        known = self._cluster.readiness
        with self._keeping:
            if node not in known.ready:
                self._unready.add(node)
                said = {"ready": False, "awaited": node not in known.hurried}
                self.folder.event(NodeReadiness(at_ns=at_ns, node=node, **said))

    def _node_ready(self, node: str) -> None:
        """Record that a node has become ready of which it was told that it was not."""
        with self._keeping:
            if node in self._unready:
                self._unready.discard(node)
                self.folder.event(NodeReadiness(node=node, ready=True))

    def _live(self) -> list[Endpoint]:
        return [
            self._cluster.endpoints[name]
            for name, how in self._cluster.conditions.items()
            if how is Condition.RUNNING
        ]

    def _snapshot(self, phase: str | None) -> None:
        order = {name: index for index, name in enumerate(self._cluster.places)}
        live = [(order[endpoint.node], endpoint) for endpoint in self._live()]
        journals.histograms(self._cluster.adapter, live, self.folder, phase)
