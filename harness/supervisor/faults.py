"""The faults of a cluster have one owner, so that a name means one fault.

Faults of the network are handed to the network; conditions of nodes are brought about here.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from harness.choices import did_you_mean
from harness.errors import HarnessError, UsageError
from harness.faults.fault import Change, Condition, Fault, Verb
from harness.faults.spec import FaultSpec
from harness.history.proof import Proof
from harness.network.network import Network
from harness.runtimes.runtime import Ending
from harness.supervisor.cluster import Cluster
from harness.supervisor.conditions import Conditions, limited, turns
from harness.supervisor.looks import Looks
from harness.supervisor.standing import Ledger, Standing

NODES_LOOKED_AT = 24  # of a fault, at each look
SIGNAL_S = 1.0  # until a signal has had its effect, on a busy host


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """Who is told, in order, of every change of a fault and of a node's condition.

    `node_changed` is told the node, its condition, and when it began to be brought about;
    `nodes_ended` which nodes ended by themselves, how and when; `node_ready` which node has become
    ready; `proven` what a look at the nodes showed just after a change.
    """

    changed: Callable[[Change], None]
    node_changed: Callable[[str, Condition, int], None]
    nodes_ended: Callable[[Mapping[str, Ending], int], None]
    node_ready: Callable[[str], None]
    proven: Callable[[Proof], None]


NOBODY = Listener(
    changed=lambda _: None,
    node_changed=lambda *_: None,
    nodes_ended=lambda *_: None,
    node_ready=lambda _: None,
    proven=lambda _: None,
)


class Faults:
    """Sets, clears and lists faults. Methods may be called from any thread."""

    def __init__(self, cluster: Cluster, network: Network) -> None:
        self._cluster, self.network = cluster, network
        self._of_nodes = Ledger()  # the network has its own
        self._ends = threading.Condition()  # of nodes by themselves: no change of ours delays it
        self._untold: set[str] = set()  # nodes whose end was noted, and nobody told how
        self._listener = NOBODY
        self._conditions = Conditions(
            cluster, network, self._node_changed, self._of_nodes.is_wanted
        )
        self._looks = Looks(self._conditions)
        self._chance = random.Random(f"{network.seed}/conditions")
        self._since_ns: dict[str, int] = {}  # name of a fault in force → when it came
        # Limits that were taken back of nodes which had no process: it shows once they run.
        self._unshown: dict[str, Fault] = {}
        network.changed = self._changed
        cluster.readiness.told = self._node_ready

    def _changed(self, change: Change) -> None:
        if change.verb is Verb.SET:
            self._since_ns[change.fault.name] = change.at_ns
        self._listener.changed(change)

    def _node_changed(self, node: str, condition: Condition, since_ns: int) -> None:
        self._listener.node_changed(node, condition, since_ns)

    def _node_ready(self, node: str) -> None:
        self._listener.node_ready(node)

    def listen(self, listener: Listener = NOBODY) -> None:
        """Tell this listener from now on, and no other."""
        self._listener = listener

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep every fault and condition as it is meanwhile; waits for changes under way."""
        with self._of_nodes.still(), self._ends:
            while self._untold:
                self._ends.wait()
            with self.network.held():
                yield

    def tell_standing(self) -> None:
        """Tell the listener of each fault in force as of one that comes now, and look at its
        nodes.
        """
        for fault in (*self.network.faults.values(), *self._of_nodes.now.faults.values()):
            now_ns = time.monotonic_ns()
            change = Change(at_ns=now_ns, took_ns=0, verb=Verb.SET, fault=fault)
            self._listener.changed(change)
            for proof in self._look(fault, gone=False):
                self._listener.proven(proof)

    @property
    def standing(self) -> dict[str, Fault]:
        """The faults in force, by name. The cuts around crashed machines are parts of theirs."""
        cuts = self._conditions.crashes.cuts
        ours = {name: one for name, one in self.network.faults.items() if name not in cuts}
        return {**ours, **self._of_nodes.now.faults}

    def make_ready(self, verb: Verb, fault: Fault) -> None:
        """Make ready what the network has to be for a change that comes soon."""
        if not fault.is_of_nodes:
            self.network.prepare(verb, fault)
        elif verb is Verb.SET and fault.condition is Condition.CRASHED:
            self._conditions.crashes.make_ready(fault)

    def set(self, fault: Fault) -> Change:
        """Bring a fault into force; it replaces one of the same name.

        Raises UnavailableError for what cannot be done here; nothing has changed then. Raises
        HarnessError where it fails; what it was to replace stands again then.
        """
        if not fault.is_of_nodes:
            self.network.require(fault)
        self.require([fault])
        before = self.standing.get(fault.name)
        if before is None or before.is_of_nodes == fault.is_of_nodes:
            return self._set(fault)
        self.clear(fault.name)
        try:
            return self._set(fault)
        except HarnessError:
            with suppress(HarnessError):
                self._set(before)
            raise

    def require(self, faults: Iterable[Fault]) -> None:
        """Raise UnavailableError for what cannot be done to nodes here."""
        self._conditions.require([fault for fault in faults if fault.is_of_nodes])

    def _set(self, fault: Fault) -> Change:
        if not fault.is_of_nodes:
            return self.network.set(fault)
        change = self._change(Verb.SET, fault)
        assert change is not None
        return change

    def clear(self, name: str | None = None) -> list[Change]:
        """Take one fault back, or all. Raises UsageError for a name that is not in force."""
        standing = self.standing
        if name is not None and name not in standing:
            raise UsageError(
                f"there is no fault {name!r}{did_you_mean(name, standing)}; in force: "
                f"{', '.join(standing) or 'none'}"
            )
        gone = list(standing.values()) if name is None else [standing[name]]
        done = []
        for fault in gone:
            if fault.is_of_nodes:
                change = self._change(Verb.CLEAR, fault)
                done += [] if change is None else [change]
            else:
                done += self.network.clear(fault.name)
        return done

    def clear_this(self, fault: Fault) -> None:
        """Take a fault back if it still stands, and not another one that took its name since."""
        if fault.is_of_nodes:
            self._change(Verb.CLEAR, fault)
        else:
            self.network.clear_this(fault)

    def refuse_stopped(self, spec: FaultSpec) -> None:
        """Raise UsageError for a fault of the network at a node that is down: it would be
        nobody's.
        """
        if spec.is_of_nodes:
            return
        for name in sorted(spec.named_nodes(self.network.nodes)):
            condition = self._cluster.conditions.get(name, Condition.RUNNING)
            if condition.is_down:
                raise UsageError(
                    f"node {name} is {condition}; a fault there would be nobody's: "
                    f"`harness condition {name} running` first"
                )

    def rows(self) -> list[dict[str, Any]]:
        """List the faults in force as `harness fault list` shows them, but for how long they stay.

        `in_force_s`: since when.
        """
        cuts = self._conditions.crashes.cuts
        rows = [row for row in self.network.rows() if row["name"] not in cuts] + [
            {
                "name": fault.name,
                "words": fault.words,
                "paths": 0,
                "does": fault.does,
                "up": {},
                "down": {},
                "nodes": list(fault.nodes),
                "sides": [],
            }
            for fault in self._of_nodes.now.faults.values()
        ]
        now_ns = time.monotonic_ns()
        for row in rows:
            row["in_force_s"] = (now_ns - self._since_ns.get(row["name"], now_ns)) / 1e9
        return rows

    def holding(self, node: str) -> Fault | None:
        """Return a fault that keeps a node from running, None where there is none."""
        faults = self._of_nodes.now.faults.values()
        held = (fault for fault in faults if fault.condition is not None)
        return next((fault for fault in held if node in fault.nodes), None)

    def looks(self) -> list[Proof]:
        """Look at the nodes of the faults that stand: a seeded sample of each fault's. Nothing is
        said of a node that changed meanwhile: whoever changed it looks.
        """
        now = self._of_nodes.now
        found = (self._look(fault, gone=False, now=now) for fault in now.all.values())
        return [proof for proofs in found for proof in proofs]

    def _look(
        self, fault: Fault, *, gone: bool, now: Standing | None = None, wait_s: float = 0.0
    ) -> list[Proof]:
        """Look at a fault's nodes. Without `now`, by who holds them, so that none can change."""
        nodes = fault.nodes
        if len(nodes) > NODES_LOOKED_AT:
            nodes = tuple(self._chance.sample(nodes, NODES_LOOKED_AT))
        is_mine, now = now is None, now or self._of_nodes.now
        until_s, proofs = time.monotonic() + wait_s, list[Proof]()
        for node in nodes:
            condition, limits = asked = now.asked(node)
            if not is_mine and node in now.changing:
                proofs += self._looks.under_way(fault, node, condition, gone=gone)
                continue
            if fault.condition is not None:
                seen = self._looks.condition(fault, node, condition, gone=gone, until_s=until_s)
            else:
                seen = self._looks.limits(fault, node, limits, gone=gone, until_s=until_s)
            later = self._of_nodes.now
            if is_mine or (node not in later.changing and later.asked(node) == asked):
                proofs += seen
        return proofs

    def _change(self, verb: Verb, fault: Fault) -> Change | None:
        """Set a fault of nodes or take it back; None where it does not stand any more."""
        with self._of_nodes.changing(verb, fault) as (before, after):
            if before is after:
                return None
            begun_ns = time.monotonic_ns()
            try:
                self._bring_about(fault, before, after)
            except HarnessError:
                if verb is Verb.SET:  # else it is gone, and the error says what is left
                    self._of_nodes.restore(fault.name, before)
                    with suppress(HarnessError):
                        self._bring_about(fault, after, before)
                raise
            at_ns = time.monotonic_ns()
            change = Change(at_ns=at_ns, took_ns=at_ns - begun_ns, verb=verb, fault=fault)
            self._changed(change)
            self._unshown.pop(fault.name, None)
            proofs = self._look_gone(fault.nodes)
            proofs += self._look(fault, gone=verb is Verb.CLEAR, wait_s=SIGNAL_S)
            down = tuple(filter(self._is_down, fault.nodes))
            if verb is Verb.CLEAR and fault.condition is None and down:
                self._unshown[fault.name] = replace(fault, nodes=down)
            for proof in proofs:
                self._listener.proven(proof)
            return change

    def _look_gone(self, nodes: Collection[str]) -> list[Proof]:
        """Look at those of these nodes, which are held, that run, and had no process when a limit
        of theirs was taken back.
        """
        found: list[Proof] = []
        for name, fault in list(self._unshown.items()):
            mine = tuple(one for one in fault.nodes if one in nodes and not self._is_down(one))
            rest = tuple(one for one in fault.nodes if one not in mine)
            found += self._look(replace(fault, nodes=mine), gone=True) if mine else []
            self._unshown[name] = replace(fault, nodes=rest)
            if not rest:
                del self._unshown[name]
        return found

    def _is_down(self, node: str) -> bool:
        """Whether a node has no process: somebody stopped it, or it ended by itself."""
        return self._of_nodes.now.asked(node)[0].is_down or node in self._cluster.ended

    def _bring_about(
        self, fault: Fault, before: Mapping[str, Fault], after: Mapping[str, Fault]
    ) -> None:
        """Bring every node whose folded condition or limits change into the new ones, by this
        fault.
        """
        is_set = after.get(fault.name) is fault
        self._conditions.bring_about(fault, turns(before, after), is_set=is_set)
        self._conditions.limit(limited(before, after))

    def revive(self, node: str) -> None:
        """Start a node that ended by itself; one that runs is left alone."""
        with self._of_nodes.holding(node):
            self._conditions.revive(node)
            for proof in self._look_gone([node]):
                self._listener.proven(proof)

    @contextmanager
    def in_haste(self, why: str) -> Iterator[None]:
        """Have nobody wait meanwhile until nodes are ready that were started."""
        self._cluster.haste.add(why)
        try:
            yield
        finally:
            self._cluster.haste.discard(why)

    def note_ended(self, names: Sequence[str]) -> list[str]:
        """Note which of these nodes have ended by themselves, and return those of which nobody has
        noted it; takes no time. `tell_ended` has to follow.
        """
        with self._ends:
            ended = self._cluster.note_ended(names)
            self._untold |= set(ended)
        return ended

    def await_told(self, name: str) -> None:
        """Wait until it is told how a node ended of which that was noted."""
        with self._ends:
            self._ends.wait_for(lambda: name not in self._untold)

    def tell_ended(self, names: Sequence[str], at_ns: int) -> Mapping[str, Ending]:
        """Find out how nodes that ended at `at_ns` did, and tell it; return it."""
        endings = {name: self._ending(name) for name in names}
        with self._ends:
            self._cluster.ended |= {name: (ending, at_ns) for name, ending in endings.items()}
            self._untold -= set(names)
            self._ends.notify_all()
            self._listener.nodes_ended(endings, at_ns)
        return endings

    def _ending(self, name: str) -> Ending:
        """Find out how a node ended; whatever keeps the runtime from saying it, it has ended."""
        try:
            return self._cluster.runtime.ending(name)
        except Exception:
            return Ending()
