"""The player: phases begin at their planned times, and what was executed is written down as it happens."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.errors import HarnessError, UnavailableError
from harness.ports import Endpoint, NodeAdapter
from harness.store import RunFolder

SNAPSHOT_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A phase as planned: seconds from the first one's beginning; `end_s` None: until the run ends."""

    name: str
    begin_s: float
    end_s: float | None


def plan(phases: Sequence[tuple[str, float | None]]) -> list[Planned]:
    """Names and durations to begin and end times."""
    found, at = [], 0.0
    for name, duration_s in phases:
        found.append(Planned(name=name, begin_s=at, end_s=None if duration_s is None else at + duration_s))
        at += duration_s or 0.0
    return found


class Player:
    """Plays the phases of one run in a thread of its own, and takes every node's histograms between them."""

    def __init__(
        self, phases: Sequence[Planned], t0_ns: int, folder: RunFolder, snapshot: Callable[[str | None], None],
        failed: Callable[[BaseException], None], began: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._phases = phases
        self._t0_ns = t0_ns
        self._folder = folder
        self._snapshot = snapshot
        self._failed = failed
        self._began = began
        self._stop = threading.Event()
        self.phase: str | None = None
        self._ended_ns: int | None = None
        self._thread = threading.Thread(target=self._guarded, name="player", daemon=True)
        self._thread.start()

    def stop(self, at_ns: int | None = None) -> None:
        """End the last phase now (or at `at_ns`, if the load stopped earlier) and wait for the thread."""
        self._ended_ns = at_ns
        self._stop.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._play()
        except BaseException as error:  # a dead player must not look like a quiet run
            self._failed(error)

    def _play(self) -> None:
        for planned in self._phases:
            self._wait_until(planned.begin_s)
            if self._stop.is_set():
                break
            if self.phase is not None:
                self._snapshot_later(self.phase)
            self.phase = planned.name
            self._folder.event("phase", phase=planned.name, planned_ns=self._t0_ns + int(planned.begin_s * 1e9))
            self._began(planned.name)
        if not self._stop.is_set():
            self._wait_until(self._phases[-1].end_s)
        self._folder.event("phases-over", at_ns=min(self._ended_ns or time.monotonic_ns(), time.monotonic_ns()))
        if self.phase is not None:
            self._snapshot(self.phase)
        self.phase = None

    def _snapshot_later(self, phase: str) -> None:
        """Between two phases the clock goes on: the snapshot is taken beside the beginning phase."""
        threading.Thread(target=self._snapshot, args=(phase,), name="snapshot", daemon=True).start()

    def _wait_until(self, at_s: float | None) -> None:
        if at_s is None:
            self._stop.wait()
            return
        while (left := self._t0_ns / 1e9 + at_s - time.monotonic()) > 0:
            if self._stop.wait(left):
                return


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A fault that comes, or goes, so many seconds after the first phase began."""

    at_s: float
    words: Mapping[str, Any]
    comes: bool


def steps(phases: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The faults of all phases as comings and goings in order; of one moment, what goes comes first."""
    found, begin_s = [], 0.0
    for phase in phases:
        end_s = begin_s + (phase["duration_s"] or 0.0)
        for number, fault in enumerate(phase.get("faults", ())):
            words = {"name": f"{phase['name']}-{number + 1}", **fault["words"]}
            at_s = begin_s + fault["at_s"]
            gone_s = end_s if fault["for_s"] is None else at_s + fault["for_s"]
            flap_s = fault.get("flap_s") or gone_s - at_s
            while at_s < gone_s:
                found += [Step(at_s=at_s, words=words, comes=True), Step(at_s=min(at_s + flap_s, gone_s), words=words, comes=False)]
                at_s += 2 * flap_s
        begin_s = end_s
    return sorted(found, key=lambda step: (step.at_s, step.comes))


class Stepper:
    """Plays the faults of a scenario by the clock. One that cannot be set is said, and the run cannot pass."""

    def __init__(
        self, planned: Sequence[Step], t0_ns: int, come: Callable[[Mapping[str, Any]], Any], go: Callable[[str], Any], failed: Callable[[str], None],
    ) -> None:
        self._planned, self._t0_ns, self._come, self._go, self._failed = planned, t0_ns, come, go, failed
        self._stop = threading.Event()
        self._in_force: set[str] = set()
        self._thread = threading.Thread(target=self._play, name="stepper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take back what is still in force; nothing comes any more."""
        self._stop.set()
        self._thread.join()
        for name in sorted(self._in_force):
            self._do(partial(self._go, name), f"fault {name} could not be taken back")

    def _play(self) -> None:
        for step in self._planned:
            if self._stop.wait(max(0.0, self._t0_ns / 1e9 + step.at_s - time.monotonic())):
                return
            name = str(step.words["name"])
            if step.comes and self._do(partial(self._come, step.words), f"fault {name} could not be set"):
                self._in_force.add(name)
            elif not step.comes and name in self._in_force:
                self._do(partial(self._go, name), f"fault {name} could not be taken back")
                self._in_force.discard(name)

    def _do(self, act: Callable[[], Any], what: str) -> bool:
        try:
            act()
        except Exception as error:  # whatever it is: a fault that was not played must not look like one
            self._failed(f"{what}: {error}")
            return False
        return True


def histograms(adapter: NodeAdapter, endpoints: Sequence[tuple[int, Endpoint]], folder: RunFolder, phase: str | None) -> None:
    """Write the cumulative histograms and the gauges of all nodes; `phase` is the one that just ended. A node that is down is left out."""

    def one(entry: tuple[int, Endpoint]) -> None:
        index, endpoint = entry
        with suppress(UnavailableError):
            control = adapter.administer(endpoint)
            folder.append_line("histograms.jsonl", {
                "phase": phase, "node": index, "histograms": control.histograms(), "gauges": _numbers(control.health()),
            })

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="snapshot") as pool:
        for done in pool.map(one, endpoints):
            assert done is None


def _numbers(health: Mapping[str, Any]) -> dict[str, float]:
    """What a node's health says in numbers, its counters among them."""
    found = {**health, **health.get("counters", {})}
    return {name: value for name, value in found.items() if isinstance(value, (int, float)) and not isinstance(value, bool)}


def begin_journals(adapter: NodeAdapter, endpoints: Sequence[Endpoint], folder: RunFolder) -> None:
    """Have every node journal into the run folder. Raises HarnessError naming a node that does not."""
    def one(endpoint: Endpoint) -> None:
        descriptor = folder.journal(endpoint.node)
        try:
            adapter.administer(endpoint).begin(descriptor)
        finally:
            os.close(descriptor)

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="journals") as pool:
        for done in pool.map(one, endpoints):
            assert done is None


def end_journals(adapter: NodeAdapter, endpoints: Sequence[Endpoint]) -> list[str]:
    """Close every node's journal; returns a sentence a node that did not, or whose journal has a gap."""

    def one(endpoint: Endpoint) -> str | None:
        try:
            adapter.administer(endpoint).end()
        except HarnessError as error:
            return f"node {endpoint.node} did not close its journal: {error}"
        return None

    with ThreadPoolExecutor(SNAPSHOT_THREADS, thread_name_prefix="journals") as pool:
        return [sentence for sentence in pool.map(one, endpoints) if sentence is not None]
