"""The process of a trial: one worker's load against null nodes, from standard input to standard
output (experiments/trial.py).
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from time import monotonic_ns
from typing import Any

import gevent

from harness.kernel import priority
from harness.load.plan import RunPlan, Target
from harness.load.tally import merged
from harness.load.worker import Worker
from harness.operations import Operation
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream
from harness.systems.null_nodes import paths

START_IN_NS = 300_000_000
WAIT_S = 1.0  # for the last answers
TIMES = ("lag_p50_us", "lag_p99_us", "p50_us", "p99_us", "p999_us")


def run(trial: Mapping[str, Any]) -> dict[str, Any]:
    """Run a trial in this process: counts, CPU seconds and times (microseconds)."""
    plan = _plan(trial)
    assert plan.end_ns is not None
    worker = Worker(plan, 0, report=lambda *_: None, failed=_failed)
    worker.start()
    while (left_ns := plan.end_ns - monotonic_ns()) > 0:
        gevent.sleep(min(left_ns / 1e9, 1.0))
    ended = worker.finish(plan.end_ns, WAIT_S)
    tallied = merged([ended])[Operation.PRIVATE_MESSAGE.word]
    facts = tallied.facts()
    return {
        "rate_per_s": trial["rate_per_s"],
        "asked": sum(tallied.outcomes.values()),
        "ok": facts["ok"],
        "cpu_s": ended["cpu_ns"] / 1e9,
        **{name: facts[name] for name in TIMES},
    }


def _plan(trial: Mapping[str, Any]) -> RunPlan:
    stream = Stream(
        operation=Operation.PRIVATE_MESSAGE,
        rate_per_s=trial["rate_per_s"],
        payload_bytes=trial["payload_bytes"],
    )
    return RunPlan(
        run=trial["folder"],
        t0_ns=monotonic_ns() + START_IN_NS,
        adapter="meshnode",
        seed=1,
        nodes=tuple(
            Target(name=f"node-{index}", control=path, wire_id=index.to_bytes(32, "big"))
            for index, path in enumerate(paths(Path(trial["folder"]), trial["nodes"]))
        ),
        phases=(Phase(name="trial", duration_s=trial["seconds"], streams=(stream,)),),
        workers=("trial",),
        late_ns=trial["late_ns"],
    )


def _failed(error: BaseException) -> None:
    print(f"the load worker of a trial broke: {error!r}", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    priority.be_prompt()
    print(json.dumps(run(json.load(sys.stdin))))
