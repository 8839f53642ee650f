"""What nodes use now, of a run's samples or of a look of its own: totals never fall, and what is
old is not told. Its nodes are plain processes.
"""

from __future__ import annotations

import os
import subprocess
import time
from types import SimpleNamespace

import pyarrow as pa
import pytest

from harness.faults.fault import Condition
from harness.history.history import HOST, SAMPLES
from harness.kernel.namespaces import create
from harness.supervisor import usage
from harness.supervisor.samples import Taken
from harness.supervisor.usage import Usage


@pytest.fixture
def cluster():
    process = subprocess.Popen(["sleep", "600"])
    yield SimpleNamespace(
        places={"a": SimpleNamespace(index=0), "b": SimpleNamespace(index=1)},
        running={"a": SimpleNamespace(pid=process.pid, account=None)},
        conditions={"a": Condition.RUNNING, "b": Condition.RUNNING},
        gateway=None,
        ended={},
        fabric=SimpleNamespace(counters=dict),
    )
    process.kill()
    process.wait()


def taken(pid: int, cpu_ns: int, load: dict[str, int] | None = None, age_s: float = 0.0) -> Taken:
    at_ns = time.monotonic_ns() - round(age_s * 1e9)
    row = {field.name: 1 for field in SAMPLES} | {"node": 0, "cpu_ns": cpu_ns, "bytes_in": None}
    host = {field.name: 1 for field in HOST}
    host |= {"at_ns": at_ns, "load_cpu_ns": list((load or {}).items()), "psi_cpu_some_us": None}
    host |= {"disks_busy_ms": None, "own": None}
    return Taken(
        pa.RecordBatch.from_pylist([row], schema=SAMPLES),
        pa.RecordBatch.from_pylist([host], schema=HOST),
        {0: pid},
    )


def recording(newest: Taken | None, run: str = "/runs/1"):
    return SimpleNamespace(samples=SimpleNamespace(newest=newest), folder=SimpleNamespace(path=run))


def cpu_ns(told) -> list[int]:
    return [row[2] for row in told["nodes"]]


def test_cpu_of_one_process_never_falls_and_that_of_the_next_begins_anew(cluster):
    pid = cluster.running["a"].pid
    used = Usage(cluster)
    assert cpu_ns(used.now(recording(taken(pid, 50)))) == [50]
    assert cpu_ns(used.now(recording(taken(pid, 40)))) == [50]  # another run's sampler
    assert cpu_ns(used.now(recording(taken(pid, 60)))) == [60]
    cluster.running["a"] = SimpleNamespace(pid=pid + 1, account=None)
    assert cpu_ns(used.now(recording(taken(pid, 70)))) == []  # of the one before
    assert cpu_ns(used.now(recording(taken(pid + 1, 5)))) == [5]
    cluster.conditions["a"] = Condition.STOPPED  # said before it ends
    assert cpu_ns(used.now(recording(taken(pid + 1, 6)))) == []
    cluster.conditions["a"] = Condition.RUNNING
    cluster.running.clear()
    assert cpu_ns(used.now(recording(taken(pid + 1, 6)))) == []


def test_what_is_null_stays_null(cluster):
    told = Usage(cluster).now(recording(taken(cluster.running["a"].pid, 1)))
    assert told["nodes"][0][4] is None
    assert told["host"]["psi_cpu_some_us"] is None


def test_old_samples_are_not_told(cluster):
    used = Usage(cluster)
    assert used.now(recording(taken(cluster.running["a"].pid, 1, age_s=6.0))) == {}


def test_the_load_is_the_sum_of_its_processes_of_one_run(cluster):
    used, pid, own = Usage(cluster), cluster.running["a"].pid, str(os.getpid())
    both = used.now(recording(taken(pid, 1, {own: 7, "11": 100, "12": 50})))
    assert both["host"]["load_cpu_ns"] == {"supervisor": 7, "load": 150}
    one = used.now(recording(taken(pid, 1, {own: 8, "11": 110})))  # the other one has ended
    assert one["host"]["load_cpu_ns"] == {"supervisor": 8, "load": 160}
    after = used.now(recording(taken(pid, 1, {own: 9, "13": 3}), "/runs/2"))
    assert after["host"]["load_cpu_ns"] == {"supervisor": 9, "load": 3}


@pytest.mark.root
def test_without_a_run_it_looks_itself_once_a_second_at_most_and_lets_go(cluster, monkeypatch):
    namespaces = [create(), create()]
    for place, namespace in zip(cluster.places.values(), namespaces, strict=True):
        place.namespace = namespace
    used, before = Usage(cluster), len(os.listdir("/proc/self/fd"))
    try:
        first = used.now(None)
        assert [row[0] for row in first["nodes"]] == [0]  # b has no process
        assert first["nodes"][0][1] > 0
        assert first["host"]["load_cpu_ns"]["supervisor"] > 0
        assert used.now(None) == first
        assert len(os.listdir("/proc/self/fd")) > before
        used.rest()
        assert len(os.listdir("/proc/self/fd")) > before
        monkeypatch.setattr(usage, "IDLE_S", 0.0)
        used.rest()
        assert len(os.listdir("/proc/self/fd")) == before
        assert used.now(None)["nodes"]
        assert cpu_ns(used.now(recording(taken(cluster.running["a"].pid, 0)))) >= cpu_ns(first)
        assert len(os.listdir("/proc/self/fd")) == before  # a run's samples are enough
    finally:
        used.close()
        for namespace in namespaces:
            os.close(namespace)
