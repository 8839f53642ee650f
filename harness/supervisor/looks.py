"""Looks at nodes show whether a fault of nodes is in force: what their processes are, may, and use.

It is one look after the other: how much CPU time was used shows between two of them.
"""

from __future__ import annotations

import time

from harness.errors import HarnessError
from harness.faults.fault import Condition, Fault, State
from harness.faults.limits import UNLIMITED, Disk, Limits
from harness.history.proof import Proof
from harness.network.proof.limits import (
    Told,
    judge_amounts,
    judge_clock,
    judge_disk,
    judge_limits,
    judge_unread,
)
from harness.network.proof.verdicts import (
    Look,
    is_as_asked,
    judge_command,
    judge_condition,
    judge_wiped,
)
from harness.runtimes.runtime import Reading
from harness.supervisor.conditions import Conditions

LOOK_EVERY_S = 0.002
OF_THEIR_OWN = ("disk", "clock")  # of what nodes have of their own, a look each


class Looks:
    """Looks at nodes. Methods may be called from any thread."""

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        # Fault and node → the limits that were asked at the look before, and what it read.
        self._before: dict[tuple[str, str], tuple[Limits, Reading]] = {}

    def condition(
        self, fault: Fault, node: str, wanted: Condition, *, gone: bool, until_s: float
    ) -> list[Proof]:
        """Look at one node, whose condition is to be this one; wait for that until then (s of
        CLOCK_MONOTONIC).
        """
        while not is_as_asked(wanted, found := self._conditions.found(node)):
            if time.monotonic() >= until_s:
                break
            time.sleep(LOOK_EVERY_S)
        look = _look(fault, gone=gone)
        proofs = [judge_condition(look, node, wanted, found)]
        if fault.state is State.WIPE and not gone:
            proofs.append(judge_wiped(look, node, self._conditions.written(node)))
        if fault.program is not None and wanted is Condition.RUNNING:
            proofs.append(judge_command(look, node, *self._conditions.commands(node)))
        return proofs

    def limits(
        self, fault: Fault, node: str, wanted: Limits, *, gone: bool, until_s: float
    ) -> list[Proof]:
        """Look at one node, whose limits are to be these; wait until then that it reads its
        clock.
        """
        found = []
        if fault.limits.of_processes != UNLIMITED:
            found += self._processes(fault, node, wanted.of_processes, gone=gone)
        if fault.limits.disk is not None:
            found.append(self._disk(fault, node, wanted.disk, gone=gone))
        if fault.limits.clock_s is not None:
            while not _is_heard(seen := self._conditions.told(node)):
                if time.monotonic() >= until_s:
                    break
                time.sleep(LOOK_EVERY_S)
            found.append(judge_clock(_look(fault, gone=gone), node, wanted.clock_s, seen))
        return found

    def _disk(self, fault: Fault, node: str, wanted: Disk | None, *, gone: bool) -> Proof:
        look = _look(fault, gone=gone)
        try:
            return judge_disk(look, node, wanted, self._conditions.room(node))
        except HarnessError as error:
            return judge_unread(look, str(error), "disk")

    def _processes(self, fault: Fault, node: str, wanted: Limits, *, gone: bool) -> list[Proof]:
        key = (fault.name, node)
        asked, before = self._before.pop(key, (UNLIMITED, None))
        try:
            now = self._conditions.reading(node)
        except HarnessError as error:
            return [judge_unread(_look(fault, gone=gone), str(error))]
        look = _look(fault, gone=gone)
        lifted = fault.limits.of_processes if gone else UNLIMITED
        proofs = [judge_limits(look, node, wanted, now, lifted)]
        if not gone:
            self._before[key] = wanted, now
            same = before if asked == wanted else None
            proofs += judge_amounts(look, node, wanted, same, now)
        return proofs

    def under_way(self, fault: Fault, node: str, wanted: Condition, *, gone: bool) -> list[Proof]:
        """Say of a node that is being changed that nothing can be seen of it."""
        look = _look(fault, gone=gone)
        if fault.condition is not None:
            return [judge_condition(look, node, wanted, None)]
        limits = ["limits"] if fault.limits.of_processes != UNLIMITED else []
        own = [what for what in fault.limits.kinds if what in OF_THEIR_OWN]
        return [judge_unread(look, f"{node} is being changed", what) for what in (*limits, *own)]


def _is_heard(seen: Told) -> bool:
    """Whether a program was told what its clock is set to: its last answer may be of before."""
    return seen.told > 0 and seen.told_ns == seen.offset_ns


def _look(fault: Fault, *, gone: bool) -> Look:
    return Look(at_ns=time.monotonic_ns(), fault=fault.name, gone=gone)
