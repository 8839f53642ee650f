"""The amounts of a case's faults, which are made milder. Pure.

A time, a share and a rate of leaves are lowered; a rate of the network, and what a node may use,
are raised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from harness.experiments.case import Case, Document, Documents
from harness.experiments.delta_debugging import Number
from harness.topology import impairment, quantities
from harness.topology.impairment import RATE, SHARE, Kind

CHURN_LEAST = 0.1  # leaves a second


@dataclass(frozen=True, slots=True, kw_only=True)
class Amount:
    """How an amount is read and written, and the mildest that is tried; `is_raised`: more of it is
    milder.
    """

    read: Callable[[str], Any]
    mildest: float
    written: Callable[[float], Any]
    is_raised: bool = False


def _of_kind(kind: Kind) -> Amount:
    if kind is RATE:
        return Amount(
            read=kind.read,
            mildest=1e9,
            written=lambda value: f"{value / 1000:.0f}kbit",
            is_raised=True,
        )
    if kind is SHARE:
        return Amount(read=kind.read, mildest=0.001, written=_percent)
    return Amount(read=kind.read, mildest=1.0, written=lambda value: f"{value:g}ms")


def _percent(share: float) -> str:
    return f"{share * 100:g}%"


# Words of a fault that say how bad it is.
WORDS = {
    **{name: _of_kind(word.kind) for name, word in impairment.WORDS.items()},
    "up": _of_kind(RATE),
    "down": _of_kind(RATE),
    "part": _of_kind(SHARE),
    "cpu": Amount(read=quantities.share, mildest=1.0, written=_percent, is_raised=True),
    "memory": Amount(
        read=quantities.size_bytes,
        mildest=1e10,
        written=lambda value: f"{value / 1e6:.0f}mb",
        is_raised=True,
    ),
    "fds": Amount(read=int, mildest=1e4, written=int, is_raised=True),
}


def numbers(case: Case) -> Sequence[Number[Case]]:
    """Return the amounts of all faults, and the rates of churn."""
    found = case.documents()
    faults = [
        number
        for phase, position, fault in found.faults()
        for number in _of_fault(fault, (phase["name"], position))
    ]
    churns = [
        Number(
            name=f"{churn['name']}: rate_per_s",
            value=float(churn["rate_per_s"]),
            goal=CHURN_LEAST,
            put=partial(with_word, (phase["name"], position), "rate_per_s", plain, kind="churn"),
            near=1.5,
        )
        for phase, position, churn in found.churns()
        if churn["rate_per_s"] > CHURN_LEAST
    ]
    return [*faults, *churns]


def _of_fault(fault: Document, at: tuple[str, int]) -> Iterator[Number[Case]]:
    for word, amount in WORDS.items():
        value = float(amount.read(str(fault[word]))) if word in fault else 0.0
        if 0 < value < amount.mildest if amount.is_raised else value > amount.mildest:
            yield Number(
                name=f"{fault['name']}: {word}",
                value=value,
                goal=amount.mildest,
                put=partial(with_word, at, word, amount.written),
                near=1.5,
                is_whole=word == "fds",
            )


def with_word(
    at: tuple[str, int],
    word: str,
    written: Callable[[float], Any],
    case: Case,
    value: float,
    *,
    kind: str = "fault",
) -> Case:
    """Return the case in which a word of the table at a place has another value."""
    found = case.documents()
    at_of(found, kind, at)[word] = written(value)
    return found.case()


def at_of(found: Documents, kind: str, at: tuple[str, int]) -> Document:
    """Return the table of a kind at a place: its phase, and its position there."""
    name, position = at
    phase = next(one for one in found.phases if one["name"] == name)
    one: Document = phase[kind][position]
    return one


def plain(value: float) -> float:
    """Return a number as a person writes it: whole where it is, else with three decimals."""
    return int(value) if value == int(value) else round(value, 3)
