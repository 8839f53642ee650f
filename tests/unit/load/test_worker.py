"""One worker's loop, without Locust: its timer, and what happens where it breaks."""

from __future__ import annotations

import itertools
from pathlib import Path
from time import monotonic_ns

import gevent

from harness.load.pacer import Timer
from harness.load.plan import RunPlan, Target
from harness.load.worker import Worker
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream


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


def test_what_breaks_while_pacing_is_told_once(tmp_path: Path):
    """Gevent's loop would print it, and call again."""
    stream = Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=1_000.0, payload_bytes=64)
    plan = RunPlan(
        run=str(tmp_path),
        t0_ns=monotonic_ns(),
        adapter="meshnode",
        seed=1,
        nodes=tuple(
            Target(name=f"node-{one}", control=str(tmp_path / "no"), wire_id=bytes([one] * 32))
            for one in range(2)
        ),
        phases=(Phase(name="load", duration_s=1.0, streams=(stream,)),),
        workers=("only",),
        late_ns=1_000_000,
    )
    told: list[BaseException] = []
    worker = Worker(plan, 0, report=lambda *_: None, failed=told.append)
    worker._connections._paths = ()  # no node has a socket: an IndexError of ours
    worker.start()
    gevent.sleep(0.3)
    worker.finish(monotonic_ns(), 0.0)
    assert [type(one) for one in told] == [IndexError]
