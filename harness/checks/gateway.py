"""The gateway, which speaks to nodes that have no control socket: which operations it held up, for
it stood still while they were under way. Pure.
"""

from __future__ import annotations

import numpy as np

from harness.checks import records
from harness.history.events import GatewayStalled
from harness.history.history import History, Nanoseconds, once
from harness.operations.operation import Witness


def stalls(history: History) -> Nanoseconds:
    """Return when it stood still: from, to (rows × 2), in the order of time."""
    told = [
        (one.since_ns, one.until_ns) for one in history.events if isinstance(one, GatewayStalled)
    ]
    return np.array(sorted(told), np.int64).reshape(-1, 2)


@once
def held_ns(history: History, patience_ns: int) -> Nanoseconds:
    """Return how long it stood still while each operation was under way: from when that was due
    until it was done, and heard of everywhere. `patience_ns`: how long one that was not done was.
    """
    found = stalls(history)
    intended, done = history.column("intended_ns"), history.column("done_ns")
    if not len(found):
        return np.broadcast_to(np.int64(0), len(intended))
    until = np.where(done > 0, done, intended + patience_ns)
    for operation in history.kinds:
        ledger = operation.spec.ledger
        chosen = history.column("operation") == operation
        if ledger is None or ledger.witness is not Witness.EVERY_OTHER_NODE or not chosen.any():
            continue
        heard = records.heard_ns(history, ledger.record, chosen)
        last = np.where(heard == records.NEVER, 0, heard).max(axis=1, initial=0)
        until[chosen] = np.maximum(until[chosen], last)
    lengths = found[:, 1] - found[:, 0]
    total = np.stack([np.cumsum(lengths) - lengths, np.cumsum(lengths)], axis=1)
    since = int(found[0, 0])  # float64 is exact to the nanosecond for a hundred days from here
    at, stood = (found - since).ravel(), total.ravel()
    gained = np.interp(until - since, at, stood) - np.interp(intended - since, at, stood)
    held: Nanoseconds = np.rint(gained).astype(np.int64)
    return held
