"""The network of a cluster folds the faults in force into one state; injectors bring it about.

Nothing is set in a network that has no fault: rules, queue and trees are made at the first fault. A
change is atomic in each injector (no moment of "all clear" between two states). Between injectors,
what tightens comes first and what loosens last. Everything lives in the hub's namespace, which ends
with the supervisor: a dead one leaves no fault behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from typing import Any, cast

from harness.choices import did_you_mean
from harness.errors import HarnessError, UsageError
from harness.faults.fault import Change, Fault, NetworkState, Verb, fold
from harness.kernel import priority
from harness.network import flows, injectors, listing
from harness.network.ahead import LOOK_S, Precedence, Ready
from harness.network.fabric import Fabric
from harness.network.hub import strangers
from harness.network.injectors import BACKENDS, NONE
from harness.network.injectors.compiler import Compiled, Compiler
from harness.network.injectors.injector import Injector, RateCounter, Site
from harness.network.injectors.nfqueue import Nfqueue
from harness.network.injectors.nftables import Nftables
from harness.network.proof.streams import PORT as STREAM_PORT
from harness.network.reading import Reading
from harness.topology.impairment import CLEAR, Impairment
from harness.topology.topology import Node

CHOOSER = "nftables"  # the injector that chooses among what the others have made
HELPED = "nfqueue"  # the injector that stands on a process of ours


class Network:
    """The one owner of all faults of a cluster's network.

    Methods may be called from any thread. `changed` is told of every change, in order. A change
    whose moment is known is made ready before it (`prepare`, `look_ahead`), and looks give way to
    it: then only the kernel's own work is left for the moment.
    """

    def __init__(
        self,
        fabric: Fabric,
        nodes: Sequence[Node],
        *,
        seed: int,
        baseline: Mapping[tuple[str, str], Impairment],
        ports: Sequence[int] = (),
        changed: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.nodes, self.seed, self.baseline = nodes, seed, dict(baseline)
        self.changed = changed
        self.counted: Callable[[Reading], None] | None = None  # told before and after a change
        # Told what had drifted and the names of the faults that stood, where a change mends it.
        self.lost: Callable[[Mapping[str, str], Collection[str]], None] = lambda *_: None
        self.faults: dict[str, Fault] = {}
        self._broken: str | None = None  # why the faults could not be brought about
        self._fabric = fabric
        self._regions = {node.name: node.region for node in nodes}
        prefixes = {region: str(prefix) for region, prefix in fabric.regions.items()}
        self.wires = {wire.node: wire for wire in fabric.wires}
        self._compiler = Compiler(
            {name: wire.address for name, wire in self.wires.items()},
            prefixes,
            self._regions,
            (*ports, STREAM_PORT) if ports else (),
        )
        self._site = Site(fabric=fabric, seed=seed, ports=ports)
        self._lock = threading.RLock()
        self.precedence = Precedence()
        self._ready: Ready | None = None  # for the change that comes next
        self._look_s = 0.0  # how long the last look at all took
        self._standing: dict[str, Injector] = {}  # by their name, in the order of BACKENDS
        self.compiled = Compiled()
        if self.baseline:
            kinds = {kind for what in self.baseline.values() for kind in what.kinds}
            injectors.require(kinds, self.backends)
            self._apply()

    @property
    def state(self) -> NetworkState:
        """The state that is asked for now: all faults folded, each named path with its regions'
        baseline.
        """
        return fold(self.faults.values(), self.baseline_of)

    @property
    def now(self) -> NetworkState:
        """The state that is in force; waits for a change that is under way."""
        with self._lock:
            return self.state

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep all as it is meanwhile; waits for a change that is under way."""
        with self._lock:
            yield

    def settle(self) -> None:
        """Wait for a change that is under way."""
        with self.held():
            pass

    def baseline_of(self, path: tuple[str, str]) -> Impairment:
        """Return what is always there between two nodes, by their regions."""
        return self.baseline.get((self._regions[path[0]], self._regions[path[1]]), CLEAR)

    @cached_property
    def backends(self) -> dict[str, str]:
        """Which backend serves each impairment here, tried once; NONE where none does."""
        here = {
            name: row.trial is None or bool(injectors.load(row.trial)(self._site))
            for name, row in BACKENDS.items()
        }
        return {
            impairment: next(
                (name for name in injectors.candidates(impairment) if here[name]), NONE
            )
            for impairment in injectors.impairments()
        }

    def _serving(self, impairment: str) -> Injector | None:
        """Return the injector that serves an impairment, if it stands."""
        row = BACKENDS.get(self.backends[impairment])
        kind = injectors.load(row.injector) if row is not None else None
        return next((one for one in self._standing.values() if type(one) is kind), None)

    def require(self, fault: Fault) -> None:
        """Raise UnavailableError for what no backend here can do of a fault."""
        injectors.require(fault.impairment.kinds, self.backends)

    def set(self, fault: Fault) -> Change:
        """Bring a fault into force; it replaces one of the same name.

        Raises UnavailableError for what no backend here can do; nothing has changed then.
        """
        with self._lock:
            self.require(fault)
            if fault.impairment.drops_established:
                fault = replace(fault, flows=flows.established(self.wires, fault.paths))
            return self._change(Verb.SET, fault, {**self.faults, fault.name: fault})

    def clear(self, name: str | None = None) -> list[Change]:
        """Take one fault back, or all.

        Raises UsageError for a name that is not in force, with those that are.
        """
        with self._lock:
            if name is not None and name not in self.faults:
                raise UsageError(
                    f"there is no fault {name!r}{did_you_mean(name, self.faults)}; in force: "
                    f"{', '.join(self.faults) or 'none'}"
                )
            return [
                self._cleared(self.faults[each])
                for each in ([name] if name is not None else list(self.faults))
            ]

    def clear_this(self, fault: Fault) -> None:
        """Take a fault back if it still stands, and not another one that took its name since."""
        with self._lock:
            if self.faults.get(fault.name) is fault:
                self._cleared(fault)

    def prepare(self, verb: Verb, fault: Fault) -> None:
        """Make all ready for a change that comes soon: compile the state that it leaves, and open
        what that needs. Nothing changes for any packet.

        What keeps it from that keeps the change from it too, which says so. What the connections
        are that a fault drops shows when it comes: nothing is made ready for it.
        """
        with self._lock, suppress(Exception):
            self._ready = None
            if verb is Verb.SET and not fault.impairment.drops_established:
                self._ready = self._make_ready({**self.faults, fault.name: fault})
            elif verb is Verb.CLEAR and self.faults.get(fault.name) is fault:
                self._ready = self._make_ready(self._without(fault))

    @property
    def is_ready(self) -> bool:
        """Whether a change was made ready, and neither made nor called off yet."""
        return self._ready is not None

    @property
    def look_ahead_s(self) -> float:
        """How long before a change `look_ahead` has to begin, by how long the last look took."""
        return min(LOOK_S, 0.01 + 2 * self._look_s)

    def look_ahead(self) -> None:
        """Count, and read back, for the change that was made ready, what it would else wait for."""
        with self._lock:
            if self._ready is not None:
                self._look_before(self._ready.faults)
                self._ready = replace(self._ready, looked=True)

    def call_off(self) -> None:
        """Drop what was made ready for a change that was not made."""
        if not self.is_ready:
            return  # and waits for nobody
        with self._lock:
            if self.is_ready and not self.faults and not self.baseline:
                self._shut()
            self._ready = None

    def _cleared(self, fault: Fault) -> Change:
        return self._change(Verb.CLEAR, fault, self._without(fault))

    def _without(self, fault: Fault) -> dict[str, Fault]:
        return {name: one for name, one in self.faults.items() if name != fault.name}

    def drift(self) -> dict[str, str | None]:
        """Say for each injector why the kernel does not have what was asked; None where it does."""
        self.precedence.give_way()
        with self._lock:
            return {
                **self._drift_of_ours(),
                "kernel": strangers(self._fabric, self._standing.keys()),
            }

    def _drift_of_ours(self) -> dict[str, str | None]:
        begun_s = time.monotonic()
        found = {name: one.drift(self.compiled) for name, one in self._standing.items()}
        self._look_s = time.monotonic() - begun_s
        return found if self._broken is None else {**found, "network": self._broken}

    @property
    def _chooser(self) -> Nftables:
        return cast("Nftables", self._standing[CHOOSER])

    def reading(self) -> Reading:
        """Read all counters, with the state that they were counted in. Raises HarnessError."""
        with self._lock:
            counter = self._serving("rate")
            return Reading(
                at_ns=time.monotonic_ns(),
                compiled=self.compiled,
                faults=dict(self.faults),
                counters=self._chooser.counters() if self._standing else {},
                sent={} if counter is None else cast("RateCounter", counter).sent(self.compiled),
                links=self._fabric.counters(),
                read_ns=time.monotonic_ns(),
            )

    def report(self) -> None:
        """Tell `counted` what the counters say now, in the order of the changes."""
        self.precedence.give_way()
        self._report()

    def _report(self) -> None:
        with self._lock, suppress(HarnessError):  # `drift` says what cannot be read
            if self.counted is not None:
                self.counted(self.reading())

    def rows(self) -> list[dict[str, Any]]:
        """List the faults in force as `harness fault list` shows them."""
        with self._lock:  # not while one is half set
            return [listing.row(fault) for fault in self.faults.values()]

    def helpers(self) -> dict[str, int]:
        """Return the pids of the harness's own processes that injectors stand on, by name."""
        engine = self._standing.get(HELPED)
        return {} if engine is None else {"delay engine": cast("Nfqueue", engine).pid}

    def close(self) -> None:
        """Take away all that is ours, and nothing else.

        What a queue holds is let go first: without its hooks the kernel would drop it.
        """
        with self._lock:
            self.faults = {}
            self._shut()

    def _shut(self) -> None:
        others = [one for name, one in self._standing.items() if name != CHOOSER]
        for one in (*others, *([self._chooser] if self._standing else [])):
            with suppress(Exception):  # whoever took it away before us did our work
                one.close()
        self._standing = {}
        self.compiled = Compiled()

    def _open(self, wanted: Compiled) -> None:
        """Make the injectors that are needed and do not stand, in the order of BACKENDS.

        In this order no packet is lost (nftables.py says why).
        """
        site = replace(self._site, backends=self.backends)
        serving = set(self.backends.values())
        for name, row in BACKENDS.items():
            kind = injectors.load(row.injector)
            stands = any(type(one) is kind for one in self._standing.values())
            if name in serving and not stands and kind.is_needed(wanted):
                self._standing[kind.name] = kind(site)

    def _look_before(self, faults: Mapping[str, Fault]) -> None:
        if self.compiled.is_counted:
            self._report()
        all_goes = not faults and not self.baseline
        if self.counted is not None and (all_goes or self._look_s <= LOOK_S):
            self._tell_drift()  # what the change makes anew cannot be read back after it

    def _change(self, verb: Verb, fault: Fault, faults: dict[str, Fault]) -> Change:
        ready, self._ready = self._ready, None
        if ready is not None and not ready.is_of(faults):
            ready = None  # another change came between
        if ready is None or not ready.looked:
            self._look_before(faults)
        before, self.faults = self.faults, faults
        begun_ns = time.monotonic_ns()
        try:
            begun_ns, at_ns = self._apply(ready)
        except Exception:
            self._go_back(before)
            if not self._tell_drift():
                raise  # it was refused, and all is as it was
            # Somebody took a part away: begin anew, with all that is asked. Meanwhile there is
            # nothing, and since when the part was gone nobody knows.
            self._shut()
            self.faults = faults
            try:
                _, at_ns = self._apply()
            except Exception:
                self._shut()
                self._go_back(before)
                raise
        if self.compiled.is_counted:
            self._report()
        change = Change(at_ns=at_ns, took_ns=at_ns - begun_ns, verb=verb, fault=fault)
        self.changed(change)
        return change

    def _tell_drift(self) -> bool:
        """Tell of the faults that stand that not all of them was in force; return whether so."""
        drifted = {name: why for name, why in self._drift_of_ours().items() if why is not None}
        if drifted:
            self.lost(drifted, list(self.faults))
        return bool(drifted)

    def _go_back(self, faults: dict[str, Fault]) -> None:
        """Bring the state before about again, whatever went wrong: half a change is none.

        Where that fails too, `drift` says so until something else was brought about.
        """
        self.faults = faults
        with suppress(Exception):
            self._apply()

    def _apply(self, ready: Ready | None = None) -> tuple[int, int]:
        """Bring about what is asked for; return when that began and was done, CLOCK_MONOTONIC ns.
        Nothing of what is made before it, or taken away after it, meets a packet.
        """
        try:
            ready = self._make_ready(self.faults) if ready is None else ready
            with priority.prompt():
                begun_ns = time.monotonic_ns()
                self._bring_about(ready.compiled)
                done_ns = time.monotonic_ns()
        except Exception as error:
            self._broken = f"what is asked could not be brought about: {error}"
            raise
        self._broken = None
        if ready.compiled is None:
            self._shut()
        return begun_ns, done_ns

    def _make_ready(self, faults: Mapping[str, Fault]) -> Ready:
        if not faults and not self.baseline:
            return Ready(faults=faults, compiled=None)
        state = fold(faults.values(), self.baseline_of)
        wanted = self._compiler.compile(state, self.baseline)
        self._open(wanted)
        return Ready(faults=faults, compiled=wanted)

    def _bring_about(self, wanted: Compiled | None) -> None:
        if wanted is None:
            try:
                self._bring_about(Compiled())
            except Exception:
                self._shut()  # whatever is left of it
            return
        for one in self._standing.values():
            one.prepare(wanted)
        if self._standing:
            self._chooser.choose(wanted)
        for one in self._standing.values():
            one.finish(wanted)
        self.compiled = wanted
