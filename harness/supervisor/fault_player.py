"""The fault player sets and clears faults when they are due, and those that were set by hand for a
time.
"""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any

from harness.errors import close_all
from harness.faults.fault import Change, Fault, Verb
from harness.kernel import priority
from harness.scenario.timeline import PlannedChange
from harness.supervisor.faults import Faults

LOOK_EVERY_S = 0.02
AHEAD_S = 1.0  # before a change, when it begins to be made ready; a look before that is over then
NODES_TOGETHER = 128  # faults of nodes that are changed side by side: most wait until one is ready


@dataclass(order=True, slots=True)
class _DueChange:
    """A change that is due, and to whom its failure is told."""

    at_ns: int
    number: int  # of one moment, in the order of the timeline
    change: PlannedChange = field(compare=False)
    failed: Callable[[str], None] = field(compare=False)
    by_hand: bool = field(compare=False)


class FaultPlayer:
    """Sets and clears faults when they are due, by one clock, in a thread of its own.

    They are those of a run's timeline, and those that somebody set by hand for a time. Faults of
    nodes are changed beside the clock, the changes of one after each other: a node that starts
    takes its time, and what the network and other nodes are due must not wait for it.
    """

    def __init__(self, faults: Faults, failed: Callable[[str], None]) -> None:
        """`failed` is told what could not be done of faults that were set by hand for a time."""
        self._faults, self._failed = faults, failed
        self._due: list[_DueChange] = []
        self._numbers = itertools.count()
        self._news, self._over = threading.Condition(), False
        self._acting = threading.Lock()  # held while a change that was due is made
        # Identity of a fault as planned → it, and the fault as it stands.
        self._in_force: dict[int, tuple[Fault, Fault]] = {}
        self._came: dict[int, Fault] = {}  # by their identity: those that have stood before
        # Identity of a fault → it, and when it is taken back for good.
        self._gone: dict[int, tuple[Fault, int]] = {}
        self._played: list[Fault] = []  # of the timeline, as planned
        # What comes need not wait for what goes: nodes that start take their time.
        self._nodes = {one: ThreadPoolExecutor(NODES_TOGETHER, f"nodes {one}") for one in Verb}
        # Identity of a fault of nodes → its last change that was given to a thread.
        self._given: dict[int, Future[None]] = {}
        self._thread = threading.Thread(target=self._run, name="fault player", daemon=True)
        self._thread.start()

    def play(
        self, changes: Sequence[PlannedChange], t0_ns: int, failed: Callable[[str], None]
    ) -> None:
        """Play a timeline's changes.

        `failed` is told what could not be done: a fault that was not played must not look like one
        that was.
        """
        self._played += [change.fault for change in changes]
        self._add(changes, t0_ns, failed, by_hand=False)

    def bring_forward(self, from_ns: int, by_ns: int) -> None:
        """Let what timelines plan from a moment on come so much earlier."""
        with self._news:
            moved = [due for due in self._due if not due.by_hand and due.at_ns >= from_ns]
            for key in {id(due.change.fault) for due in moved}:
                if key in self._gone:
                    fault, gone_ns = self._gone[key]
                    self._gone[key] = fault, gone_ns - by_ns
            for due in moved:
                due.at_ns -= by_ns
            heapq.heapify(self._due)
            self._news.notify_all()

    def set_for(self, fault: Fault, changes: Sequence[PlannedChange]) -> Change:
        """Set a fault by hand, now, and have the rest of its changes played later.

        `changes` begin with this one, and their times count from now; of a moment all are made
        before this returns. Raises HarnessError where the fault cannot be set; a fault of the same
        name then ends as it would have.
        """
        called_off = self._call_off(lambda due: due.by_hand and due.change.fault.name == fault.name)
        try:
            change = self._set(fault)
        except BaseException:
            self._put(called_off)
            raise
        if fault.is_moment:
            self._faults.clear_this(change.fault)
        elif later := changes[1:]:
            self._came[id(fault)] = fault
            self._in_force[id(fault)] = fault, change.fault
            self._add(later, time.monotonic_ns(), self._failed, by_hand=True)
        return change

    def clear(self, name: str | None) -> list[str]:
        """Take one fault back by hand, or all; faults that were set by hand do not come again.

        Returns the names. Raises UsageError for a name that is not in force and does not come
        again.
        """
        called_off = self._call_off(
            lambda due: due.by_hand and name in (None, due.change.fault.name)
        )
        flapping = {due.change.fault.name for due in called_off}
        standing = self._faults.standing
        if name is not None and name in flapping and name not in standing:
            return [name]  # it was away just now
        cleared = [change.fault.name for change in self._faults.clear(name)]
        return cleared + sorted(flapping - standing.keys())

    def listed(self) -> dict[str, Any]:
        """List the faults in force, and those that were set and are away just now.

        Each row has `left_s`, until it is taken back for good; None: it stays until somebody does.
        `away`: name → the same, of those that come again.
        """
        rows, standing = self._faults.rows(), self._faults.standing
        now_ns = time.monotonic_ns()
        with self._news:
            left_s: dict[str, float] = {}
            away: dict[str, float] = {}
            coming = {id(due.change.fault) for due in self._due if due.change.verb is Verb.SET}
            for key, (fault, at_ns) in self._gone.items():
                seconds = max(0.0, (at_ns - now_ns) / 1e9)
                pair = self._in_force.get(key)
                if pair is not None and standing.get(fault.name) is pair[1]:
                    left_s[fault.name] = seconds
                elif key in self._came and key in coming and fault.name not in standing:
                    away[fault.name] = seconds
        return {
            "faults": [{**row, "left_s": left_s.get(row["name"])} for row in rows],
            "away": away,
        }

    def end(self, failed: Callable[[str], None], *, in_haste: bool = False) -> None:
        """Take back the faults that the timeline left in force; nothing of it comes any more. In
        haste nobody waits until nodes are ready.
        """
        with self._faults.in_haste("a run was cut") if in_haste else nullcontext():
            self._call_off(lambda due: not due.by_hand)
            with self._acting:
                self._settle()
            for planned in self._played:
                if id(planned) in self._in_force:
                    change = PlannedChange(at_s=0.0, verb=Verb.CLEAR, fault=planned)
                    self._do(change, failed)
            self._played = []

    def close(self) -> None:
        """Stop the clock."""
        with self._news:
            self._over = True
            self._news.notify_all()
        pools = (one.shutdown for one in self._nodes.values())
        close_all("the player of faults", self._thread.join, *pools)

    def _add(
        self,
        changes: Sequence[PlannedChange],
        t0_ns: int,
        failed: Callable[[str], None],
        *,
        by_hand: bool,
    ) -> None:
        self._put(
            _DueChange(
                t0_ns + round(change.at_s * 1e9), next(self._numbers), change, failed, by_hand
            )
            for change in changes
        )

    def _put(self, more: Iterable[_DueChange]) -> None:
        with self._news:
            for due in more:
                heapq.heappush(self._due, due)
                fault = due.change.fault
                if due.change.verb is Verb.CLEAR:
                    _, before_ns = self._gone.get(id(fault), (fault, 0))
                    self._gone[id(fault)] = fault, max(before_ns, due.at_ns)
            self._news.notify_all()

    def _call_off(self, matches: Callable[[_DueChange], bool]) -> list[_DueChange]:
        """What is due of these is not made any more, and is returned; what is under way has been
        made.
        """
        with self._news:
            gone = [due for due in self._due if matches(due)]
            for due in gone:
                self._came.pop(id(due.change.fault), None)
                self._gone.pop(id(due.change.fault), None)
            self._due = [due for due in self._due if not matches(due)]
            heapq.heapify(self._due)
        with self._acting:
            pass
        if any(due.change.fault.is_of_nodes for due in gone):
            self._settle()
        return gone

    def _settle(self) -> None:
        """Wait until the changes of nodes that are under way have been made."""
        wait(list(self._given.values()))

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._over and not self._is_due(AHEAD_S):
                    self._news.wait(self._left_s(AHEAD_S) if self._due else None)
                if self._over:
                    return
                due = self._due[0]
            self._play(due)
            del due  # or its run, to which it tells what failed, would be kept until the next

    def _play(self, due: _DueChange) -> None:
        """Make a change at its moment, which is soon, with all made ready for it that can be."""
        network = self._faults.network
        network.precedence.expect(due.number, due.at_ns)
        if not self._is_due():
            self._make_ready(due)
        # A change of nodes is given to a thread, which, made now, would be behind its like.
        is_here = network.is_ready and not due.change.fault.is_of_nodes
        with priority.prompt() if is_here else nullcontext():
            self._await(due)
            with self._acting:
                is_given = self._act(due)
        if not is_given:  # else the thread has it all
            network.call_off()
            network.precedence.made(due.number)

    def _make_ready(self, due: _DueChange) -> None:
        network, fault = self._faults.network, due.change.fault
        if due.change.verb is Verb.CLEAR and id(fault) in self._in_force:
            fault = self._in_force[id(fault)][1]
        self._faults.make_ready(due.change.verb, fault)
        if network.is_ready:
            self._await(due, network.look_ahead_s)
            network.look_ahead()

    def _await(self, due: _DueChange, ahead_s: float = 0.0) -> None:
        """Wait until so long before the moment of a change, unless another comes first now."""
        with self._news:
            while not self._over and self._is_next(due) and not self._is_due(ahead_s):
                self._news.wait(self._left_s(ahead_s))

    def _act(self, due: _DueChange) -> bool:
        """Make the change that is due, unless it was called off in this moment; return whether it
        was given to a thread that tells when it was made.
        """
        with self._news:
            if self._over or not self._is_next(due) or not self._is_due():
                return False
            heapq.heappop(self._due)
        if not due.change.fault.is_of_nodes:
            self._do(due.change, due.failed)
            return False
        before = self._given.get(id(due.change.fault))
        self._given = {key: one for key, one in self._given.items() if not one.done()}
        pool = self._nodes[due.change.verb]
        self._given[id(due.change.fault)] = pool.submit(self._do_after, before, due)
        return due.change.verb is Verb.SET  # a node that starts takes its time

    def _do_after(self, before: Future[None] | None, due: _DueChange) -> None:
        """Make a change after the one before of the same fault, which was given earlier: of a fault
        that comes again, once it has begun to go.
        """
        fault, is_set = due.change.fault, due.change.verb is Verb.SET
        while before is not None and not before.done():
            if is_set and self._faults.standing.get(fault.name) is not fault:
                break
            wait([before], LOOK_EVERY_S)
        self._do(due.change, due.failed)
        self._faults.network.precedence.made(due.number)

    def _is_next(self, due: _DueChange) -> bool:
        return bool(self._due) and self._due[0] is due

    def _is_due(self, ahead_s: float = 0.0) -> bool:
        return bool(self._due) and self._left_s(ahead_s) <= 0

    def _left_s(self, ahead_s: float) -> float:
        """How long it is until so long before the moment of the next change."""
        return (self._due[0].at_ns - time.monotonic_ns()) / 1e9 - ahead_s

    def _do(self, change: PlannedChange, failed: Callable[[str], None]) -> None:
        fault = change.fault
        try:
            if change.verb is Verb.CLEAR:
                self._clear(fault)
            elif id(fault) not in self._came or fault.name not in self._faults.standing:
                self._in_force[id(fault)] = fault, self._set(fault).fault
                self._came[id(fault)] = fault
            # else it was away, and another has its name now
        except Exception as error:  # whatever it is: a fault not played must not look like one
            done = "set" if change.verb is Verb.SET else "taken back"
            failed(f"fault {fault.name} could not be {done}: {error}")
        with self._news:
            due = any(due.change.fault is fault for due in self._due)
            if not due and id(fault) not in self._in_force:
                self._came.pop(id(fault), None)
                self._gone.pop(id(fault), None)

    def _set(self, fault: Fault) -> Change:
        """Set a fault. Raises what went wrong; it does not stand then, also where it stood already
        and only could not be written down.
        """
        before = self._faults.standing.get(fault.name)
        try:
            return self._faults.set(fault)
        except BaseException:
            stands = self._faults.standing.get(fault.name)
            if stands is not None and stands is not before:
                with suppress(Exception):
                    self._faults.clear_this(stands)
            raise

    def _clear(self, fault: Fault) -> None:
        """Take a fault back if it stands; where that fails, `end` tries again."""
        pair = self._in_force.get(id(fault))
        if pair is not None:
            try:
                self._faults.clear_this(pair[1])
            finally:
                is_gone = self._faults.standing.get(fault.name) is not pair[1]
                # It may have come again, and gone, before its nodes were ready.
                if is_gone and self._in_force.get(id(fault)) is pair:
                    self._in_force.pop(id(fault), None)
