"""Looks at nodes, without any."""

from __future__ import annotations

from typing import cast

import pytest

from harness.faults.fault import Condition, Fault
from harness.faults.limits import Disk, Limits
from harness.history.proof import ProofAnswer
from harness.supervisor.conditions import Conditions
from harness.supervisor.looks import Looks


@pytest.mark.parametrize(
    ("what", "seen"),
    [
        ({"condition": Condition.PAUSED}, ["condition"]),
        ({"limits": Limits(cpu=0.2)}, ["limits"]),
        ({"limits": Limits(disk=Disk.FULL)}, ["disk"]),
        ({"limits": Limits(fds=64, disk=Disk.FULL, clock_s=9.0)}, ["limits", "disk", "clock"]),
    ],
)
def test_of_a_node_that_is_being_changed_nothing_is_shown_that_a_later_look_does_not_show(
    what, seen
):
    """Else a limit would lack a look at a condition that nobody asked for, for ever."""
    fault = Fault(name="f", nodes=("a",), **what)
    looks = Looks(cast("Conditions", None))
    found = looks.under_way(fault, "a", Condition.RUNNING, gone=False)
    assert [one.what for one in found] == seen
    assert {one.answer for one in found} == {ProofAnswer.AMOUNT_NOT_SHOWN}
