"""Linearizability: each key of the DHT behaves as if its puts and gets took effect one after the
other, each at one moment between its sending and its end. Pure.

Every value is written once, so it is known which put each get read, and no search is needed
(Gibbons and Korach, "Testing shared memories", 1997). A put and its gets are a zone. It spans from
the first end to the last begin among them: then its value was there all that while; or, where each
overlaps with each, all can have taken effect at once, at some moment between the last begin and the
first end. A key is linearizable where no two spans of the first kind overlap and none holds one of
the second kind whole, and no get ended before its put began.

A put without an answer counts where somebody read it: it may have taken effect at any time, or
never; one that failed did not. A get that brought no value is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from harness.checks import registers
from harness.checks.register import shown, unwritten
from harness.checks.registers import Register, Registers
from harness.checks.verdict import Answer, Cause, Finding
from harness.history.history import History

NAME = "linearizability: each key of the DHT"
Interval = tuple[int, int]  # from, to; both moments are in it


@dataclass(frozen=True, slots=True)
class Zone:
    """A put and the gets that read it: where their first end and their last begin are."""

    value: bytes
    first_end: int
    last_begin: int

    @property
    def is_span(self) -> bool:
        """Whether the value was there from the first end to the last begin."""
        return self.first_end < self.last_begin


def check(history: History) -> list[Finding]:
    """One finding of all keys that were read; none where no get brought a value that is told."""
    found = registers.of(history)
    read = {key: one for key, one in found.read.items() if any(get.is_told for get in one.gets)}
    why = {key: _wrong(history, found, one) for key, one in read.items()}
    wrong = [(key, said) for key, said in why.items() if said is not None]
    if not read and not found.untold:
        return []
    answer, cause = Answer.PASS, None
    measured = f"{len(read):,} of {len(read):,}"
    sentence = "an order of its puts and gets explains what was read of each"
    if wrong:
        answer, measured = Answer.FAIL, f"{len(wrong):,} not"
        sentence = f"of the key {shown(wrong[0][0])} no order explains what was read: {wrong[0][1]}"
    elif found.not_told is not None:
        answer, cause = Answer.UNKNOWN, Cause.NOT_MEASURED
        measured, sentence = "not told", found.not_told
    return [
        Finding(
            name=NAME,
            answer=answer,
            promised=f"{len(read):,} of {len(read):,}",
            measured=measured,
            sentence=sentence,
            cause=cause,
        )
    ]


def _wrong(history: History, found: Registers, register: Register) -> str | None:
    """Why no order explains a key; None where one does."""
    begin_ns = history.phases[0].begin_ns if history.phases else 0
    puts = {value: (put.begin_ns, put.end_ns) for value, put in register.puts.items()}
    told = [get for get in register.gets if get.is_told]
    for get in told:
        if (why := unwritten(found, register, get)) is not None:
            return f"a get brought {why}"
    gets = [(get.value or b"", (get.begin_ns, get.end_ns)) for get in told]
    return violation(puts, gets, begin_ns)


def violation(
    puts: Mapping[bytes, Interval], gets: Sequence[tuple[bytes, Interval]], begin: int = 0
) -> str | None:
    """Say why a register whose puts each wrote a value of their own is not linearizable; None where
    it is. Times are in ns; sentences count them from `begin`.
    """
    times: dict[bytes, list[Interval]] = {value: [interval] for value, interval in puts.items()}
    for value, interval in gets:
        if value not in puts:
            return "a value was read that nobody put there"
        if interval[1] < puts[value][0]:
            return f"the value put at {_at(puts[value][0], begin)} was read before"
        times[value].append(interval)
    zones = [
        Zone(value, min(end for _, end in some), max(first for first, _ in some))
        for value, some in times.items()
    ]
    return _conflict(zones, puts, begin)


def _conflict(zones: Iterable[Zone], puts: Mapping[bytes, Interval], begin: int) -> str | None:
    """Name two zones that exclude each other; None where no two do."""
    every = list(zones)
    spans = sorted((one for one in every if one.is_span), key=lambda one: one.first_end)
    others = sorted((one for one in every if not one.is_span), key=lambda one: one.last_begin)
    put_at = {value: _at(interval[0], begin) for value, interval in puts.items()}
    at, open_ = 0, None
    for span in spans:
        if open_ is not None and span.first_end < open_.last_begin:
            return (
                f"the value put at {put_at[open_.value]} was read until "
                f"{_at(open_.last_begin, begin)}, that put at {put_at[span.value]} was there from "
                f"{_at(span.first_end, begin)} on"
            )
        open_ = span
        while at < len(others) and others[at].last_begin <= span.first_end:
            at += 1
        inside = at
        while inside < len(others) and others[inside].last_begin < span.last_begin:
            if others[inside].first_end < span.last_begin:
                return (
                    f"the value put at {put_at[span.value]} was read before and after that put at "
                    f"{put_at[others[inside].value]}"
                )
            inside += 1
    return None


def _at(at: int, begin: int) -> str:
    return f"{(at - begin) / 1e9:.3f} s"
