"""A condition that ends a phase when it holds, in a small closed language (EXAMPLES)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

from harness.choices import one_of
from harness.errors import BadFileError
from harness.operations import Operation

READY = "all nodes ready"
EXAMPLES = (
    f"'{READY}'",
    "'coverage of the last second >= 100 %'",
    "'success of STREAM in the last second >= 99 %'",
    "'p95 of STREAM in the last second < 50 ms'",
)
SETTLE_MS = 1_000  # in which what was due has to come true, to count
P95_LEAST = 20  # operations of which there is a p95


class Quantity(StrEnum):
    """What is held against the bound; all but the first over what was due in one second."""

    READY = "ready"  # of the nodes, the share that runs and is ready

    COVERAGE = "coverage"  # of those that were to hear of a broadcast, the share that did; mean
    SUCCESS = "success"  # share of operations that came true
    P95 = "p95"  # of their times, ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """A condition: a quantity of a stream, and what it must be at least (a share) or below (ms).

    `operation` None: it is of the nodes, and of no stream.
    """

    quantity: Quantity
    operation: Operation | None
    bound: float
    text: str  # as it was written

    @property
    def least(self) -> int:
        """How many operations a second must have to show anything."""
        return P95_LEAST if self.quantity is Quantity.P95 else 1


_SHARE = r">= (?P<bound>\d+(\.\d+)?) ?%"
FORMS = {
    re.compile(rf"coverage of the last second {_SHARE}"): Quantity.COVERAGE,
    re.compile(rf"success of (?P<stream>\w+) in the last second {_SHARE}"): Quantity.SUCCESS,
    re.compile(
        r"p95 of (?P<stream>\w+) in the last second < (?P<bound>\d+(\.\d+)?) ?ms"
    ): Quantity.P95,
}


@cache
def parse(text: str, own: tuple[Operation, ...] = ()) -> Until:
    """Read a condition; `own`: operations of a system's own that it may be about. Raises
    BadFileError with the forms that there are.
    """
    if text == READY:
        return Until(quantity=Quantity.READY, operation=None, bound=1.0, text=text)
    for form, quantity in FORMS.items():
        if match := form.fullmatch(text):
            said = match.groupdict()
            stream = said.get("stream", Operation.BROADCAST.word)
            known = {one.word: one for one in (*Operation, *own)}
            return _made(quantity, stream, float(said["bound"]), text, known)
    raise BadFileError(f"until: expected one of {', '.join(EXAMPLES)}; found {text!r}")


def _made(
    quantity: Quantity, word: str, bound: float, text: str, known: Mapping[str, Operation]
) -> Until:
    if word not in known:
        raise BadFileError(f"until: {one_of(word, known)}")
    most = SETTLE_MS if quantity is Quantity.P95 else 100.0
    if not 0 < bound <= most:
        raise BadFileError(f"until: expected a number above 0 and at most {most:g}; found {text!r}")
    return Until(
        quantity=quantity,
        operation=known[word],
        bound=bound if quantity is Quantity.P95 else bound / 100,
        text=text,
    )
