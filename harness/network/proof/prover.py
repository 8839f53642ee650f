"""The prover looks at faults while a run is recorded.

It believes no injector: it reads faults back from the kernel, probes them from inside the nodes,
and counts them over the run's traffic. Probes are datagrams and streams between sockets in the
nodes' own namespaces. verdicts.py says what a look shows.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace

from harness.faults.fault import Change, Fault, NetworkState, Verb
from harness.faults.paths import DirectedPath
from harness.history.proof import Proof
from harness.network.injectors.injector import Limit
from harness.network.injectors.prefixes import in_class
from harness.network.network import Network
from harness.network.proof import verdicts
from harness.network.proof.datagrams import Prober
from harness.network.proof.streams import stream
from harness.network.proof.verdicts import PROBES, Look
from harness.topology.impairment import CLEAR, Impairment, fold_two

BASELINE_PATHS = 4  # of what is always there, at each look
PATHS_MAX = 24  # of a big fault, a seeded sample
STREAMS_MAX = 3  # of them, paths with a stream fault, at each look
SETTLE_S = 0.25  # for the last probe to arrive, beside the delay itself
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
        self._network, self._prober, self._write = network, prober, write
        self._failed, self._idle, self._planned = failed, idle, planned
        self._random = random.Random(f"{seed}/proof")
        self._changes: list[Change] = []
        self._history: list[Change] = []
        self._looked = False  # whether there was anything to look at in this run
        # When rates were last looked at, and what each had let through.
        self._sent: tuple[int, dict[Limit, int]] = (time.monotonic_ns(), {})
        self._aside = ThreadPoolExecutor(1, "streams")
        self._looking: Future[None] | None = None
        self._news, self._stop = threading.Event(), threading.Event()
        self._thread = threading.Thread(
            target=self._guarded, args=(self._run,), name="prover", daemon=True
        )
        self._thread.start()

    def changed(self, change: Change) -> None:
        """Note that a fault was set or cleared.

        A condition is not looked at here: whoever brought it about has looked already.
        """
        self._history.append(change)
        if change.fault.condition is None:
            self._changes.append(change)
        self._news.set()

    def close(self) -> None:
        """Look once more, then stop."""
        self._stop.set()
        self._news.set()
        self._thread.join()
        self._aside.shutdown()
        self._prober.close()

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception as error:  # a proof that breaks off must not look like one that was given
            self._failed(f"proof: {type(error).__name__}: {error}")

    def _run(self) -> None:
        while not self._stop.is_set():
            self._news.wait(LOOK_EVERY_S)
            self._news.clear()
            changes, self._changes = self._changes, []
            for change in changes:
                self._prove(change)
            if not changes:
                self._look_at_conditions()
            if not changes and (self._network.faults or self._network.baseline):
                self._look_again()
            elif not changes and self._planned and not self._looked and not self._idle():
                self._look_before()
        for change in self._changes:
            self._prove(change)
        if self._looked:
            self._look_again()

    def _prove(self, change: Change) -> None:
        """Look at a fault that just changed: read it back, and probe its paths in the state that is
        now asked.
        """
        self._looked = True
        self._read_back(change.fault.name)
        paths = change.fault.some(self._random, PATHS_MAX)
        self._probe(change.fault, paths, gone=change.verb is Verb.CLEAR)

    def _look_at_conditions(self) -> None:
        for proof in self._conditions():
            self._write(proof)

    def _look_before(self) -> None:
        """Look at the network before the first fault: nothing is there, and nobody else made it
        bad.
        """
        self._looked = True
        self._read_back("before")
        names = [node.name for node in self._network.nodes]
        paths: set[DirectedPath] = set()
        for _ in range(PATHS_MAX if len(names) > 1 else 0):
            source, target = self._random.sample(names, 2)
            paths.add((source, target))
        self._probe(Fault(name="before"), sorted(paths))

    def _look_again(self) -> None:
        self._looked = True
        self._read_back("all")
        self._losses()
        self._rates()
        if self._idle():
            return
        standing = self._baseline_paths()
        if standing:
            chosen = self._random.sample(standing, min(len(standing), BASELINE_PATHS))
            self._probe(Fault(name="baseline"), chosen, again=True)
        faults = list(self._network.faults.values())
        of_each = [(fault, path) for fault in faults for path in fault.some(self._random, 1)]
        for fault, path in of_each[:PATHS_MAX]:
            self._probe(fault, [path], again=True)

    def _baseline_paths(self) -> list[DirectedPath]:
        """List the paths on which the baseline is not clear."""
        if not self._network.baseline:
            return []
        names = [node.name for node in self._network.nodes]
        every = ((a, b) for a in names for b in names if a != b)
        return [path for path in every if self._network.baseline_of(path) != CLEAR]

    def _look(self, fault: str, path: DirectedPath | None = None, *, gone: bool = False) -> Look:
        return Look(at_ns=time.monotonic_ns(), fault=fault, path=path, gone=gone)

    def _read_back(self, fault: str) -> None:
        for injector, why in self._network.drift().items():
            self._write(verdicts.judge_read_back(self._look(fault), injector, why))

    def _probe(
        self,
        fault: Fault,
        paths: list[DirectedPath],
        *,
        gone: bool = False,
        again: bool = False,
    ) -> None:
        if not paths:
            return
        begun_ns, state = time.monotonic_ns(), self._network.now
        asked = {path: self._asked(state, path) for path in paths}
        longest_ms = max(what.delay_ms + what.jitter_ms for what in asked.values())
        counted = self._network.counters()
        self._dial(fault, state, asked, gone=gone, again=again)
        arrived = self._prober.probe(paths, PROBES, SETTLE_S + longest_ms / 1e3, self._stop)
        for path, delays in arrived.items():
            if not self._changed_since(begun_ns, path):  # else the next look is about that
                look = self._look(fault.name, path, gone=gone)
                self._say(
                    verdicts.judge_probe(
                        look,
                        asked[path],
                        delays,
                        narrow=self._is_narrow(asked[path]),
                        backend=self._network.backends["delay"],
                    )
                )
        if fault.flows and not gone:
            dropped = self._network.counters().get("old", 0) - counted.get("old", 0)
            self._say(verdicts.judge_flows(self._look(fault.name), len(fault.flows) // 2, dropped))

    def _is_narrow(self, asked: Impairment) -> bool:
        state = self._network.state
        return asked.rate_bps is not None or bool(state.up or state.down)

    def _say(self, proof: Proof | None) -> None:
        if proof is not None:
            self._write(proof)

    def _changed_since(self, begun_ns: int, path: DirectedPath) -> bool:
        """Whether a change of a fault on this path came since then, or may have.

        Waits for a change that is under way.
        """
        self._network.settle()
        return any(
            change.at_ns >= begun_ns
            and (change.fault.touches(*path) or change.fault.touches(*path[::-1]))
            for change in reversed(self._history)
        )

    def _dial(
        self,
        fault: Fault,
        state: NetworkState,
        asked: dict[DirectedPath, Impairment],
        *,
        gone: bool,
        again: bool,
    ) -> None:
        """Dial streams, beside the probes, on some of the paths that have or had a toxic.

        Paths on which no new stream can be made are left out.
        """
        if again and self._looking is not None and not self._looking.done():
            return
        paths = [
            path
            for path, what in asked.items()
            if (what.toxics or fault.impairment.toxics) and not self._is_closed(state, path)
        ][:STREAMS_MAX]
        if paths:
            self._looking = self._aside.submit(
                self._guarded, lambda: self._streams(fault.name, paths, gone=gone)
            )

    def _is_closed(self, state: NetworkState, path: DirectedPath) -> bool:
        """Whether no new stream can be made on a path."""
        ways = (state.of(*path), state.of(*path[::-1]))
        return any(what.blocked or what.refuses_new for what in ways)

    def _streams(self, fault: str, paths: Sequence[DirectedPath], *, gone: bool) -> None:
        """Dial on these paths, one after the other: a stream may take seconds to end."""
        for path in paths:
            begun_ns, state = time.monotonic_ns(), self._network.now
            source, target = (self._network.wires[name] for name in path)
            upstream, downstream = self._asked(state, path), self._asked(state, path[::-1])
            below = {"upstream": upstream, "downstream": downstream}
            namespaces = (source.namespace, target.namespace)
            seen = stream(namespaces, target.address, upstream.toxics, below)
            if self._changed_since(begun_ns, path):
                continue
            narrow = bool(state.up or state.down) or any(
                what.rate_bps or what.loss for what in below.values()
            )
            for one in seen:
                look = self._look(fault, path, gone=gone)
                healed = gone and not upstream.toxics
                self._say(verdicts.judge_stream(look, one, healed=healed, narrow=narrow))

    def _asked(self, state: NetworkState, path: DirectedPath) -> Impairment:
        what = state.of(*path)
        return what if path in state.paths else fold_two(self._network.baseline_of(path), what)

    def _rates(self) -> None:
        (before_ns, before), sent = self._sent, self._network.sent()
        now_ns = time.monotonic_ns()
        self._sent = now_ns, sent
        for limit in sent.keys() & before.keys():
            passed = sent[limit] - before[limit]
            if passed < 0:
                continue  # it was made anew
            seconds, node = (now_ns - before_ns) / 1e9, self._network.nodes[limit.node].name
            proof = verdicts.judge_rate(
                self._look(""), limit.which, limit.rate_bps, passed, seconds, node
            )
            for name in self._limiting(limit, node):
                self._say(replace(proof, fault=name))

    def _limiting(self, limit: Limit, node: str) -> list[str]:
        """Name the faults that a rate comes from."""
        if limit.which != "into":
            return [
                fault.name
                for fault in list(self._network.faults.values())
                if node in (fault.up if limit.which == "up" else fault.down)
            ]
        what = self._network.compiled.classes.get(limit.number)
        return self._behind(what, "rate_bps") if what is not None else []

    def _losses(self) -> None:
        """Judge the loss of each class by the class's own counters since they were made."""
        counters = self._network.counters()
        for number, what in self._network.compiled.classes.items():
            if what.loss:
                seen, lost = (counters.get(f"{name}{number}", 0) for name in ("in", "lost"))
                proof = verdicts.judge_loss(self._look(""), what.loss, seen, lost)
                for name in self._behind(what, "loss"):
                    self._say(replace(proof, fault=name))

    def _behind(self, what: Impairment, word: str) -> list[str]:
        """Name the faults that a class has its `word` from; the baseline where it is none's."""
        state = self._network.state
        faults = [
            fault
            for fault in list(self._network.faults.values())
            if getattr(fault.impairment, word)
        ]
        on_its_paths = [
            fault.name
            for fault in faults
            if any(
                in_class(state.of(*path)) == what for path in fault.some(self._random, PATHS_MAX)
            )
        ]
        return on_its_paths or [fault.name for fault in faults] or ["baseline"]
