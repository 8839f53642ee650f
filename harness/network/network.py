"""The network of a cluster: the faults that are asked for, folded into one state, which the
injectors bring about.

Nothing is set in a network that nobody makes bad: rules, queue and trees are made at the first
fault. A change is atomic in each injector (no moment of "all clear" between two states); between
injectors, what tightens comes first and what loosens last. Everything lives in the hub's namespace,
which ends with the supervisor: a dead one leaves no fault behind.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from ipaddress import IPv4Network
from typing import Any

from harness.errors import HarnessError, UnavailableError, UsageError
from harness.faults.fault import Fault, Flow, NetworkState, fold
from harness.kernel import trials
from harness.kernel.inet_diag import established
from harness.kernel.nft import Nft
from harness.kernel.qdisc import Qdiscs
from harness.network.fabric import HUB_IFINDEX_FIRST, Fabric, plan_addresses
from harness.network.injectors import toxiproxy_server
from harness.network.injectors.compiler import Compiled, Compiler
from harness.network.injectors.injector import Injector
from harness.network.injectors.nfqueue import Nfqueue
from harness.network.injectors.nftables import TABLE, Nftables
from harness.network.injectors.qdisc import Limit, Qdisc
from harness.network.injectors.toxiproxy import Toxiproxy
from harness.network.proof.streams import PORT as STREAM_PORT
from harness.topology.impairment import CLEAR, Impairment, fold_two
from harness.topology.topology import Node

DELAYS_BY = "HARNESS_DELAYS_BY"  # "nfqueue" leaves netem alone where the kernel has it
NETEM, NFQUEUE = "netem", "nfqueue"
ONLY_NETEM = ("duplicate", "corrupt")


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of the network, as it was made."""

    at_ns: int  # CLOCK_MONOTONIC: the last injector was done
    took_ns: int
    verb: str  # set, clear
    fault: Fault
    state: NetworkState  # in force from then on
    compiled: Compiled


class Network:
    """One owner of all faults of a cluster. Methods may be called from any thread; `changed` is
    told of every change, in order.
    """

    def __init__(
        self,
        fabric: Fabric,
        nodes: Sequence[Node],
        block: IPv4Network,
        *,
        seed: int,
        baseline: Mapping[tuple[str, str], Impairment],
        ports: Sequence[int] = (),
        changed: Callable[[Change], None] = lambda _: None,
    ) -> None:
        self.nodes, self.seed, self.baseline = nodes, seed, dict(baseline)
        self.changed = changed
        self.faults: dict[str, Fault] = {}
        self._fabric = fabric
        self._regions = {node.name: node.region for node in nodes}
        prefixes = {
            region: str(prefix) for region, prefix in plan_addresses(nodes, block).regions.items()
        }
        self.wires = {wire.node: wire for wire in fabric.wires}
        self._compiler = Compiler(
            {name: wire.address for name, wire in self.wires.items()},
            prefixes,
            self._regions,
            (*ports, STREAM_PORT) if ports else (),
        )
        self._ports = ports
        self._lock = threading.RLock()
        self._netem: bool | None = None
        self._nftables: Nftables | None = None
        self._others: list[Injector] = []
        self.compiled = Compiled()
        if self.baseline:
            self._apply()

    @property
    def state(self) -> NetworkState:
        """What is asked for now: all faults folded, each named path with its regions' baseline in
        it.
        """
        folded = fold(self.faults.values())
        if not self.baseline:
            return folded
        return replace(
            folded,
            paths={
                path: fold_two(self.baseline_of(path), what) for path, what in folded.paths.items()
            },
        )

    @property
    def now(self) -> NetworkState:
        """The state that is in force: a change that is under way is waited for."""
        with self._lock:
            return self.state

    def settle(self) -> None:
        """Wait for a change that is under way."""
        with self._lock:
            pass

    def baseline_of(self, path: tuple[str, str]) -> Impairment:
        """What is always there between two nodes, by their regions."""
        return self.baseline.get((self._regions[path[0]], self._regions[path[1]]), CLEAR)

    @property
    def backends(self) -> dict[str, str]:
        """What serves which impairment here."""
        delays, others = (NETEM, NETEM) if self.netem else (NFQUEUE, "none")
        return {
            "toxic": "toxiproxy" if self._ports else "none",
            "cut": "nftables",
            "loss": "nftables",
            "rate": "qdisc",
            "delay": delays,
            "jitter": delays,
            "reorder": delays,
            "duplicate": others,
            "corrupt": others,
        }

    @property
    def netem(self) -> bool:
        """Whether delays are netem's here, found by trying, once."""
        if self._netem is None:
            self._netem = os.environ.get(DELAYS_BY) != NFQUEUE and _has_netem(self._fabric.hub)
        return self._netem

    @property
    def engine_pid(self) -> int | None:
        """The process that holds packets, where there is one."""
        return next((one.pid for one in self._others if isinstance(one, Nfqueue)), None)

    def set(self, fault: Fault) -> Change:
        """Bring a fault into force; one of the same name is replaced. Raises UnavailableError for
        what no backend here can do, and nothing changed.
        """
        with self._lock:
            lacking = [name for name in ONLY_NETEM if getattr(fault.impairment, name)]
            if lacking and not self.netem:
                raise UnavailableError(
                    f"{' and '.join(lacking)}: only netem can do that, and it is not here "
                    "(`harness capabilities`); possible: delay, jitter, reorder, loss, rate, "
                    "cuts"
                )
            if fault.impairment.toxics:
                if not self._ports:
                    raise UnavailableError(
                        "toxics: this system's nodes are not dialled over TCP, or its adapter "
                        "does not say at which ports: a proxy would see no stream"
                    )
                toxiproxy_server.server()  # raises where there is none and none can be built
            if fault.impairment.drops_established:
                fault = replace(fault, flows=self._established(fault.paths))
            return self._change("set", fault, {**self.faults, fault.name: fault})

    def clear(self, name: str | None = None) -> list[Change]:
        """Take one fault back, or all. Raises UsageError for a name that is not in force, with
        those that are.
        """
        with self._lock:
            if name is not None and name not in self.faults:
                raise UsageError(
                    f"there is no fault {name!r}; in force: {', '.join(self.faults) or 'none'}"
                )
            gone = [
                self.faults[each] for each in ([name] if name is not None else list(self.faults))
            ]
            return [
                self._change(
                    "clear",
                    fault,
                    {key: one for key, one in self.faults.items() if key != fault.name},
                )
                for fault in gone
            ]

    def agrees(self) -> dict[str, str]:
        """Injector → why the kernel does not have what was asked; empty texts where it does."""
        with self._lock:
            if self._nftables is None:
                return {"kernel": _left(self._fabric.hub)}
            every: list[Nftables | Injector] = [self._nftables, *self._others]
            return {one.name: one.agrees(self.compiled) for one in every}

    def counters(self) -> dict[str, int]:
        """Packets by counter (nftables.py), cumulative since the first fault."""
        with self._lock:
            return self._nftables.counters() if self._nftables is not None else {}

    def sent(self) -> dict[Limit, int]:
        """Bytes that each rate has let through, cumulative."""
        with self._lock:
            trees = next((one for one in self._others if isinstance(one, Qdisc)), None)
            return trees.sent(self.compiled) if trees is not None else {}

    def _established(self, paths: Collection[tuple[str, str]]) -> frozenset[Flow]:
        """The connections that exist now on these paths, as either end lists them: a proxy between
        them makes two of one.
        """
        names = {wire.address: name for name, wire in self.wires.items()}
        found: set[Flow] = set()
        for name in {end for path in paths for end in path}:
            for _, port, peer, peer_port in established(self.wires[name].namespace):
                if peer in names:
                    here, there = (name, port), (names[peer], peer_port)
                    found |= {
                        (*a, *b) for a, b in ((here, there), (there, here)) if (a[0], b[0]) in paths
                    }
        return frozenset(found)

    def rows(self) -> list[dict[str, Any]]:
        """The faults in force as `harness fault list` shows them."""
        with self._lock:  # not while one is half set
            faults = list(self.faults.values())
        return [
            {
                "name": fault.name,
                "words": fault.words,
                "paths": fault.count,
                "does": fault.does,
                "up": dict(fault.up),
                "down": dict(fault.down),
            }
            for fault in faults
        ]

    def close(self) -> None:
        """Take everything away, exactly what is ours. What a queue holds is let go first: without
        its hooks it would be dropped.
        """
        with self._lock:
            self.faults = {}
            self._shut()

    def _shut(self) -> None:
        every: list[Nftables | Injector] = [
            *self._others,
            *([self._nftables] if self._nftables else []),
        ]
        for one in every:
            with suppress(HarnessError):  # whoever took it away before us did our work
                one.close()
        self._nftables, self._others = None, []
        self.compiled = Compiled()

    def _open(self) -> None:
        """Make tables, trees and queue, in the order that no packet can be lost by (nftables.py
        says why).
        """
        if self._nftables is not None:
            return
        self._nftables = Nftables(self._fabric.hub, holds=not self.netem)
        self._others.append(
            Qdisc(self._fabric.hub, lambda node: HUB_IFINDEX_FIRST + node, netem=self.netem)
        )
        if not self.netem:
            self._others.append(Nfqueue(self._fabric.hub, self.seed))

    def _change(self, verb: str, fault: Fault, faults: dict[str, Fault]) -> Change:
        before, self.faults = self.faults, faults
        begun_ns = time.monotonic_ns()
        try:
            self._apply()
        except HarnessError:
            self._go_back(before)
            if not any(self.agrees().values()):
                raise  # it was refused, and all is as it was
            self._shut()  # somebody took a part away: begin anew, with all that is asked
            self.faults = faults
            try:
                self._apply()
            except HarnessError:
                self._shut()
                self._go_back(before)
                raise
        at_ns = time.monotonic_ns()
        change = Change(
            at_ns=at_ns,
            took_ns=at_ns - begun_ns,
            verb=verb,
            fault=fault,
            state=self.state,
            compiled=self.compiled,
        )
        self.changed(change)
        return change

    def _go_back(self, faults: dict[str, Fault]) -> None:
        self.faults = faults
        with suppress(HarnessError):  # where that fails too, `agrees` says what is missing
            self._apply()

    def _apply(self) -> None:
        if not self.faults and not self.baseline:
            self._shut()  # nothing is wrong: nothing is there
            return
        self._open()
        assert self._nftables is not None
        wanted = self._compiler.compile(self.state, self.baseline)
        if wanted.streams and not any(isinstance(one, Toxiproxy) for one in self._others):
            self._others.append(Toxiproxy(self._fabric))
        for one in self._others:
            one.prepare(wanted)
        self._nftables.set(wanted)
        for one in self._others:
            one.finish(wanted)
        self.compiled = wanted


def _left(hub: int) -> str:
    """What of ours is in a hub's namespace although nothing should be; empty where nothing is."""
    with closing(Nft(hub)) as nft, closing(Qdiscs(hub)) as qdiscs:
        tables = [
            entry["table"]["name"]
            for entry in nft.json("list tables")
            if entry.get("table", {}).get("name") == TABLE
        ]
        kinds = sorted(qdiscs.kinds())
    return f"left behind: {', '.join([*tables, *kinds])}" if tables or kinds else ""


def _has_netem(hub: int) -> bool:
    try:
        trials.qdisc(hub, 1, "netem")  # on the hub's loopback, which carries nothing
    except HarnessError:
        return False
    return True
