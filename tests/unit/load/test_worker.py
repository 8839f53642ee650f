"""One worker's loop, without Locust: its timer, and what happens where it breaks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from time import monotonic_ns

import gevent
import pytest

from harness.history.plan import PhaseKind
from harness.load.pacer import Timer
from harness.load.plan import RunPlan, Target
from harness.load.stream import COUNTED_AT_ONCE
from harness.load.worker import ABANDONED_AT_ONCE, Worker
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.stats import Integers


def test_the_timer_calls_at_each_moment_it_is_set_to_and_not_before():
    called: list[int] = []

    def note() -> None:
        called.append(monotonic_ns())
        if len(called) < 3:
            timer.set(called[-1] + 2_000_000)
        else:
            timer.stop()

    timer = Timer(note)
    first_ns = monotonic_ns() + 2_000_000
    timer.set(first_ns)
    gevent.sleep(0.2)
    timer.close()
    assert len(called) == 3
    assert called[0] >= first_ns
    assert all(late - early >= 2_000_000 for early, late in itertools.pairwise(called))
    assert timer.late_ns > 0


def plan_of(folder: Path, rate_per_s: float, t0_ns: int) -> RunPlan:
    """A second of messages between two nodes that have no sockets."""
    stream = Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=rate_per_s, payload_bytes=64)
    return RunPlan(
        run=str(folder),
        t0_ns=t0_ns,
        adapter="meshnode",
        seed=1,
        nodes=tuple(
            Target(name=f"node-{one}", control=str(folder / "no"), wire_id=bytes([one] * 32))
            for one in range(2)
        ),
        phases=(Phase(name="load", duration_s=1.0, streams=(stream,)),),
        workers=("only",),
        late_ns=1_000_000,
    )


def test_what_breaks_while_pacing_is_told_once(tmp_path: Path):
    """Gevent's loop would print it, and call again."""
    plan = plan_of(tmp_path, 1_000.0, monotonic_ns())
    told: list[BaseException] = []
    worker = Worker(plan, 0, report=lambda *_: None, failed=told.append)
    worker._connections._paths = ()  # no node has a socket: an IndexError of ours
    worker.start()
    gevent.sleep(0.3)
    worker.finish(monotonic_ns(), 0.0)
    assert [type(one) for one in told] == [IndexError]


def test_what_was_never_sent_is_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A generator that is far behind at the end neither holds all that it owes, nor stands still
    over it.
    """
    t0_ns = monotonic_ns() - 1_000_000_000
    worker = Worker(plan_of(tmp_path, 50_000.0, t0_ns), 0, report=lambda *_: None, failed=fail)
    held: list[int] = []
    gather = worker._record.gather

    def counted() -> Integers:
        held.append(len(worker._record._rows))
        return gather()

    monkeypatch.setattr(worker._record, "gather", counted)
    worker.start()
    ended = worker.finish(t0_ns + 1_000_000_000, 0.0)
    assert sum(held) == sum(ended["operations"]["private_message"]["outcomes"]) == 50_000
    assert max(held) <= ABANDONED_AT_ONCE


def test_a_phase_ends_when_its_condition_holds(tmp_path: Path):
    """What is due later is not sent, and the next phase begins there, as it was planned."""
    t0_ns = monotonic_ns() + 3_600_000_000_000
    plan = plan_of(tmp_path, 100.0, t0_ns)
    [load] = plan.phases
    ended = replace(
        load,
        name="converge",
        duration_s=60.0,
        kind=PhaseKind.CONVERGE,
        until="success of private_message in the last second >= 99 %",
    )
    plan = replace(plan, phases=(load, ended, replace(load, name="after")))
    worker = Worker(plan, 0, report=lambda *_: None, failed=fail)
    first, second, third = worker._streams
    at_ns = t0_ns + 1_500_000_000
    worker.end_phase("converge", at_ns)
    assert worker._streams[:2] == [first, second]
    moved = worker._streams[2]
    assert moved is not third
    due = {}
    for name, stream in (("load", first), ("converge", second), ("after", moved)):
        taken = stream.take(t0_ns + 3_600_000_000_000, 10_000)
        flights = [flight for _, some in taken.values() for flight in some]
        due[name] = sorted((flight.intended_ns, flight.id) for flight in flights)
    assert {name: len(some) for name, some in due.items()} == {
        "load": 100,
        "converge": 50,
        "after": 100,
    }
    assert due["converge"][-1][0] < at_ns == due["after"][0][0]
    ids = [id_ for _, id_ in due["after"]]
    assert [int.from_bytes(id_[12:], "little") for id_ in ids] == list(range(100))
    assert {id_[10] for id_ in ids} == {2}  # the number of its stream
    worker._record.close()


def test_every_doubt_is_told(tmp_path: Path):
    """Each second in which a worker was late is told at its end, the last part of one too."""
    worker = Worker(plan_of(tmp_path, 1.0, monotonic_ns()), 0, report=lambda *_: None, failed=fail)
    worker.start()
    seconds = 1_500
    for second in range(seconds):
        worker._timer.late_ns = 2_000_000
        worker._doubt(second, second + 1)
    worker._timer.late_ns = 3_000_000
    doubts = worker.finish(monotonic_ns(), 0.0)["doubts"]
    assert len(doubts) == seconds + 1
    assert doubts[-1][2] == 3_000_000


def test_nodes_that_are_gone_are_looked_for_once(tmp_path: Path):
    """A look at what is in flight loses what was sent to any of them, and nothing that a node was
    sent since it is back.
    """
    t0_ns = monotonic_ns() - 1_000_000_000
    worker = Worker(plan_of(tmp_path, 1_000.0, t0_ns), 0, report=lambda *_: None, failed=fail)
    [stream] = worker._streams
    made = stream.take(monotonic_ns(), 100)
    for _, flights in made.values():
        for flight in flights:
            flight.sent_ns = monotonic_ns()
    for node in made:
        worker._lost(node, "it is gone")
    again = made[1][1][:3]
    for flight in again:
        flight.sent_ns = monotonic_ns()
    assert len(stream.in_flight) == 100  # the pacer goes on; it is not the one who looks
    worker._lose()
    assert list(stream.in_flight) == [flight.id for flight in again]
    worker._lose()
    assert len(stream.in_flight) == 3


def test_what_is_in_flight_is_counted_in_parts(tmp_path: Path):
    """A hundred thousand in flight do not hold the pacer up while they are counted."""
    t0_ns = monotonic_ns() - 1_000_000_000
    count = 2 * COUNTED_AT_ONCE + 1
    worker = Worker(plan_of(tmp_path, count, t0_ns), 0, report=lambda *_: None, failed=fail)
    [stream] = worker._streams
    stream.take(monotonic_ns(), count)
    parts = stream.due_ns()
    first = next(parts)
    worker._dropped(list(stream.in_flight.values())[:10], "it is gone")  # meanwhile
    lengths = [len(part) for part in (first, *parts)]
    assert lengths == [COUNTED_AT_ONCE, COUNTED_AT_ONCE, 1]


def fail(error: BaseException) -> None:
    raise error
