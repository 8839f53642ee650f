"""Conditions of nodes are brought about: by signals and new starts, with the cuts around crashed
machines, and with what a node wrote wiped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from functools import partial
from itertools import chain
from typing import NamedTuple

from harness.errors import HarnessError, UnavailableError, close_all
from harness.faults.fault import Condition, Fault, State, fold_conditions, fold_limits
from harness.faults.limits import UNLIMITED, Limits
from harness.faults.programs import Program
from harness.kernel import priority
from harness.kernel.proc import is_stopped
from harness.network.network import Network
from harness.network.proof.limits import Room, Told
from harness.runtimes.runtime import Process, Reading
from harness.supervisor.cluster import Cluster
from harness.supervisor.crashes import Crashes

NODES_TOGETHER = 8  # nodes that are stopped or started side by side
OUTSIDE_SAID = 3


class Turn(NamedTuple):
    """A node whose condition changes."""

    node: str
    before: Condition
    after: Condition

    @property
    def starts(self) -> bool:
        """Whether the node has no process and gets one."""
        return self.before.is_down and not self.after.is_down


def turns(had: Mapping[str, Fault], wanted: Mapping[str, Fault]) -> list[Turn]:
    """Return the nodes whose folded condition is another one by the second faults."""
    before, after = fold_conditions(had.values()), fold_conditions(wanted.values())
    both = (
        Turn(node, before.get(node, Condition.RUNNING), after.get(node, Condition.RUNNING))
        for node in dict.fromkeys((*before, *after))
    )
    return [one for one in both if one.before is not one.after]


def limited(had: Mapping[str, Fault], wanted: Mapping[str, Fault]) -> dict[str, Limits]:
    """Return the nodes whose folded limits are others by the second faults, with these."""
    before, after = fold_limits(had.values()), fold_limits(wanted.values())
    both = {node: after.get(node, UNLIMITED) for node in (*before, *after)}
    return {node: one for node, one in both.items() if one != before.get(node, UNLIMITED)}


class Conditions:
    """Brings nodes into conditions, and looks which ones they have.

    Whoever changes a node holds it meanwhile. `told` is told of each change: the node, its
    condition, and when that began to be brought about. Nobody waits any longer until a node that
    was started is ready where it `is_wanted` for a change of it, or of another of the same fault.
    """

    def __init__(
        self,
        cluster: Cluster,
        network: Network,
        told: Callable[[str, Condition, int], None],
        is_wanted: Callable[[str], bool],
    ) -> None:
        self._cluster, self._told, self._is_wanted = cluster, told, is_wanted
        self.crashes = Crashes(network)

    def require(self, faults: Collection[Fault]) -> None:
        """Raise UnavailableError for what cannot be done here; nothing has changed then."""
        for fault in faults:
            if fault.condition is Condition.CRASHED and fault.nodes:
                self.crashes.require(fault.nodes[0])
                break  # it is one kernel
        replaced = ((fault.nodes, fault.program) for fault in faults if fault.program is not None)
        for nodes, program in replaced:
            for node in nodes:
                self._cluster.runtime.require(node, self._cluster.process_of(node, program))
        skewed = (fault.nodes for fault in faults if fault.limits.clock_s is not None)
        for node in dict.fromkeys(chain.from_iterable(skewed)):
            self._cluster.clocks.require(node)
        wiped = (fault.nodes for fault in faults if fault.state is State.WIPE)
        for node in dict.fromkeys(chain.from_iterable(wiped)):
            if outside := self._cluster.runtime.outside(node):
                raise UnavailableError(
                    f"node {node} cannot be wiped: it wrote outside of its directory too "
                    f"({', '.join(outside[:OUTSIDE_SAID])}); possible: state keep"
                )
            self._cluster.directories.require(self._cluster.places[node])

    def bring_about(self, fault: Fault, changing: list[Turn], *, is_set: bool) -> None:
        """Bring nodes into their new conditions, by this fault. Where it `is_set`, its nodes are
        then wiped and given another program, as it asks. Raises HarnessError.
        """
        begun_ns = time.monotonic_ns()
        crashing = [one.node for one in changing if one.after is Condition.CRASHED]
        back = [one for one in changing if one.before is Condition.CRASHED]
        coming: list[tuple[Turn, int]] = []  # of these, who was started, and since when
        with (
            priority.prompt() if crashing else nullcontext()
        ):  # to be ordinary again may take turns
            self.crashes.cut_off(fault.name, crashing)

        def one(turn: Turn) -> None:
            since_ns = time.monotonic_ns()
            if not turn.starts:
                with priority.prompt():  # its moment is now
                    self._bring(turn, begun_ns if turn.node in crashing else since_ns)
            elif not self._cluster.set_condition(turn.node, Condition.RUNNING):
                return
            elif turn in back:
                coming.append((turn, since_ns))
            else:
                self._finish(turn, since_ns)

        with ThreadPoolExecutor(NODES_TOGETHER, thread_name_prefix="conditions") as pool:
            try:  # one alone is not worth a thread
                list((pool.map if len(changing) > 1 else map)(one, changing))
                self.crashes.forget(crashing)
            finally:
                self.crashes.let_in([turn.node for turn in back])
                finished = [pool.submit(self._finish, *each) for each in coming]
            for one_finished in finished:
                one_finished.result()
            if is_set and fault.state is State.WIPE:
                list(pool.map(self._wipe, fault.nodes))
        if is_set and fault.program is not None:
            self._replace(fault.nodes, fault.program)

    def limit(self, limits: Mapping[str, Limits]) -> None:
        """Limit what these nodes may use, each as it says: all that can be, also where one cannot.
        Raises HarnessError.
        """
        steps = list[Callable[[], object]]()
        for node, asked in limits.items():
            steps += [
                partial(self._cluster.runtime.limit, node, asked.of_processes),
                partial(self._cluster.disks.limit, node, asked.disk),
                partial(self._cluster.clocks.limit, node, asked.clock_s),
            ]
        close_all("a change of limits", *steps)

    def reading(self, node: str) -> Reading:
        """Read back what a node may use, and what it used. Raises HarnessError."""
        return self._cluster.runtime.reading(node)

    def room(self, node: str) -> Room:
        """Look at a node's disk. Raises HarnessError."""
        return self._cluster.disks.look(node)

    def told(self, node: str) -> Told:
        """Tell what a node's program was told of the time since its clock was set."""
        return self._cluster.clocks.look(node)

    def revive(self, node: str) -> None:
        """Start a node that ended by itself; one that runs is left alone."""
        since_ns = time.monotonic_ns()
        if self._cluster.set_condition(node, Condition.RUNNING):
            self._finish(Turn(node, Condition.STOPPED, Condition.RUNNING), since_ns)

    def found(self, node: str) -> Condition:
        """Read the condition of a node's processes from the kernel.

        A node is stopped where none is left, and paused where none can go on; one that is held
        for a moment by its limit of CPU time runs.
        """
        is_held = self._cluster.runtime.is_held
        was_held, running = is_held(node), self._cluster.running.get(node)
        first = [] if running is None or self._cluster.has_ended(node) else [running.pid]
        found = {*first, *self._cluster.runtime.members(node)}
        if not found:
            return Condition.STOPPED
        runs = was_held or not all(map(is_stopped, found)) or is_held(node)
        return Condition.RUNNING if runs else Condition.PAUSED

    def written(self, node: str) -> list[str]:
        """List what a node wrote in its directory and is there."""
        return self._cluster.directories.left(self._cluster.places[node])

    def _bring(self, turn: Turn, since_ns: int) -> None:
        if turn.before is Condition.PAUSED and not turn.after.is_down and self._is_gone(turn.node):
            return  # it ended by itself meanwhile: whoever paused it does not start it
        if turn.after.is_down and not turn.before.is_down:
            self._cluster.before_end(turn.node)
        if self._cluster.set_condition(turn.node, turn.after):
            self._told(turn.node, turn.after, since_ns)

    def _finish(self, turn: Turn, since_ns: int) -> None:
        """Wait for a node that began to be started then, and tell of it."""
        self._cluster.await_ready(turn.node, self._is_wanted)
        self._told(turn.node, Condition.RUNNING, since_ns)
        if turn.after is Condition.PAUSED:
            self._bring(Turn(turn.node, Condition.RUNNING, turn.after), time.monotonic_ns())

    def _wipe(self, node: str) -> None:
        self._cluster.runtime.clear(node)
        self._cluster.directories.wipe(self._cluster.places[node])
        self._cluster.disks.wiped(node)

    def _replace(self, nodes: Sequence[str], program: Program) -> None:
        """Have nodes, which are down, start with this program: all of them, or none."""
        runtime, done = self._cluster.runtime, list[tuple[str, Process]]()
        try:
            for node in nodes:
                before = runtime.process(node)
                runtime.replace(node, self._cluster.process_of(node, program))
                done.append((node, before))
        except HarnessError:
            for node, before in done:
                with suppress(HarnessError):
                    runtime.replace(node, before)
            raise

    def commands(self, node: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the command line that a node was to start with, and the one that it has."""
        runtime = self._cluster.runtime
        return runtime.process(node).argv, runtime.command(node)

    def _is_gone(self, node: str) -> bool:
        return node not in self._cluster.running or self._cluster.has_ended(node)
