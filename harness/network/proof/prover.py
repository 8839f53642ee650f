"""The prover looks at faults while a run is recorded.

It believes no injector: it reads everything in the hub back from the kernel, holds rates and losses
against counters, and probes paths from inside the nodes, those of faults and some that no fault
touches. verdicts.py says what a look shows.
"""

from __future__ import annotations

import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import pairwise

from harness.errors import close_all
from harness.faults.fault import Change, Condition, Fault, Verb
from harness.faults.paths import DirectedPath
from harness.history.proof import ALL, BEFORE, UNTOUCHED, Proof, seen_as
from harness.network.network import Network
from harness.network.proof import verdicts
from harness.network.proof.accounts import Accounts
from harness.network.proof.classes import BASELINE
from harness.network.proof.datagrams import Prober
from harness.network.proof.probing import Probing, Target
from harness.network.proof.verdicts import Look
from harness.topology.impairment import CLEAR

BASELINE_PATHS = 4  # of what is always there, at each look
UNTOUCHED_PATHS = 12  # of those that no fault is on, at each look: of few nodes, each is in some
TRIES = 8  # to draw a path of the baseline
PATHS_MAX = 24  # of a big fault, a seeded sample
LOOK_EVERY_S = 2.0  # what stands is read back and probed again this often


class Prover:
    """Looks after every change while a run is recorded, and every two seconds, in its own thread.

    `write` takes each look's Proof.
    """

    def __init__(
        self,
        network: Network,
        prober: Prober,
        seed: int,
        write: Callable[[Proof], None],
        failed: Callable[[str], None],
        idle: Callable[[], bool] = lambda: False,
        *,
        planned: bool = False,
        conditions: Callable[[], list[Proof]] = list,
    ) -> None:
        """`idle`: whether no load is sent now; what stands is then read back and not probed.

        `planned`: whether faults of the network will come. `conditions`: looks at the nodes whose
        condition is a fault, and returns a Proof a node. `failed` is told why proving broke off.
        """
        self._conditions = conditions
        self._network, self._writes = network, write
        self._failed, self._idle, self._planned = failed, idle, planned
        self._random = random.Random(f"{seed}/proof")
        self._names = [node.name for node in network.nodes]
        self._regions: dict[str, list[str]] = defaultdict(list)
        for node in network.nodes:
            self._regions[node.region].append(node.name)
        # Each with the fault that stood before, by its name.
        self._changes: list[tuple[Change, Fault | None]] = []
        self._standing = dict(network.faults)
        self._due_s = time.monotonic()  # when all that stands is looked at; the first time at once
        self._looked = False  # whether there was anything to look at in this run
        self._turn = 0  # of many faults: which is the first to be looked at again
        # Fault in force → its impairments of which nothing was written since it was set.
        self._open: dict[str, set[str]] = {}
        self._probing = Probing(network, prober, self._write, self._guarded)
        addresses = [network.wires[name].address for name in self._names]
        self._accounts = Accounts(self._names, addresses)
        network.counted, network.lost = self._accounts.add, self._lost
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._guarded, args=(self._run,), name="prover", daemon=True
        )
        self._thread.start()

    def changed(self, change: Change) -> None:
        """Note that a fault was set or cleared.

        A condition is not looked at here: whoever brought it about has looked already. What a crash
        does to the network is its cut, which is told of by itself.
        """
        fault, replaced = change.fault, None
        if fault.condition is Condition.CRASHED:
            self._news.set()
            return
        if not fault.is_of_nodes:
            replaced = self._standing.pop(fault.name, None)
            if change.verb is Verb.SET:
                self._standing[fault.name] = fault
        self._probing.changed(change, replaced)
        if not fault.is_of_nodes:
            self._changes.append((change, replaced))
        self._news.set()

    def close(self) -> None:
        """Look once more, wait for what that look sent, then stop."""
        self._stop.set()
        self._news.set()
        close_all("proving", self._thread.join, self._stop_counting, self._probing.close, self._sum)

    def _stop_counting(self) -> None:
        self._network.counted, self._network.lost = None, lambda *_: None

    def _sum(self) -> None:
        for name in list(self._open):
            self._close_account(name)

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # a proof that breaks off must not look like one that was given
            self._failed(f"proof: {type(error).__name__}: {error}")

    def _write(self, proof: Proof) -> None:
        self._open.get(proof.fault, set()).discard(proof.what)
        self._writes(proof)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(max(0.0, self._due_s - time.monotonic()))
            self._news.clear()
            self._guarded(self._look_once)
        self._guarded(self._look_last)

    def _look_once(self) -> None:
        """Look at what changed; and at all that stands where that is due, or where only a condition
        changed.
        """
        changes, self._changes = self._changes, []
        now_s = time.monotonic()
        is_due = not changes or now_s >= self._due_s
        if is_due:
            self._due_s = now_s + LOOK_EVERY_S
        self._count()
        self._prove(changes)
        if not is_due:
            return
        self._look_at_conditions()
        if self._network.faults or self._network.baseline:
            self._look_again()
        elif self._planned and not self._looked and not self._idle():
            self._look_before()

    def _look_last(self) -> None:
        self._count()
        self._prove(self._changes)
        if self._looked:
            self._look_again()

    def _count(self) -> None:
        """Hold rates and losses against what the counters say now, and said at every change."""
        self._network.report()
        for proof in self._accounts.proofs():
            self._write(proof)

    def _prove(self, changes: Sequence[tuple[Change, Fault | None]]) -> None:
        """Look at faults that just changed, all at once: read them back, and probe their paths in
        the state that is now asked, those too that a fault of the same name has left.
        """
        if not changes:
            return
        self._looked = True
        targets: list[Target] = []
        for change, before in changes:
            fault, gone = change.fault, change.verb is Verb.CLEAR
            if gone:
                self._close_account(fault.name)
            else:
                self._open[fault.name] = set(seen_as(fault.does))
            if before is not None and not gone:
                left = [
                    path
                    for path in before.some(self._random, PATHS_MAX)
                    if not fault.touches(*path)
                ]
                targets += [Target(fault=before, path=path, gone=True) for path in left]
            paths = fault.some(self._random, PATHS_MAX)
            targets += [Target(fault=fault, path=path, gone=gone) for path in paths]
        self._read_back(*dict.fromkeys(change.fault.name for change, _ in changes))
        self._probing.look(targets + self._untouched())

    def _close_account(self, name: str) -> None:
        """Write of each impairment of a fault that nothing was written of that it was not shown."""
        for what in sorted(self._open.pop(name, ())):
            self._writes(verdicts.judge_unseen(self._look(name), what))

    def _look_at_conditions(self) -> None:
        for proof in self._conditions():
            self._write(proof)

    def _look_before(self) -> None:
        """Look at the network before the first fault: nothing is there, and nobody else made it
        bad.
        """
        self._looked = True
        self._read_back(BEFORE)
        before = Fault(name=BEFORE)
        paths = self._round_trip()[:PATHS_MAX]
        self._probing.look([Target(fault=before, path=path) for path in paths])

    def _look_again(self) -> None:
        self._looked = True
        self._read_back(ALL)
        if self._idle():
            return
        baseline = Fault(name=BASELINE)
        targets = [Target(fault=baseline, path=path) for path in self._baseline_paths()]
        faults = [fault for fault in self._network.faults.values() if fault.count]
        for at in range(min(PATHS_MAX, len(faults))):
            fault = faults[(self._turn + at) % len(faults)]
            targets += [Target(fault=fault, path=path) for path in fault.some(self._random, 1)]
        self._turn += PATHS_MAX
        self._probing.look(targets + self._untouched(), again=not self._stop.is_set())

    def _untouched(self) -> list[Target]:
        """Draw some paths that no fault touches: a dead network is no proof of a cut."""
        untouched, faults = Fault(name=UNTOUCHED), list(self._network.faults.values())
        paths = [
            path for path in self._round_trip() if not any(fault.touches(*path) for fault in faults)
        ]
        return [Target(fault=untouched, path=path) for path in paths[:UNTOUCHED_PATHS]]

    def _round_trip(self) -> list[DirectedPath]:
        """Draw a way through all nodes and back: each sends on one path and receives on one."""
        names = self._random.sample(self._names, len(self._names))
        return [*pairwise(names), (names[-1], names[0])] if len(names) > 1 else []

    def _baseline_paths(self) -> list[DirectedPath]:
        """Draw some paths on which the baseline is not clear, each equally often."""
        pairs = [pair for pair, what in self._network.baseline.items() if what != CLEAR]
        weights = [len(self._regions[a]) * len(self._regions[b]) for a, b in pairs]
        if not any(weights):
            return []
        drawn = (
            tuple(self._random.choice(self._regions[region]) for region in pair)
            for pair in self._random.choices(pairs, weights, k=TRIES)
        )
        found = dict.fromkeys((source, target) for source, target in drawn if source != target)
        return list(found)[:BASELINE_PATHS]

    def _look(self, fault: str, path: DirectedPath | None = None, *, gone: bool = False) -> Look:
        return Look(at_ns=time.monotonic_ns(), fault=fault, path=path, gone=gone)

    def _read_back(self, *faults: str) -> None:
        """Compare everything once; it is a look at each of these faults."""
        self._compared(self._network.drift(), faults)

    def _lost(self, drifted: Mapping[str, str], faults: Collection[str]) -> None:
        """Write that these faults were not all in force: a change found it, and mends it."""
        self._compared(drifted, faults or ["all"])

    def _compared(self, drifted: Mapping[str, str | None], faults: Collection[str]) -> None:
        for injector, why in drifted.items():
            for fault in faults:
                self._write(verdicts.judge_read_back(self._look(fault), injector, why))
