"""The fault player: what comes, goes and is called off."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import cast

import pytest

from harness.errors import UnavailableError, UsageError
from harness.faults.fault import Change, Condition, Fault, Verb
from harness.faults.spec import FaultSpec, parse
from harness.network.ahead import Precedence
from harness.scenario.timeline import PlannedChange, changes_of
from harness.supervisor.fault_player import NODES_TOGETHER, FaultPlayer
from harness.supervisor.faults import Faults
from harness.topology.topology import Node

NODES = [Node(name=f"node-{number}") for number in range(3)]
PATIENCE_S = 60.0
NETWORK = SimpleNamespace(
    precedence=Precedence(),
    look_ahead_s=0.1,
    is_ready=False,
    look_ahead=lambda: None,
    call_off=lambda: None,
)


class Table:
    """Faults by name, of no network and no nodes."""

    def __init__(self) -> None:
        self.standing: dict[str, Fault] = {}
        self.refused = self.unwritten = self.stuck = False
        self.network = NETWORK

    def make_ready(self, verb: Verb, fault: Fault) -> None:
        pass

    def rows(self) -> list[dict[str, str]]:
        return [{"name": name} for name in self.standing]

    def set(self, fault: Fault) -> Change:
        if self.refused:
            raise UnavailableError("refused")
        self.standing[fault.name] = fault
        if self.unwritten:
            raise OSError("No space left on device")
        return Change(at_ns=time.monotonic_ns(), took_ns=0, verb=Verb.SET, fault=fault)

    def clear(self, name: str | None = None) -> list[Change]:
        if name is not None and name not in self.standing:
            raise UsageError(f"there is no fault {name!r}")
        gone = [self.standing.pop(one) for one in ([name] if name else list(self.standing))]
        return [Change(at_ns=0, took_ns=0, verb=Verb.CLEAR, fault=fault) for fault in gone]

    def clear_this(self, fault: Fault) -> None:
        if self.stuck:
            raise UnavailableError("stuck")
        if self.standing.get(fault.name) is fault:
            self.clear(fault.name)


@pytest.fixture
def table() -> Table:
    return Table()


@pytest.fixture
def player(table: Table) -> Iterator[FaultPlayer]:
    player = FaultPlayer(cast("Faults", table), pytest.fail)
    yield player
    player.close()


def by_hand(player: FaultPlayer, **words: object) -> FaultSpec:
    spec = parse({"where": "node-1", "loss": "50%", "name": "bad", **words})
    fault = spec.resolve(NODES, 1)
    player.set_for(fault, list(changes_of(spec, fault, 0.0, None)))
    return spec


def until(is_so: Callable[[], bool]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end_s
        time.sleep(0.005)


@pytest.mark.parametrize("name", ["bad", None])
def test_cleared_while_away(table: Table, player: FaultPlayer, name: str | None) -> None:
    """A flap that is cleared while it is away is named, and does not come again."""
    by_hand(player, for_s=600, flap_s=0.5)
    table.clear("bad")  # away, and it would come again
    assert player.clear(name) == ["bad"]
    with pytest.raises(UsageError):
        player.clear("bad")


def test_refused_replacement(table: Table, player: FaultPlayer) -> None:
    """A fault whose replacement is refused still ends at its time."""
    by_hand(player, for_s=0.3)
    table.refused = True
    with pytest.raises(UnavailableError):
        by_hand(player, delay="5ms")
    until(lambda: not table.standing)


def test_replaced(table: Table, player: FaultPlayer) -> None:
    """A fault that took another's name stays when the other's time is over."""
    by_hand(player, for_s=0.1)
    by_hand(player, delay="5ms")
    stays = table.standing["bad"]
    by_hand(player, name="other", for_s=0.2)
    until(lambda: "other" not in table.standing)
    assert table.standing == {"bad": stays}


class Run:
    """One that is told what failed."""

    def note(self, failure: str) -> None:
        pytest.fail(failure)


def test_a_run_is_let_go_of(table: Table, player: FaultPlayer) -> None:
    """What was played is over, and the run that it was of is not kept until the next."""
    run, spec = Run(), parse({"where": "node-2", "delay": "5ms", "name": "bad", "for_s": 0.05})
    changes = list(changes_of(spec, spec.resolve(NODES, 1), 0.0, None))
    player.play(changes, time.monotonic_ns(), run.note)
    gone = weakref.ref(run)
    del run
    until(lambda: gone() is None)
    assert not table.standing


def test_taken_while_away(table: Table, player: FaultPlayer) -> None:
    """A flap does not come again over a fault that took its name while it was away."""
    by_hand(player, for_s=600, flap_s=0.5)
    until(lambda: not table.standing)
    spec = parse({"where": "node-2", "delay": "5ms", "name": "bad"})
    other = spec.resolve(NODES, 1)
    player.play(list(changes_of(spec, other, 0.0, None))[:1], time.monotonic_ns(), pytest.fail)
    until(lambda: table.standing.get("bad") is other)
    time.sleep(1.2)  # it would have come and gone again
    assert table.standing == {"bad": other}


def planned(player: FaultPlayer, **words: object) -> list[str]:
    """Play a fault as of a timeline; return what is told of its failures, as it grows."""
    spec = parse({"where": "node-1", "loss": "50%", "name": "bad", **words})
    told: list[str] = []
    fault = spec.resolve(NODES, 1)
    player.play(list(changes_of(spec, fault, 0.0, None)), time.monotonic_ns(), told.append)
    return told


def test_made_ready(table: Table, player: FaultPlayer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change is made ready before its moment, and made not before it."""
    did: list[tuple[str, int]] = []
    network = SimpleNamespace(**vars(NETWORK))
    network.look_ahead = lambda: did.append(("looked", time.monotonic_ns()))
    monkeypatch.setattr(table, "network", network)

    def make_ready(verb: Verb, _: Fault) -> None:
        network.is_ready = True
        did.append((f"ready to {verb}", time.monotonic_ns()))

    monkeypatch.setattr(table, "make_ready", make_ready)
    plain_set = table.set

    def noted(fault: Fault) -> Change:
        did.append(("set", time.monotonic_ns()))
        return plain_set(fault)

    monkeypatch.setattr(table, "set", noted)
    spec = parse({"where": "node-1", "loss": "50%", "name": "bad"})
    fault, t0_ns = spec.resolve(NODES, 1), time.monotonic_ns()
    player.play(list(changes_of(spec, fault, 2.0, 600.0)), t0_ns, pytest.fail)
    until(lambda: "bad" in table.standing)
    assert [what for what, _ in did] == ["ready to set", "looked", "set"]
    assert did[-1][1] >= t0_ns + 2 * 10**9


def test_refused_is_not_away(table: Table, player: FaultPlayer) -> None:
    """A planned fault that could not be set does not come again."""
    table.refused = True
    told = planned(player, for_s=0.2)
    until(lambda: bool(told))
    assert player.listed() == {"faults": [], "away": {}}
    until(lambda: not player._due)
    assert player.listed() == {"faults": [], "away": {}}
    assert not player._gone


def test_flap_is_away(table: Table, player: FaultPlayer) -> None:
    """A flap is listed while it is away, and how long it stays."""
    planned(player, for_s=600, flap_s=0.5)
    until(lambda: not table.standing and bool(player.listed()["away"]))
    assert 500 < player.listed()["away"]["bad"] <= 600


def test_unwritten(table: Table, player: FaultPlayer) -> None:
    """A fault that could not be written down does not stand, planned or by hand."""
    table.unwritten = True
    told = planned(player, for_s=600)
    until(lambda: bool(told))
    assert told == ["fault bad could not be set: No space left on device"]
    assert table.standing == {}
    with pytest.raises(OSError, match="No space left"):
        by_hand(player, for_s=600)
    assert table.standing == {}


def test_stuck(table: Table, player: FaultPlayer) -> None:
    """A planned fault that could not be taken back when it was due is taken back at the end."""
    table.stuck = True
    told = planned(player, for_s=0.2)
    until(lambda: bool(told))
    assert table.standing
    table.stuck = False
    player.end(pytest.fail)
    assert table.standing == {}


def test_faults_of_later_phases_come_earlier(table: Table, player: FaultPlayer) -> None:
    """Those that somebody set by hand stay where they are."""
    t0_ns = time.monotonic_ns()
    spec = parse({"where": "node-1", "loss": "50%", "name": "later", "for_s": 300})
    fault = spec.resolve(NODES, 1)
    player.play(list(changes_of(spec, fault, 600.0, None)), t0_ns, pytest.fail)
    by_hand(player, for_s=700)
    player.bring_forward(t0_ns + 600 * 10**9, 600 * 10**9)
    until(lambda: set(table.standing) == {"bad", "later"})
    left = {row["name"]: row["left_s"] for row in player.listed()["faults"]}
    assert 200 < left["later"] <= 300
    assert 600 < left["bad"] <= 700


def test_what_comes_does_not_wait_for_nodes_that_start(
    table: Table, player: FaultPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many as are changed side by side were starting, and a kill came when one was ready."""
    gone = threading.Event()
    monkeypatch.setattr(table, "clear_this", lambda _: gone.wait())
    slow = [
        Fault(name=f"slow {number}", nodes=("node-1",), condition=Condition.KILLED)
        for number in range(2 * NODES_TOGETHER)
    ]
    killed = Fault(name="killed", nodes=("node-2",), condition=Condition.KILLED)
    changes = [PlannedChange(at_s=0.0, verb=verb, fault=one) for one in slow for verb in Verb]
    t0_ns = time.monotonic_ns()
    player.play([*changes, PlannedChange(at_s=0.1, verb=Verb.SET, fault=killed)], t0_ns, print)
    until(lambda: "killed" in table.standing)
    gone.set()


def test_a_node_that_still_starts_as_it_goes_again(
    table: Table, player: FaultPlayer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Churn on a busy host: its second end was over before it had started from the first, and what
    was taken back "could not be taken back".
    """
    told, taken, again = list[str](), list[Fault](), threading.Event()

    def take_back(fault: Fault) -> None:
        taken.append(fault)
        table.clear(fault.name)
        if len(taken) == 1:
            again.wait(PATIENCE_S)

    monkeypatch.setattr(table, "clear_this", take_back)
    churn = Fault(name="churn", nodes=("node-1",), condition=Condition.KILLED)
    changes = [
        PlannedChange(at_s=at / 20, verb=verb, fault=churn)
        for at, verb in enumerate((Verb.SET, Verb.CLEAR) * 2)
    ]
    player.play(changes, time.monotonic_ns(), told.append)
    until(lambda: len(taken) == 2 and not player.listed()["faults"])
    time.sleep(0.1)  # the second one is over
    again.set()
    player.close()  # all are over
    assert (told, table.standing) == ([], {})
