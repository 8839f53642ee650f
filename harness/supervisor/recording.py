"""One run while it is recorded: its folder, player and sampler thread. Owned by the supervisor,
from `begin` to `end`.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness.errors import HarnessError, StorageError
from harness.faults import spec
from harness.faults.fault import Condition
from harness.history.folder import VERSION, RunFolder, free_bytes
from harness.host.facts import host_facts
from harness.network.network import Change
from harness.network.proof.datagrams import Prober
from harness.network.proof.prover import Prover
from harness.scenario import timeline
from harness.supervisor import iperf3, journals, player
from harness.supervisor.cluster import Cluster
from harness.supervisor.sampler import Sampler

FREE_BYTES_LEAST = 256 * 1024 * 1024  # below this a run would end with holes in it
SAMPLE_EVERY_S = 1.0
IPERF3_MARGIN_S = 2.0  # it starts and ends within its phase


class Recording:
    """Opens the folder, has nodes journal, samples every second, plays the phases; `close` ends it
    all.
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        name: str,
        phases: Sequence[Mapping[str, Any]],
        runs: Path,
        start_in_s: float,
        files: Mapping[str, str],
        facts: Mapping[str, Any],
    ) -> None:
        """Raises StorageError where the disk is full, UnavailableError where a node does not
        journal.
        """
        if free_bytes(runs) < FREE_BYTES_LEAST:
            raise StorageError(
                f"{runs}: {free_bytes(runs) // 2**20} MiB are free, a run wants at least "
                f"{FREE_BYTES_LEAST // 2**20}; "
                f"free some, or choose another folder for runs"
            )
        self._cluster = cluster
        self._failures: list[str] = []
        self.folder = RunFolder(runs, name)
        for file, text in files.items():
            self.folder.write_text(file, text)
        self._stop = threading.Event()
        self._sampler = Sampler([place.namespace for place in cluster.places.values()])
        self._tracked: dict[str, int] = {}
        gateway = [cluster.gateway.pid] if cluster.gateway is not None else []
        for pid in [os.getpid(), *gateway, *facts["load"].get("pids", [])]:
            self._sampler.watch(str(pid), pid)
        journals.begin_journals(cluster.adapter, self._live(), self.folder)
        self.t0_ns = time.monotonic_ns() + int(start_in_s * 1e9)
        self._facts = {
            "version": VERSION,
            "started": datetime.now(UTC).isoformat(),
            "t0_ns": self.t0_ns,
            "name": name,
            "plan": list(phases),
            "host": host_facts(),
            **facts,
        }
        self.folder.write_json("metadata.json", self._facts)
        self.folder.event("begin")
        self._measuring = {
            phase["name"]: (phase["iperf3"], phase["duration_s"])
            for phase in phases
            if phase.get("iperf3")
        }
        self._measured: dict[str, list[float]] = {}
        self._measurers: list[threading.Thread] = []
        planned = timeline.plan([(phase["name"], phase["duration_s"]) for phase in phases])
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)
        self._thread.start()
        network, idle = cluster.network, {phase["name"] for phase in phases if phase.get("idle")}
        assert network is not None
        self._prover = Prover(
            network,
            Prober(
                {name: place.namespace for name, place in cluster.places.items()},
                {name: place.address for name, place in cluster.places.items()},
            ),
            facts["seed"],
            lambda proof: self.folder.append_line("proofs.jsonl", proof),
            self.note,
            lambda: self.phase in idle,
            planned=bool(timeline.steps(phases)),
        )
        network.changed = self._network_changed
        self._stepper = player.Stepper(
            timeline.steps(phases),
            self.t0_ns,
            lambda words: network.set(spec.asked(words, network.nodes, facts["seed"])),
            network.clear,
            self.note,
        )
        self._player = player.Player(
            planned,
            self.t0_ns,
            self.folder,
            self._snapshot,
            lambda error: self.note(f"player: {error}"),
            self._began,
        )

    @property
    def phase(self) -> str | None:
        """The phase in force now."""
        return self._player.phase

    def note(self, failure: str) -> None:
        """Something that makes the record incomplete; it lands in the verdict."""
        self._failures.append(failure)

    def node_ended(self, name: str) -> None:
        """A node's process ended by itself while the run is recorded."""
        self.folder.event("node-ended", node=name)

    def rejoin(self, name: str) -> None:
        """A node was started anew: it journals into the same file again."""
        journals.begin_journals(self._cluster.adapter, [self._cluster.endpoints[name]], self.folder)
        self.folder.event("node-started", node=name)

    def _network_changed(self, change: Change) -> None:
        self.folder.event(
            "fault",
            verb=change.verb,
            fault=change.fault.name,
            words=change.fault.words,
            does=change.fault.does,
            paths=change.fault.count,
            up=dict(change.fault.up),
            down=dict(change.fault.down),
            set_ns=change.at_ns,
            took_ms=change.took_ns / 1e6,
        )
        self._prover.changed(change)

    def close(self, load: Mapping[str, Any], at_ns: int | None) -> Path:
        """End the phases, journals and samples; returns the folder, complete."""
        self._player.stop(at_ns)
        self._stepper.close()
        assert self._cluster.network is not None
        self._cluster.network.changed = lambda _: None
        self._prover.close()
        for thread in self._measurers:
            thread.join()
        if self._measured:
            self.folder.write_json("measurements.json", self._measured)
        for sentence in journals.end_journals(self._cluster.adapter, self._live()):
            self.note(sentence)
        self._stop.set()
        self._thread.join()
        self._sampler.close()
        for name, place in self._cluster.places.items():
            self.folder.copy_log(name, place.directory / "log")
        self.folder.event("end", failures=self._failures)
        self._facts |= {"load": {**self._facts["load"], **load}, "failures": self._failures}
        self.folder.write_json("metadata.json", self._facts)
        self.folder.close()
        return self.folder.path

    def _live(self) -> list[Any]:
        return [
            self._cluster.endpoints[name]
            for name, how in self._cluster.conditions.items()
            if how is Condition.RUNNING
        ]

    def _began(self, phase: str) -> None:
        if phase in self._measuring:
            self._measurers.append(
                threading.Thread(
                    target=self._iperf3, args=self._measuring[phase], name="iperf3", daemon=True
                )
            )
            self._measurers[-1].start()

    def _iperf3(self, between: Sequence[str], seconds: float) -> None:
        source, target = between
        try:
            value = iperf3.goodput(
                self._cluster.runtime,
                source,
                target,
                self._cluster.places[target].address,
                seconds - IPERF3_MARGIN_S,
            )
            self._measured.setdefault("iperf3.goodput", []).append(value)
        except (
            HarnessError,
            OSError,
        ) as error:  # its row is UNKNOWN then, and all the others stand
            self.folder.event("iperf3-failed", error=str(error))

    def _snapshot(self, phase: str | None) -> None:
        order = {name: index for index, name in enumerate(self._cluster.places)}
        live = [(order[endpoint.node], endpoint) for endpoint in self._live()]
        journals.histograms(self._cluster.adapter, live, self.folder, phase)

    def _sample(self) -> None:
        due = time.monotonic()
        try:
            while True:
                self._follow()
                self.folder.append(
                    "samples.arrow", self._sampler.take(self._cluster.fabric.counters())
                )
                self.folder.append("host.arrow", self._sampler.host())
                due = max(due + SAMPLE_EVERY_S, time.monotonic())
                if self._stop.wait(due - time.monotonic()):
                    return
        except Exception as error:  # a run without samples must not look like a quiet one
            self.note(f"sampler: {type(error).__name__}: {error}")

    def _follow(self) -> None:
        """Track the processes that run now; forget those that do not."""
        running = {name: one.pid for name, one in self._cluster.running.items()}
        for name, pid in list(self._tracked.items()):
            if running.get(name) != pid:
                self._sampler.forget(self._cluster.places[name].index)
                del self._tracked[name]
        for name, pid in running.items():
            if name not in self._tracked:
                self._sampler.track(self._cluster.places[name].index, pid)
                self._tracked[name] = pid
