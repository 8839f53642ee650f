"""The watch on a cluster that comes, changes and goes: a real control socket, and run folders."""

from __future__ import annotations

import json
import shutil
import threading
import time

import pytest
from kit import run_folders
from kit.desk import wait_for
from kit.seen import answer

from harness.control import state
from harness.errors import UnavailableError
from harness.history.shown import Standing
from harness.monitoring import live_verdict, watch
from harness.monitoring.watch import Watch
from harness.supervisor.server import Server

FAULT = {"name": "cut", "does": "cut", "paths": 2, "nodes": [], "in_force_s": 30.0, "left_s": None}


class Supervisor:
    """Answers `metrics` as it is told to."""

    def __init__(self) -> None:
        self.says = answer()
        self.asked = 0
        self._lock = state.Lock("main")
        self._server = Server(self._lock.path / "control.sock", {"metrics": self._metrics})

    def _metrics(self, *_):
        self.asked += 1
        if isinstance(self.says, Exception):
            raise self.says
        return self.says

    def close(self) -> None:
        self._server.close()
        self._lock.remove()


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    monkeypatch.delenv("HARNESS_CLUSTER", raising=False)
    monkeypatch.setattr(watch, "KEEP_S", 0.0)
    return tmp_path


@pytest.fixture
def supervisor(place):
    made = Supervisor()
    yield made
    made.close()


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    return run_folders.good(tmp_path_factory.mktemp("runs"))


def test_a_cluster_that_is_not_there_then_is_then_is_another(place):
    watched = Watch("main")
    assert not watched.look().is_up
    first = Supervisor()
    assert watched.look().cluster["topology"] == "ten"
    first.close()
    assert not watched.look().is_up
    second = Supervisor()
    second.says = answer(topology="twenty")
    assert watched.look().cluster["topology"] == "twenty"
    second.close()


@pytest.mark.parametrize("says", [UnavailableError("no"), ZeroDivisionError("a bug of ours")])
def test_a_supervisor_that_fails_is_not_up(supervisor, says):
    supervisor.says = says
    assert not Watch("main").look().is_up


def test_an_earlier_supervisor_that_knows_no_metrics_is_not_up(place):
    lock = state.Lock("main")
    server = Server(lock.path / "control.sock", {"status": lambda *_: {}})
    assert not Watch("main").look().is_up
    server.close()
    lock.remove()


def test_those_who_ask_at_once_get_one_look(supervisor, monkeypatch):
    monkeypatch.setattr(watch, "KEEP_S", 60.0)
    watched = Watch("main")
    threads = [threading.Thread(target=watched.look) for _ in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert supervisor.asked == 1


def test_who_waits_for_a_look_does_not_look_again(supervisor, monkeypatch):
    """A supervisor that is slow is not asked by each who waited, one after another."""
    monkeypatch.setattr(watch, "KEEP_S", 0.5)
    slow = threading.Event()
    told = supervisor.says

    def answered(*_):
        supervisor.asked += 1
        slow.wait(2.0)
        return told

    supervisor._server._handlers["metrics"] = answered
    watched = Watch("main")
    threads = [threading.Thread(target=watched.look) for _ in range(10)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert supervisor.asked == 1


def test_a_run_that_is_over_has_the_verdict_of_its_folder(supervisor, good, place):
    run = place / "run"
    shutil.copytree(good, run)
    (run / "verdict.json").unlink(missing_ok=True)
    supervisor.says = answer(last_run=str(run))
    watched = Watch("main")
    assert watched.look().look is None
    (run / "verdict.json").write_text("{torn")
    assert watched.look().look is None
    (run / "verdict.json").write_text(json.dumps({"answer": "PASS", "findings": []}))
    seen = watched.look()
    assert seen.look == {"is_final": True, "verdict": {"answer": "PASS", "findings": []}}
    assert seen.run == run
    assert sum(sum(one.outcomes.values()) for one in seen.counts.values()) > 0


def test_a_run_under_way_is_looked_at_by_another_process(supervisor, good, place):
    run = place / "run"
    shutil.copytree(good, run)
    for name in ("manifest.json", "verdict.json"):
        (run / name).unlink(missing_ok=True)
    supervisor.says = answer(run=str(run))
    watched = Watch("main")
    try:
        seen = wait_for(lambda: watched.look().look)
        assert seen["is_final"] is False
        assert seen["verdict"]["findings"]
        assert set(seen["waiting"]) <= {"private_message", "broadcast", "dht_put", "dht_get"}
        assert not (run / "verdict.json").exists()
    finally:
        watched.close()


def test_what_was_so_far_is_forgotten_when_nobody_looks_any_more(tmp_path):
    looked = live_verdict.LiveVerdict()
    looked.newest = {"is_final": False}
    looked.begin(tmp_path / "no run")
    wait_for(lambda: looked._process.poll() is not None)
    wait_for(lambda: looked.newest is None)
    looked.end()


def proof(answer_: str, age_s: float) -> str:
    line = {
        "at_ns": time.monotonic_ns() - round(age_s * 1e9),
        "fault": "cut",
        "path": ["a", "b"],
        "what": "cut",
        "answer": answer_,
        "sentence": "",
        "backend": "nftables",
    }
    return json.dumps(line) + "\n"


@pytest.mark.parametrize(
    ("lines", "standing"),
    [
        (lambda: "", Standing.NOT_PROVEN),
        (lambda: proof("in force", 0), Standing.PROVEN),
        (lambda: proof("in force", 60), Standing.NOT_PROVEN),  # of a fault before it
        (lambda: proof("in force", 20), Standing.NOT_PROVEN),  # too long ago
        (lambda: proof("in force", 2) + proof("not in force", 1), Standing.CONTRADICTED),
        (lambda: "no proof\n", Standing.NOT_PROVEN),
        (lambda: proof("in force", 0)[:-9], Standing.NOT_PROVEN),  # just being written
    ],
)
def test_how_well_a_fault_is_proven(supervisor, place, lines, standing):
    run = place / "run"
    run.mkdir()
    (run / "proofs.jsonl").write_text(lines())
    supervisor.says = answer(run=str(run), faults=[FAULT])
    watched = Watch("main")
    try:
        [fault] = watched.look().faults
        assert fault.standing is standing
        supervisor.says = answer(last_run=str(run), faults=[FAULT])  # nobody looks without a run
        [fault] = watched.look().faults
        assert fault.standing is Standing.NOT_PROVEN
    finally:
        watched.close()
