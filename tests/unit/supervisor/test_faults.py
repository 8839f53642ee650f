"""The one owner of faults; its nodes are plain processes, its network only remembers."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from harness.errors import NodeStartError, UnavailableError
from harness.faults.fault import Change, Condition, Fault, Verb
from harness.faults.limits import UNLIMITED, Limits
from harness.history.proof import ProofAnswer
from harness.network.network import Network
from harness.runtimes.runtime import Ending
from harness.supervisor.cluster import Cluster
from harness.supervisor.faults import NOBODY, Faults
from harness.topology.impairment import Impairment

SIGNALS = {
    Condition.PAUSED: signal.SIGSTOP,
    Condition.RUNNING: signal.SIGCONT,
    Condition.KILLED: signal.SIGSTOP,  # they are needed again
}


class Nodes:
    """A cluster of processes that can be paused; `slow` holds back whoever lets one run again."""

    def __init__(self) -> None:
        self.processes = {name: subprocess.Popen(["sleep", "600"]) for name in ("a", "b", "c")}
        self.running = {name: SimpleNamespace(pid=one.pid) for name, one in self.processes.items()}
        self.runtime = SimpleNamespace(
            members=lambda _: [], ending=self.ending, is_held=lambda _: False
        )
        self.readiness = SimpleNamespace()
        self.ended: dict[str, tuple[Ending, int]] = {}
        self.slow, self.is_slow = threading.Event(), threading.Event()
        self.slow.set()
        self.refused = self.never_ready = ""
        self.told: list[str] = []

    def before_end(self, name: str) -> None:
        self.told.append(f"{name} is about to end")

    def has_ended(self, _: str) -> bool:
        return False

    def note_ended(self, names: Sequence[str]) -> list[str]:
        for name in names:
            del self.running[name]
        return list(names)

    def ending(self, name: str) -> Ending:
        raise UnavailableError(f"nobody can say how {name} ended")

    def set_condition(self, name: str, condition: Condition) -> bool:
        if name == self.refused:
            raise NodeStartError(f"{name} does not start")
        if condition is Condition.RUNNING:
            self.is_slow.set()
            self.slow.wait()
        self.told.append(f"{name} {condition}")
        os.kill(self.processes[name].pid, SIGNALS[condition])
        return True

    def await_ready(self, name: str, is_wanted: Callable[[str], bool]) -> None:
        """They are ready as soon as they run, but for one that is never ready."""
        while name == self.never_ready and not is_wanted(name):
            time.sleep(0.01)


class Wires:
    """A network that remembers its faults, and can do no toxic."""

    def __init__(self) -> None:
        self.seed, self.faults = 1, dict[str, Fault]()
        self.changed: Callable[[Change], None] = lambda _: None
        self.held = nullcontext

    def require(self, fault: Fault) -> None:
        if fault.impairment.duplicate:
            raise UnavailableError("duplicate: not here")

    def set(self, fault: Fault) -> Change:
        self.require(fault)
        self.faults[fault.name] = fault
        return self._change(Verb.SET, fault)

    def clear(self, name: str) -> list[Change]:
        return [self._change(Verb.CLEAR, self.faults.pop(name))]

    def rows(self) -> list[dict[str, Any]]:
        return []

    def _change(self, verb: Verb, fault: Fault) -> Change:
        change = Change(at_ns=time.monotonic_ns(), took_ns=0, verb=verb, fault=fault)
        self.changed(change)
        return change


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    made = Nodes()
    yield made
    made.slow.set()
    for one in made.processes.values():
        one.kill()
        one.wait()


@pytest.fixture
def faults(nodes: Nodes) -> Faults:
    return Faults(cast("Cluster", nodes), cast("Network", Wires()))


def paused(name: str, *of: str) -> Fault:
    return Fault(name=name, nodes=of, condition=Condition.PAUSED)


def network_fault(name: str, **what: Any) -> Fault:
    return Fault(name=name, paths=frozenset({("a", "b")}), impairment=Impairment(**what))


def test_a_node_that_starts_slowly_keeps_nobody_from_looking(nodes, faults):
    """What is taken back is said to be under way, and what stands is looked at."""
    faults.set(paused("slow", "a"))
    faults.set(paused("stands", "b", "c"))
    nodes.slow.clear()
    clearing = threading.Thread(target=faults.clear, args=("slow",))
    clearing.start()
    nodes.is_slow.wait()
    looked: list[Any] = []
    looking = threading.Thread(target=lambda: looked.extend([faults.looks(), faults.rows()]))
    looking.daemon = True
    looking.start()
    looking.join(60.0)
    assert not looking.is_alive()
    nodes.slow.set()
    clearing.join()
    proofs, rows = looked
    assert [(one.fault, one.answer) for one in proofs] == [
        ("stands", ProofAnswer.IN_FORCE),
        ("stands", ProofAnswer.IN_FORCE),
        ("slow", ProofAnswer.AMOUNT_NOT_SHOWN),
    ]
    assert proofs[2].sentence == "the condition of a is being changed"
    assert [row["name"] for row in rows] == ["stands"]


def test_an_end_that_nobody_can_explain_is_told(nodes, faults):
    """It is known that the node ended, and a run that starts then does not wait for more."""
    told: list[Any] = []
    faults.listen(replace(NOBODY, nodes_ended=lambda *end: told.append(end)))
    faults.note_ended(["a"])
    with suppress(UnavailableError):
        faults.tell_ended(["a"], 7)
    assert told == [({"a": Ending()}, 7)]
    assert nodes.ended == {"a": (Ending(), 7)}
    with faults.held():
        pass


def test_a_look_says_nothing_of_what_changed_meanwhile(nodes, faults, monkeypatch):
    faults.set(paused("p", "a"))

    def members(_: str) -> list[int]:
        monkeypatch.setattr(nodes.runtime, "members", lambda _: [])
        faults.clear("p")
        return []

    monkeypatch.setattr(nodes.runtime, "members", members)
    assert faults.looks() == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (paused("x", "a"), network_fault("x", duplicate=0.1)),
        (network_fault("x", loss=0.1), paused("x", "a")),
    ],
)
def test_what_is_refused_leaves_its_namesake(nodes, faults, before, after):
    faults.set(before)
    nodes.refused = "a" if after.nodes else ""
    with pytest.raises((UnavailableError, NodeStartError)):
        faults.set(after)
    assert faults.standing == {"x": before}


def test_what_cannot_be_done_here_changes_nothing(faults):
    """Not even for a moment."""
    faults.set(paused("x", "a"))
    told: list[Change] = []
    faults.listen(replace(NOBODY, changed=told.append))
    with pytest.raises(UnavailableError):
        faults.set(network_fault("x", duplicate=0.1))
    assert told == []


def test_a_node_that_starts_slowly_keeps_no_other_from_changing(nodes, faults):
    """But its own next change waits, and so does whoever wants all to be still."""
    faults.set(paused("slow", "a"))
    nodes.slow.clear()
    clearing = threading.Thread(target=faults.clear, args=("slow",))
    clearing.start()
    nodes.is_slow.wait()
    faults.set(paused("other", "b"))
    assert faults.standing.keys() == {"other"}
    told: list[str] = []

    def still() -> None:
        with faults.held():
            told.append("still")

    def again() -> None:
        faults.set(paused("again", "a"))
        told.append("again")

    waiting = [threading.Thread(target=one) for one in (still, again)]
    for one in waiting:
        one.start()
        one.join(0.3)
        assert one.is_alive()
    assert not told
    nodes.slow.set()
    for one in (clearing, *waiting):
        one.join(60.0)
    assert sorted(told) == ["again", "still"]
    assert faults.standing.keys() == {"other", "again"}


def test_a_node_is_not_kept_until_another_of_its_fault_is_ready(nodes, faults):
    """What the one is due comes at its time: a pause ended late that long."""
    faults.set(paused("pause", "a"))
    faults.set(Fault(name="killed", nodes=("a", "b"), condition=Condition.KILLED))
    nodes.never_ready = "b"
    clearing = threading.Thread(target=faults.clear, args=("killed",), daemon=True)
    clearing.start()
    nodes.is_slow.wait()
    unpausing = threading.Thread(target=faults.clear, args=("pause",), daemon=True)
    unpausing.start()
    for one in (clearing, unpausing):
        one.join(60.0)
        assert not one.is_alive()
    assert not faults.standing


def test_who_is_about_to_end_is_told_before_while_it_runs(nodes, faults):
    """It is sampled once more: nobody could say afterwards what it had used."""
    for name, of, condition in (
        ("pause", "a", Condition.PAUSED),
        ("kill", "a", Condition.KILLED),
        ("stop", "a", Condition.STOPPED),
    ):
        faults.set(Fault(name=name, nodes=(of,), condition=condition))
    assert nodes.told == ["a paused", "a is about to end", "a killed"]


def test_a_fault_of_one_name_waits_for_the_one_before(nodes, faults):
    faults.set(paused("x", "a"))
    nodes.slow.clear()
    clearing = threading.Thread(target=faults.clear, args=("x",))
    clearing.start()
    nodes.is_slow.wait()
    setting = threading.Thread(target=faults.set, args=(paused("x", "b"),))
    setting.start()
    setting.join(0.3)
    assert setting.is_alive()
    nodes.slow.set()
    clearing.join(60.0)
    setting.join(60.0)
    assert [one.nodes for one in faults.standing.values()] == [("b",)]


def test_one_node_whose_limit_stays_keeps_no_other_limited(nodes, faults):
    """They were left limited by a fault that did not stand any more."""
    limits: dict[str, Limits] = {}

    def limit(node: str, asked: Limits) -> None:
        if node == nodes.refused:
            raise UnavailableError(f"{node} is stuck")
        limits[node] = asked

    nodes.runtime.limit = limit
    nodes.runtime.reading = nodes.ending  # nobody can say
    nodes.disks = nodes.clocks = SimpleNamespace(limit=lambda *_: None)
    fault = Fault(name="slow", nodes=("a", "b", "c"), limits=Limits(cpu=0.2))
    faults.set(fault)
    assert limits == dict.fromkeys("abc", fault.limits)
    nodes.refused = "a"
    with pytest.raises(UnavailableError, match="a is stuck"):
        faults.clear("slow")
    assert limits == {"a": fault.limits, "b": UNLIMITED, "c": UNLIMITED}
