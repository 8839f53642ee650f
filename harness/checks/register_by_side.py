"""A DHT as a register on each side of a partition. Pure.

As register.py, but for what is newer: a put replaces what is there for those who had a way to its
writer, and from it, while it was under way and for SETTLED_NS before and after. Values of two sides
that were put while they were apart are side by side, and either may be read once they meet, until
one is put that all can hear of. So it asks of each side that it does not fall behind its own
writes, and of all that a later put ends what the split has left.
"""

from __future__ import annotations

import numpy as np

from harness.checks import reach, register, registers
from harness.checks.reach import Reach
from harness.checks.register import SETTLED_NS
from harness.checks.registers import NOBODY, Put
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History

FRESH = "register, by side: no older value after a newer one"


def check(history: History) -> list[Finding]:
    """A finding of each promise of which this run shows something."""
    found, sides = registers.of(history), reach.of(history)
    fresh = [_unknown(sides)] if sides.unknown else _fresh(found, sides)
    return [*register.written(found), *fresh, *register.kept(history, found)]


def _fresh(found: registers.Registers, sides: Reach) -> list[Finding]:
    def is_owed(put: Put, node: int) -> bool:
        if NOBODY in {put.node, node}:  # before the run, when nothing was cut
            return True
        around = np.array([put.begin_ns - SETTLED_NS, put.end_ns + SETTLED_NS])
        first, last = sides.stretch(around).tolist()
        stretches = (sides.apart(one, one) for one in range(first, last + 1))
        apart = [one for one in stretches if one is not None]
        return not any(one[put.node, node] or one[node, put.node] for one in apart)

    return register.fresh(found, FRESH, is_owed)


def _unknown(sides: Reach) -> Finding:
    return Finding(
        name=FRESH,
        answer=Answer.UNKNOWN,
        promised="no older value",
        measured="–",
        sentence=f"the record does not say whom {', '.join(sorted(sides.unknown))} parted",
        cause=Cause.NOT_MEASURED,
    )
