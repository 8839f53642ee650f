"""An end that fails leaves nothing else standing: steps of a supervisor's end raise, every other
one and all, in a real cluster with a run open.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from kit.desk import TEN, Desk, begin_by_hand, wait_for

from harness.control.client import Client

pytestmark = pytest.mark.root
# In the supervisor, the steps named by $BREAK do their work and raise.
BREAKER = """
import importlib, os, sys
def break_(step):
    module, name, method = step.split(":")
    owner = getattr(importlib.import_module(module), name)
    real = getattr(owner, method)
    def broken(*args, **kwargs):
        real(*args, **kwargs)
        raise RuntimeError(f"broken by the test: {method}")
    setattr(owner, method, broken)
if "harness.supervisor" in sys.orig_argv:
    for step in os.environ.get("BREAK", "").split():
        break_(step)
"""
RECORDING = [
    "harness.supervisor.phase_player:PhasePlayer:stop",
    "harness.supervisor.fault_player:FaultPlayer:end",
    "harness.network.proof.datagrams:Prober:close",
    "harness.network.proof.prover:Prover:close",
    "harness.supervisor.iperf3:Iperf3:close",
    "harness.supervisor.sampler:Sampler:close",
    "harness.supervisor.samples:Samples:close",
]
CLUSTER = [
    "harness.supervisor.fault_player:FaultPlayer:close",
    "harness.supervisor.server:Server:close",
    "harness.network.network:Network:close",
    "harness.runtimes.zygote:Zygote:close",
    "harness.runtimes.netns.runtime:NetnsRuntime:close",
    "harness.network.fabric:Fabric:close",
    "harness.supervisor.cluster:Cluster:close",
]


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path)
    made.write("three.toml", TEN.replace("10", "3"))
    made.write("sitecustomize.py", BREAKER)
    made.environment["PYTHONPATH"] = str(tmp_path)
    yield made
    made.close()


def up(desk: Desk, broken: list[str]) -> str:
    """A cluster whose end will break there, with a run open; the run's folder."""
    desk.ok("up", "three.toml", env={**desk.environment, "BREAK": " ".join(broken)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_STATE", str(desk.state))
        with Client.connect(desk.cluster) as client:
            return begin_by_hand(client, desk.runs)


@pytest.mark.parametrize(
    "broken",
    [RECORDING[::2], RECORDING[1::2], CLUSTER[::2], CLUSTER[1::2], RECORDING + CLUSTER],
    ids=["run, odd", "run, even", "cluster, odd", "cluster, even", "all"],
)
def test_a_step_that_raises_keeps_no_other_from_running(desk, broken):
    run = up(desk, broken)
    supervisor = desk.status()["pid"]
    os.kill(supervisor, signal.SIGTERM)
    wait_for(lambda: not desk.processes(), desk.processes)
    log = (desk.state / f"{desk.cluster}.log").read_text()
    assert "broken by the test" in log
    assert not (desk.state / desk.cluster).exists(), "the lock was not removed"
    desk.assert_nothing_left()
    [*_, last] = map(json.loads, Path(run, "events.jsonl").read_text().splitlines())
    assert last["event"] == "end"
    outer = {"PhasePlayer:stop", "FaultPlayer:end", "Prover:close", "Iperf3:close", "Samples:close"}
    for step in broken:
        method = step.rsplit(":", 1)[1]
        if any(step.endswith(one) for one in outer) and step in RECORDING:
            assert any(f"by the test: {method}" in failure for failure in last["failures"]), last


def test_a_run_whose_end_breaks_says_so_and_the_next_one_can_begin(desk):
    up(desk, RECORDING[2:4])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARNESS_STATE", str(desk.state))
        with Client.connect(desk.cluster) as client:
            threads = len(os.listdir(f"/proc/{desk.status()['pid']}/task"))
            with pytest.raises(Exception, match="broken by the test"):
                client.end()
            for _ in range(2):
                begin_by_hand(client, desk.runs)
                with pytest.raises(Exception, match="broken by the test"):
                    client.end()
            pid = desk.status()["pid"]
            wait_for(lambda: len(os.listdir(f"/proc/{pid}/task")) < threads)
    desk.ok("down")
    desk.assert_nothing_left()
