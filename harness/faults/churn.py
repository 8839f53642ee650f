"""Churn is nodes that leave and join again, at a rate: planned before anything runs. Pure.

Each node lives for a session and is away for a fixed time, again and again. Sessions are drawn from
a distribution whose mean gives the rate that was asked: exponential ones make leaves a Poisson
process, Weibull ones of a shape below 1 have many short sessions and a few long ones, as measured
in file-sharing networks. The first session of each is what is left of one that began long before.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from harness.errors import BadFileError
from harness.faults import targets
from harness.faults.fault import Condition, Fault, State
from harness.topology.topology import Node

AWAY_S_LEAST = 0.5  # or nobody can see it come and go
CRASHED_S_LEAST = 2.0  # its cut has to be probed meanwhile
LEAVES_MOST = 100_000
WAYS = (Condition.STOPPED, Condition.KILLED, Condition.CRASHED)


class Floor(NamedTuple):
    """So many of these nodes live at all times."""

    of: frozenset[str]
    least: int


class Sessions(StrEnum):
    """The distribution of how long a node lives."""

    EXPONENTIAL = "exponential"
    WEIBULL = "weibull"


class Away(NamedTuple):
    """A node that is down from one moment to another, in seconds."""

    node: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Churn:
    """What is asked of churn. Raises BadFileError.

    `rate_per_s`: how many nodes leave a second, all together; `down_s`: how long each is away;
    `floor`: so many of them live at all times; `for_s` None: until its phase ends.
    """

    rate_per_s: float
    down_s: float
    floor: int
    where: str = "all"
    sessions: Sessions = Sessions.EXPONENTIAL
    shape: float | None = None  # of Weibull's distribution
    how: Condition = Condition.KILLED
    state: State = State.KEEP
    name: str = ""
    at_s: float = 0.0
    for_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("rate_per_s", self.rate_per_s), ("shape", self.shape)):
            if value is not None and value <= 0:
                raise BadFileError(f"{name}: expected above 0, found {value:g}")
        least_s = CRASHED_S_LEAST if self.how is Condition.CRASHED else AWAY_S_LEAST
        if self.down_s < least_s:
            raise BadFileError(
                f"down_s: expected at least {least_s:g} of {self.how} nodes, or nobody can see "
                f"them come and go; found {self.down_s:g}"
            )
        if self.floor < 0 or self.at_s < 0:
            name, least = ("floor", self.floor) if self.floor < 0 else ("at_s", self.at_s)
            raise BadFileError(f"{name}: expected 0 or more, found {least:g}")
        if self.for_s is not None and self.for_s <= self.down_s:
            raise BadFileError(
                f"for_s: expected more than down_s, {self.down_s:g}: who leaves comes back in it; "
                f"found {self.for_s:g}"
            )
        if (self.shape is not None) != (self.sessions is Sessions.WEIBULL):
            found = "none" if self.shape is None else f"{self.shape:g}"
            raise BadFileError(
                f"shape: it is of weibull sessions, and these need one; found sessions = "
                f"{str(self.sessions)!r} and shape {found}"
            )

    @property
    def words(self) -> str:
        """The churn as a person says it."""
        shape = "" if self.shape is None else f" {self.shape:g}"
        return (
            f"churn of {targets.in_short(self.where)}: {self.rate_per_s:g} leave a second, "
            f"{self.sessions}{shape} sessions, {self.how} for {self.down_s:g} s, "
            f"at least {self.floor} live"
        )

    def faults(self, nodes: Sequence[Node]) -> dict[str, Fault]:
        """Return the fault of each node that may leave, which comes and goes."""
        return {
            node: Fault(
                name=f"{self.name or 'churn'} {node}",
                nodes=(node,),
                condition=self.how,
                state=self.state,
                words=self.words,
            )
            for node in targets.nodes_of(self.where, nodes)
        }

    def kept(self, nodes: Sequence[Node]) -> Floor:
        """Return the floor, resolved. Raises BadFileError."""
        return Floor(frozenset(targets.nodes_of(self.where, nodes)), self.floor)

    def departures(
        self,
        nodes: Sequence[Node],
        seed: int,
        end_s: float,
        others: Collection[Away] = (),
        floors: Collection[Floor] = (),
    ) -> list[Away]:
        """Plan who leaves when, in order, counted from the beginning of the phase that ends after
        `end_s`. All are back by then.

        Who is away by `others` does not leave, and does not count as living. A leave that would
        come below the floor, or one of `floors` of others, does not happen: that node lives for
        another session. Raises BadFileError for a rate that these nodes cannot have.
        """
        whom = targets.nodes_of(self.where, nodes)
        mean_s, end_s = self._mean_s(len(whom)), min(end_s, self.at_s + (self.for_s or math.inf))
        if (end_s - self.at_s) * self.rate_per_s > LEAVES_MOST:
            raise BadFileError(
                f"rate_per_s: expected at most {LEAVES_MOST:,} leaves, found {self.rate_per_s:g} "
                f"a second for {end_s - self.at_s:g} s"
            )
        chance = random.Random(f"{seed}/{self.name}/churn")
        due = [(self.at_s + self._rest_s(chance, mean_s), node) for node in whom]
        heapq.heapify(due)
        away, floors = list[Away](), [self.kept(nodes), *floors]
        while due and due[0][0] + self.down_s <= end_s:
            at_s, node = heapq.heappop(due)
            one = Away(node, at_s, at_s + self.down_s)
            if _may_leave(one, [*others, *away[-len(whom) :]], floors):
                away.append(one)
                at_s = one.to_s
            heapq.heappush(due, (at_s + self._session_s(chance, mean_s), node))
        return away

    def _mean_s(self, count: int) -> float:
        """The mean session of so many nodes."""
        on_average = self.rate_per_s * self.down_s
        if self.floor + on_average > count:
            raise BadFileError(
                f"rate_per_s: {self.rate_per_s:g} leaves a second of {self.down_s:g} s each keep "
                f"{on_average:g} of {count} nodes away on average; expected at most "
                f"{max(count - self.floor, 0)}, as the floor of {self.floor} leaves"
            )
        mean_s = count / self.rate_per_s - self.down_s
        if mean_s <= 0:
            raise BadFileError(
                f"rate_per_s: {count} nodes that are away for {self.down_s:g} s each time leave "
                f"less than {count / self.down_s:g} times a second; found {self.rate_per_s:g}"
            )
        return mean_s

    def _session_s(self, chance: random.Random, mean_s: float) -> float:
        """Draw a session. That the cut around a crashed machine is gone has to be probed in it."""
        if self.shape is None:
            drawn_s = chance.expovariate(1 / mean_s)
        else:
            scale_s = mean_s / math.gamma(1 + 1 / self.shape)
            drawn_s = chance.weibullvariate(scale_s, self.shape)
        return max(drawn_s, CRASHED_S_LEAST) if self.how is Condition.CRASHED else drawn_s

    def _rest_s(self, chance: random.Random, mean_s: float) -> float:
        """What is left of a session at a moment that anybody chose: long ones are met more often,
        each anywhere.
        """
        if self.shape is None:
            return chance.expovariate(1 / mean_s)  # exponential sessions have no memory
        scale_s = mean_s / math.gamma(1 + 1 / self.shape)
        met_s: float = scale_s * chance.gammavariate(1 + 1 / self.shape, 1.0) ** (1 / self.shape)
        return chance.random() * met_s


def _may_leave(one: Away, others: Sequence[Away], floors: Sequence[Floor]) -> bool:
    """Whether as many live as each floor says all the while that one is away, and it does until
    then.
    """
    meanwhile = [each for each in others if each.from_s < one.to_s and each.to_s > one.from_s]
    if one.node in {each.node for each in meanwhile}:
        return False
    moments = {max(one.from_s, each.from_s) for each in meanwhile} | {one.from_s}
    at_once = [
        {one.node} | {each.node for each in meanwhile if each.from_s <= at_s < each.to_s}
        for at_s in moments
    ]
    mine = [floor for floor in floors if one.node in floor.of]
    return all(len(floor.of - away) >= floor.least for floor in mine for away in at_once)
