"""Looks at paths, and what comes to the paths meanwhile."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from harness.faults.fault import Change, Condition, Fault, NetworkState, Verb
from harness.history.proof import BEFORE, UNTOUCHED, Proof, ProofAnswer
from harness.network.proof.datagrams import Heard
from harness.network.proof.probing import TURNS, Probing, Target
from harness.topology.impairment import CLEAR

PATH = ("a", "b")
SLOW = Fault(name="slow", paths={PATH: CLEAR})
DEAD = Fault(name="dead", condition=Condition.KILLED, nodes=("b",))
OTHER = Fault(name="other", paths={PATH: CLEAR})


class Paths:
    """A network that is clear, whose probes all arrive at once; changes come while they do."""

    def __init__(self, *changes: Fault, faults: Mapping[str, Fault] | None = None) -> None:
        self.now, self.wires, self.faults = NetworkState(), {}, faults or {}
        self.backends = {"delay": "none"}
        self.written: list[Proof] = []
        self._changes = [*changes]
        self.looks = 0
        self.probing = Probing(
            SimpleNamespace(**vars(self), settle=lambda: None, baseline_of=lambda _: CLEAR),  # type: ignore[arg-type]
            self,  # type: ignore[arg-type]
            self.written.append,
            lambda act: act(),
        )

    def probe(self, counts: Mapping[Any, int], *_: Any) -> dict[Any, Heard]:
        self.looks += 1
        if self._changes:
            at_ns = time.monotonic_ns()
            fault = self._changes.pop(0)
            self.probing.changed(Change(at_ns=at_ns, took_ns=0, verb=Verb.CLEAR, fault=fault))
        return {path: Heard(sent=many, delays=[0.1] * many) for path, many in counts.items()}

    def close(self) -> None:
        """Of the prober."""


@pytest.mark.parametrize(
    ("changes", "looks", "answers"),
    [
        ((), 1, [ProofAnswer.GONE]),
        ((DEAD,), 2, [ProofAnswer.GONE]),  # a node that starts again while its path is looked at
        ((OTHER, DEAD), 3, [ProofAnswer.GONE]),
        ((DEAD,) * TURNS, TURNS, []),  # it never ends
        ((SLOW,), 1, []),  # the next look is about that
    ],
)
def test_a_path_to_which_something_else_comes_is_looked_at_again(changes, looks, answers):
    """A delay and a node's death ended together: each seventh run was UNKNOWN, "no probe showed it
    gone".
    """
    paths = Paths(*changes)
    paths.probing.look([Target(fault=SLOW, path=PATH, gone=True)])
    paths.probing.close()
    assert (paths.looks, [one.answer for one in paths.written]) == (looks, answers)


@pytest.mark.parametrize("name", [BEFORE, UNTOUCHED])
def test_what_is_before_or_beside_all_is_no_more_once_a_fault_has_come(name):
    paths = Paths(SLOW)
    paths.probing.look([Target(fault=Fault(name=name), path=PATH)])
    paths.probing.close()
    assert (paths.looks, paths.written) == (1, [])


def test_nothing_is_before_the_first_fault_where_one_stands():
    """The look had to wait for a thread, or a core."""
    paths = Paths(faults={"other": OTHER})
    targets = [Target(fault=Fault(name=name), path=PATH) for name in (BEFORE, UNTOUCHED)]
    paths.probing.look(targets)
    paths.probing.close()
    assert paths.looks == 1
    assert BEFORE not in {one.fault for one in paths.written}
    alone = Paths(faults={"other": OTHER})
    alone.probing.look(targets[:1])
    alone.probing.close()
    assert alone.looks == 0
