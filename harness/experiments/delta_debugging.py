"""Delta debugging makes what fails smaller, as long as it still fails. Pure, of any kind of value.

What can be left out is reduced by ddmin (A. Zeller and R. Hildebrandt, Simplifying and Isolating
Failure-Inducing Input, IEEE Transactions on Software Engineering 28(2), 2002) without its tests of
subsets, which cost runs and which a one-minimal result does not need (R. Hodovan and A. Kiss,
Practical Improvements to the Minimizing Delta Debugging Algorithm, ICSOFT 2016). What can only be
lowered is bisected, as if less of it never failed where more does not. All is done again until
nothing changes: then no single part of the result can be left out, and no number lowered to the
next value that was tried.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

from harness.experiments.sequential_test import Decision, Outcome, SequentialTest

C = TypeVar("C", bound=Hashable)
Part = Hashable


@dataclass(frozen=True, slots=True, kw_only=True)
class Drop(Generic[C]):
    """A pass that leaves parts out.

    `parts` lists those of a candidate. `without` leaves some of them out; None: it cannot be.
    """

    name: str
    parts: Callable[[C], Sequence[Part]]
    without: Callable[[C, Collection[Part]], C | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(Generic[C]):
    """A number of a candidate, which is moved from `value` towards `goal`, both above 0.

    `put` makes the candidate with another value; None: it cannot be. Values whose ratio is `near`
    or less are as good as the same. `name` is the number's own, whatever else changes.
    """

    name: str
    value: float
    goal: float
    put: Callable[[C, float], C | None]
    near: float = 1.25
    is_whole: bool = False

    def is_ahead(self, value: float) -> bool:
        """Whether another value than its own lies between that and its goal."""
        low, high = sorted((self.goal, self.value))
        return low <= value <= high and value != self.value

    def between(self, low: float, high: float) -> Iterator[float]:
        """Yield values between two, the best to try first; none where the two are near."""
        if max(low, high) / min(low, high) <= self.near:
            return
        middle = math.sqrt(low * high)
        tries = [float(f"{middle:.2g}")]
        if self.is_whole:
            tries = [float(round(middle) + step) for step in (0, -1, 1)]
        yield from (one for one in tries if min(low, high) < one < max(low, high))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower(Generic[C]):
    """A pass that lowers numbers, one after another. `numbers` lists those of a candidate."""

    name: str
    numbers: Callable[[C], Sequence[Number[C]]]


Pass = Drop[C] | Lower[C]


class SpentError(Exception):
    """The runs or the time that were allowed are used up: what is known so far is the result."""


class Trials(Generic[C]):
    """Decides of candidates by runs, of each once.

    `play` makes one run of a candidate, and raises SpentError where it may not. `refusal` says why
    a candidate cannot be played at all, which costs nothing. With an `executor`, `jobs` candidates
    are decided side by side. `told` hears of each that was decided.
    """

    def __init__(
        self,
        play: Callable[[C], Outcome],
        test: SequentialTest,
        *,
        refusal: Callable[[C], str | None] = lambda _: None,
        executor: Executor | None = None,
        jobs: int = 1,
        told: Callable[[str, C, Decision], None] = lambda *_: None,
    ) -> None:
        self._play, self.test, self._refusal = play, test, refusal
        self._executor, self._jobs, self._told = executor, jobs, told
        self.decided: dict[C, Decision] = {}
        self.refused: dict[C, str] = {}
        self.asked: set[C] = set()  # since somebody emptied it

    def first_failing(self, what: str, candidates: Sequence[C | None]) -> int | None:
        """Return the position of the first candidate that fails; None where none does.

        `what`: the pass that asks. None among the candidates is one that cannot be.
        """
        for begin in range(0, len(candidates), self._jobs):
            batch = candidates[begin : begin + self._jobs]
            some = dict.fromkeys(one for one in batch if one is not None)
            self.asked.update(some)
            fresh = [one for one in some if one not in self.decided and self._is_possible(one)]
            self._decide(what, fresh)
            for position, candidate in enumerate(batch, begin):
                if candidate is not None and self.fails(candidate):
                    return position
        return None

    def fails(self, candidate: C) -> bool:
        """Whether a candidate was found to fail."""
        found = self.decided.get(candidate)
        return found is not None and found.outcome is Outcome.FAILS

    def passes(self, candidate: C) -> bool:
        """Whether a candidate was found not to fail."""
        found = self.decided.get(candidate)
        return found is not None and found.outcome is Outcome.PASSES

    def _is_possible(self, candidate: C) -> bool:
        if candidate not in self.refused and (why := self._refusal(candidate)) is not None:
            self.refused[candidate] = why
        return candidate not in self.refused

    def _decide(self, what: str, candidates: Sequence[C]) -> None:
        """Decide of candidates; what is known of one stays known where another is SpentError."""

        def decide(candidate: C) -> Decision:
            return self.test.decide(lambda: self._play(candidate))

        if self._executor is None:
            for one in candidates:
                self.decided[one] = decide(one)
                self._told(what, one, self.decided[one])
            return
        spent: SpentError | None = None
        for one, future in [(one, self._executor.submit(decide, one)) for one in candidates]:
            try:
                self.decided[one] = future.result()
            except SpentError as error:
                spent = error
        for one in candidates:  # none is played any more: who hears of one may play others
            if one in self.decided:
                self._told(what, one, self.decided[one])
        if spent is not None:
            raise spent


class Search(Generic[C]):
    """Makes a candidate smaller; `best` is the smallest so far, whatever ends the search.

    `found` are all that failed, in the order of the search, the original first. `kept` hears of
    each that becomes the best.
    """

    def __init__(
        self, original: C, trials: Trials[C], kept: Callable[[C], None] = lambda _: None
    ) -> None:
        """`original` is known to fail."""
        self.found = [original]
        self.trials, self._kept = trials, kept
        self.is_minimal, self._infers = False, True
        self.lows: dict[str, float] = {}  # number → the value next to its own that does not fail

    @property
    def best(self) -> C:
        """The smallest candidate that was found to fail."""
        return self.found[-1]

    def run(self, passes: Sequence[Pass[C]]) -> None:
        """Play the passes, again and again until none changes anything.

        The best is not minimal where it ends early, because runs or time are used up, and where
        something of the last round stayed unresolved: it may be left out, and nobody knows. The
        first round takes for granted that with more left out nothing fails that did not with less;
        the last one does not.
        """
        self.is_minimal, self._infers = False, True
        try:
            before: C | None = None
            while before != self.best or self._infers:
                self._infers = before is None
                before = self.best
                self.trials.asked.clear()
                for one in passes:
                    self._drop(one) if isinstance(one, Drop) else self._lower(one)
        except SpentError:
            return
        decided = [self.trials.decided.get(one) for one in self.trials.asked]
        self.is_minimal = all(one is None or one.outcome is Outcome.PASSES for one in decided)

    def retract(self, decision: Decision) -> None:
        """Take the best back, of which more runs say that it does not fail: the one before it is
        the best again, and `run` goes on from there. The original cannot be taken back.
        """
        wrong = self.found.pop()
        assert self.found
        self.trials.decided[wrong] = decision
        self.is_minimal = False

    def _found(self, smaller: C) -> None:
        self.found.append(smaller)
        self._kept(smaller)

    def _drop(self, one: Drop[C]) -> None:
        """Leave out as many parts as can be: all of them at first, then ever smaller shares."""
        base, left, gone = self.best, list(one.parts(self.best)), frozenset[Part]()
        needed: list[frozenset[Part]] = []  # without all of one of these it does not fail
        shares = 1
        while left:
            cuts = [
                len(left) * number // min(shares, len(left))
                for number in range(min(shares, len(left)) + 1)
            ]
            some = [gone.union(left[begin:end]) for begin, end in pairwise(cuts)]
            tries = [self._without(one, base, each, needed) for each in some]
            position = self.trials.first_failing(one.name, tries)
            needed += [
                each
                for each, made in zip(some, tries, strict=True)
                if made is not None and self.trials.passes(made)
            ]
            if position is not None and (smaller := tries[position]) is not None:
                self._found(smaller)
                gone = some[position]
                left = [part for part in left if part not in gone]
                shares = max(shares - 1, 2)
            elif shares >= len(left):
                return
            else:
                shares *= 2

    def _without(
        self, one: Drop[C], base: C, gone: frozenset[Part], needed: Sequence[frozenset[Part]]
    ) -> C | None:
        """Leave parts out; None: it cannot be, changes nothing, or is known not to fail."""
        if self._infers and any(each <= gone for each in needed):
            return None
        return self._other(one.without(base, gone))

    def _lower(self, one: Lower[C]) -> None:
        for number in one.numbers(self.best):
            self._bisect(one.name, number)

    def _bisect(self, what: str, number: Number[C]) -> None:
        """Move a number as far towards its goal as it can be.

        The goal is tried first: most numbers do not matter. In a later round that is the value
        next to its own that did not fail before.
        """
        goal, high = number.goal, number.value
        low = self.lows.get(number.name, goal)
        if not number.is_ahead(low):
            low = goal  # another pass has moved it since
        while high != goal and self._fails(what, number, [low]) is not None:
            high, low = low, goal
        while high != goal and (values := list(number.between(low, high))):
            value = self._fails(what, number, values)
            low, high = (values[0], high) if value is None else (low, value)
        self.lows[number.name] = low

    def _fails(self, what: str, number: Number[C], values: Sequence[float]) -> float | None:
        """Try a number at the first of these values that it can have; return the value if it
        fails there.
        """
        made = ((value, self._other(number.put(self.best, value))) for value in values)
        value, smaller = next((one for one in made if one[1] is not None), (values[0], None))
        if smaller is None or self.trials.first_failing(what, [smaller]) is None:
            return None
        self._found(smaller)
        return value

    def _other(self, candidate: C | None) -> C | None:
        """The candidate, unless it is the best itself: what changes nothing is no reduction."""
        return None if candidate == self.best else candidate
