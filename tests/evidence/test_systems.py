"""Evidence for systems that nobody here wrote, at 100 nodes: ready in time, values found, events
heard, deaths that show.
"""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from kit.desk import Desk, ask, request, wait_for

from harness.checks import metrics, records
from harness.history import reader
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind

pytestmark = [pytest.mark.root, pytest.mark.systems, pytest.mark.slow, pytest.mark.timeout(900)]
READY_S = 10.0


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "evidence")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def up(desk: Desk, system: str) -> list[dict]:
    begun = time.monotonic()
    desk.ok("up", "cluster-100", "--system", system)
    took_s = time.monotonic() - begun
    print(f"{system}: 100 nodes ready in {took_s:.1f} s")
    assert took_s <= READY_S
    return desk.status()["nodes"]


def get(nodes: list[dict], wanted: dict[int, list[tuple[int, bytes]]]) -> list[float]:
    """Have each node read keys: seconds that each took, inf where it was not found."""
    took = []
    for node, keys in wanted.items():
        for number, key in keys:  # one at a time: a response time, no throughput
            begun_ns = time.monotonic_ns()
            [answer] = ask(
                nodes[node]["control"], [request(number, Operation.DHT_GET, key)]
            ).values()
            took.append(
                (answer.done_ns - begun_ns) / 1e9 if answer.outcome is Outcome.OK else np.inf
            )
    return took


def test_opendht_finds_a_thousand_values(desk):
    """With a fifth of the nodes dead they are found later, which the latency shows."""
    nodes = up(desk, "opendht")
    rng = random.Random(7)
    keys = [rng.randbytes(32) for _ in range(1000)]
    by_putter = {
        node: [number for number in range(1000) if number % 100 == node] for node in range(100)
    }
    for node, numbers in by_putter.items():
        puts = [
            request(number, Operation.DHT_PUT, keys[number], b"v%031d" % number)
            for number in numbers
        ]
        assert all(
            answer.outcome is Outcome.OK for answer in ask(nodes[node]["control"], puts).values()
        )
    getters: dict[int, list[tuple[int, bytes]]] = {}
    for number, key in enumerate(keys):
        getters.setdefault((number + rng.randrange(1, 100)) % 100, []).append((1000 + number, key))
    before = get(nodes, getters)
    print(
        f"opendht: {sum(np.isfinite(before))} of 1000 found by others; p50 "
        f"{np.median(before) * 1e3:.1f} ms, p95 {np.quantile(before, 0.95) * 1e3:.1f} ms"
    )
    assert np.isfinite(before).all()
    dead = set(rng.sample(range(100), 20))
    for node in dead:
        os.kill(nodes[node]["pid"], signal.SIGKILL)
    wait_for(lambda: sum(node["condition"] == "stopped" for node in desk.status()["nodes"]) == 20)
    living = [node for node in range(100) if node not in dead]
    asked = {
        node: [(3000 + node, keys[rng.randrange(1000)]), (4000 + node, keys[rng.randrange(1000)])]
        for node in living
    }
    after = get(nodes, asked)
    print(
        f"opendht, 20 dead: {sum(np.isfinite(after))} of {len(after)} found; p50 "
        f"{np.median(after) * 1e3:.1f} ms, p95 {np.quantile(after, 0.95) * 1e3:.1f} ms"
    )
    assert np.isfinite(after).mean() > 0.95
    assert np.quantile(after, 0.95) > 3 * np.quantile(before, 0.95)


SERF = """
topology = "cluster-100"
system = "serf"
[[phase]]
name = "events"
duration_s = 20
[[phase.stream]]
operation = "broadcast"
rate_per_s = 1
payload_bytes = 256
[[phase]]
name = "deaths"
duration_s = {seconds}
"""


def test_serf_s_events_are_heard_by_all_and_deaths_are_seen(desk):
    nodes = up(desk, "serf")
    (desk.folder / "topologies").mkdir()
    desk.write("topologies/cluster-100.toml", CLUSTER)
    (desk.folder / "scenarios").mkdir()
    running = desk.start(
        "run", str(desk.write("scenarios/serf-deaths.toml", SERF.format(seconds=70))), "--json"
    )
    wait_for(lambda: desk.status()["phase"] == "deaths", seconds=90)
    for node in nodes[::5]:
        os.kill(node["pid"], signal.SIGKILL)
    said, _ = running.communicate(timeout=200)
    history = reader.read(Path(json.loads(said)["run"]))
    events, deaths = history.phases
    sent = records.in_phase(history, events, Operation.BROADCAST)
    received = records.heard_ns(history, RecordKind.RECEIVED, sent) != records.NEVER
    received[np.arange(len(received)), history.column("source")[sent]] = False
    heard = received.sum(axis=1).tolist()
    print(
        f"serf: {sum(count == 99 for count in heard)} of {len(heard)} events heard by all 99 "
        f"others and their own source; {sum(heard)} of {99 * len(heard)} receptions"
    )
    assert len(heard) == 20
    assert sum(heard) / (99 * len(heard)) > 0.999
    seen = metrics.METRICS["membership.failure_seen"].take(history, deaths).values / 1e9
    print(
        f"serf: 20 deaths × 80 survivors: {np.isfinite(seen).sum()} of {len(seen)} seen; p50 "
        f"{np.median(seen):.1f} s, max {seen.max():.1f} s"
    )
    assert len(seen) == 1600
    assert np.isfinite(seen).mean() > 0.99
    assert (history.journal["kind"] == RecordKind.MEMBER_FAILED).sum() >= 1584


CLUSTER = (
    'name = "cluster-100"\n[nodes]\ncount = 100\n[shape]\nkind = "random-regular"\ndegree = 8\n'
)
