"""What its sender was told had failed, and happened all the same. Pure.

FAILED says that an operation was certainly not done; of what may have been, the outcome is UNKNOWN
(as Jepsen tells :fail from :info). So a record of a failed operation at another node is a lie of
who answered for it: a sender that tries again does it twice. Reads and connections change nothing,
and are not held to it.
"""

from __future__ import annotations

import numpy as np

from harness.checks import records
from harness.checks.metric import Chosen
from harness.checks.verdict import Answer, Finding
from harness.history.history import History
from harness.operations import Operation, Outcome
from harness.operations.operation import Ledger, Witness

CHANGES = (Witness.TARGET, Witness.EVERY_OTHER_NODE, Witness.KEEPER)


def check(history: History) -> list[Finding]:
    """One finding for each operation of which some failed and are in journals; none where none
    are. Of an older folder, whose FAILED may mean less, it is only told.
    """
    found = []
    for operation in history.kinds:
        ledger = operation.spec.ledger
        if ledger is None or ledger.witness not in CHANGES or ledger.record not in history.kept:
            continue
        failed = records.in_phase(history, records.WHOLE_RUN, operation)
        # What was never sent and came is told as done before it was sent.
        failed &= (history.column("outcome") == Outcome.FAILED) & (history.column("sent_ns") > 0)
        if failed.any() and (done := _done(history, operation, ledger, failed)).any():
            found.append(_finding(history, operation, failed, done))
    return found


def _done(history: History, operation: Operation, ledger: Ledger, failed: Chosen) -> Chosen:
    """Which of the failed operations a node other than their source has a record of."""
    if ledger.witness is Witness.KEEPER:
        kept: Chosen = records.witnessed_ns(history, operation, failed) != records.NEVER
        if kept.any():  # under a key that puts share, a record may be of another one
            kept &= ~_shares_key(history, failed)
        return kept
    rows, mine = records.about(history, ledger.record, failed)
    found = np.zeros(int(failed.sum()), np.bool_)
    found[rows[mine.node != history.column("source")[failed][rows]]] = True
    return found


def _shares_key(history: History, chosen: Chosen) -> Chosen:
    """Which of the chosen puts named another key than their own."""
    ids = records.identifiers(history)[chosen]
    named = dict(
        zip(*(history.values.column(name).to_pylist() for name in ("id", "key")), strict=True)
    )
    own = zip(ids, records.keys(ids), strict=True)
    return np.array([named.get(one.tobytes(), key.tobytes()) != key.tobytes() for one, key in own])


def _finding(history: History, operation: Operation, failed: Chosen, done: Chosen) -> Finding:
    """The finding of these, which were done."""
    source = history.nodes[history.column("source")[failed][done][0]]
    said = history.operations.column("error")[int(np.flatnonzero(failed)[done][0])].as_py()
    told = f"{source} was told that its {operation.word} had failed ({said or 'no word why'})"
    is_certain = history.failed_is_certain
    return Finding(
        name=f"{operation.word}: what failed was not done",
        answer=Answer.FAIL if is_certain else Answer.MEASURED,
        promised=f"{failed.sum():,} of {failed.sum():,}" if is_certain else "–",
        measured=f"{done.sum():,} failed, and done",
        sentence=f"{told}, and another node's journal has it"
        + ("" if is_certain else "; in this older folder that may mean: perhaps not done"),
    )
