"""What a system may do with an operation that another may not, in the words of the field. Each
covers what it says and nothing else: none covers what is made up, altered, or at another node.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from harness.operations import Operation
from harness.operations.operation import Witness


class Slip(StrEnum):
    """What may go wrong on the way, and is no alteration."""

    LOST = "lost"
    REPEATED = "repeated"
    OVERTAKEN = "overtaken"


COVERS: Mapping[str, frozenset[Slip]] = {
    "at most once": frozenset({Slip.LOST}),
    "at least once": frozenset({Slip.REPEATED}),
    "unordered": frozenset({Slip.OVERTAKEN}),
    "best effort": frozenset(Slip),
}
# What is judged of an operation, by whose record tells that it happened.
JUDGED: Mapping[Witness, frozenset[Slip]] = {
    Witness.TARGET: frozenset(Slip),
    Witness.EVERY_OTHER_NODE: frozenset({Slip.LOST, Slip.REPEATED}),
    Witness.KEEPER: frozenset({Slip.LOST}),
}


def words_for(operation: Operation) -> list[str]:
    """Return the words that say anything of an operation: of what they cover something is judged,
    unless they cover everything.
    """
    ledger = operation.spec.ledger
    judged = frozenset[Slip]() if ledger is None else JUDGED.get(ledger.witness, frozenset())
    return [word for word, covered in COVERS.items() if covered & judged]


def covering(words: tuple[str, ...], slip: Slip) -> str:
    """Return the word that covers a slip; empty: none does."""
    return next((word for word in words if slip in COVERS[word]), "")
