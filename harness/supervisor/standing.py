"""The faults of nodes that stand, and those that are being set or taken back.

Faults of different nodes are changed side by side: a node that starts takes its time, and what
another is due must not wait for it. Who changes a fault holds its name and its nodes meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from harness.faults.fault import Condition, Fault, Verb, fold_conditions, fold_limits
from harness.faults.limits import UNLIMITED, Limits

Faults = Mapping[str, Fault]  # by their names


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The faults of nodes at one moment: it is replaced and never changed.

    `under_way`: the faults that are being set or taken back, each with the nodes that are held
    for it. One without a fault is a node that is started by hand.
    """

    faults: Faults = field(default_factory=dict)
    under_way: tuple[tuple[Fault | None, frozenset[str]], ...] = ()

    @property
    def changing(self) -> frozenset[str]:
        """The nodes of which somebody changes something."""
        return frozenset[str]().union(*(nodes for _, nodes in self.under_way))

    @property
    def all(self) -> Faults:
        """The faults that stand, and those that are being set or taken back."""
        more = {one.name: one for one, _ in self.under_way if one is not None}
        return {**self.faults, **more}

    def asked(self, node: str) -> tuple[Condition, Limits]:
        """What is asked of a node by all faults that stand."""
        mine = [fault for fault in self.faults.values() if node in fault.nodes]
        condition = fold_conditions(mine).get(node, Condition.RUNNING)
        return condition, fold_limits(mine).get(node, UNLIMITED)


class Ledger:
    """Keeps what stands: `now`, for anybody to read."""

    def __init__(self) -> None:
        self.now = Standing()
        self._turn = threading.Condition()
        self._wanted: list[frozenset[str]] = []  # nodes that somebody waits for

    def is_wanted(self, node: str) -> bool:
        """Whether somebody waits until he may change a node, or another that is held with it."""
        held = frozenset({node}).union(*(with_ for _, with_ in self.now.under_way if node in with_))
        return not all(held.isdisjoint(nodes) for nodes in list(self._wanted))

    @contextmanager
    def changing(self, verb: Verb, fault: Fault) -> Iterator[tuple[Faults, Faults]]:
        """Enter a fault, or take it out, and hold its name and its nodes meanwhile, once nobody
        else does; yields the faults before and after. They are the same where it was to be taken
        out and does not stand.
        """
        with self._turn:
            self._wanted.append(wanted := self._nodes_of(fault))
            self._turn.wait_for(lambda: self._is_free(fault.name, self._nodes_of(fault)))
            self._wanted.remove(wanted)
            before = self.now.faults
            after = _entered(verb, fault, before)
            held = fault, self._nodes_of(fault)
            self._replace(after, [*self.now.under_way, held])
        try:
            yield before, after
        finally:
            self._let_go(held)

    def restore(self, name: str, before: Faults) -> None:
        """Have what stood before under this name stand again, or nothing; by who holds it."""
        with self._turn:
            faults = {other: one for other, one in self.now.faults.items() if other != name}
            old = {name: before[name]} if name in before else {}
            self._replace({**faults, **old}, self.now.under_way)

    @contextmanager
    def holding(self, node: str) -> Iterator[None]:
        """Hold one node, once nobody else does."""
        held = None, frozenset({node})
        with self._turn:
            self._turn.wait_for(lambda: self._is_free("", held[1]))
            self._replace(self.now.faults, [*self.now.under_way, held])
        try:
            yield
        finally:
            self._let_go(held)

    @contextmanager
    def still(self) -> Iterator[None]:
        """Keep all as it is meanwhile; waits for what is under way."""
        with self._turn:
            self._turn.wait_for(lambda: not self.now.under_way)
            yield

    def _nodes_of(self, fault: Fault) -> frozenset[str]:
        replaced = self.now.faults.get(fault.name, fault)
        return frozenset((*fault.nodes, *replaced.nodes))

    def _is_free(self, name: str, nodes: frozenset[str]) -> bool:
        names = {one.name for one, _ in self.now.under_way if one is not None}
        return name not in names and self.now.changing.isdisjoint(nodes)

    def _replace(
        self, faults: Faults, under_way: Iterable[tuple[Fault | None, frozenset[str]]]
    ) -> None:
        self.now = Standing(faults=faults, under_way=tuple(under_way))

    def _let_go(self, held: tuple[Fault | None, frozenset[str]]) -> None:
        with self._turn:
            left = [one for one in self.now.under_way if one is not held]
            self._replace(self.now.faults, left)
            self._turn.notify_all()


def _entered(verb: Verb, fault: Fault, before: Faults) -> Faults:
    if verb is Verb.SET:
        return {**before, fault.name: fault}
    if before.get(fault.name) is not fault:
        return before
    return {name: one for name, one in before.items() if one is not fault}
