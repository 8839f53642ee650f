"""What the tabs say of now: nothing old, nothing that a filter hides, nothing of a run before."""

from __future__ import annotations

import re
import socket
import time
from collections import deque
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, Self

import gevent
import numpy as np
import pyarrow as pa
import pytest

from harness.errors import UnavailableError, UsageError
from harness.history import tail
from harness.history.history import SAMPLES
from harness.history.plan import PhaseKind
from harness.history.tail import Samples
from harness.load.locust.tabs import (
    cluster,
    delivery,
    desk,
    faults,
    figures,
    form,
    verdict,
)
from harness.load.locust.tabs.desk import Desk
from harness.load.master import Master
from harness.load.plan import RunPlan
from harness.load.tally import Tally
from harness.operations import Operation, Outcome
from harness.scenario.scenario import Phase
from harness.scenario.stream import Stream

FAULT = {
    "name": "halves",
    "words": "cut = halves",
    "does": "cut",
    "in_force": "3 s",
    "proof": ("proven", "good"),
    "paths": 50,
    "nodes": [],
}


def planned(*phases: Phase, begun_s: float = 0.0) -> RunPlan:
    """A run that began so many seconds ago."""
    t0_ns = time.monotonic_ns() - round(begun_s * 1e9)
    return RunPlan(
        run="run", t0_ns=t0_ns, adapter="meshnode", seed=1, nodes=(), phases=phases, workers=()
    )


def texts(shown: list[dict[str, Any]]) -> list[str]:
    return [block["text"] for block in shown if block["kind"] == "text"]


def test_a_filter_that_no_fault_has_does_not_say_that_none_is_in_force():
    seen: Any = SimpleNamespace(
        faults=lambda: [FAULT], kernel=lambda: {"disagree": {}, "backends": {}}
    )
    assert texts(faults.view(seen, "isol"))[0] == (
        "no fault has 'isol' in its name or words, of 1 in force"
    )
    seen.faults = list
    assert texts(faults.view(seen, "isol"))[0] == "no fault is in force"


def test_what_this_host_cannot_do_is_said():
    served = {"cut": "nftables", "loss": "nftables", "delay": "nfqueue", "corrupt": "none"}
    seen: Any = SimpleNamespace(faults=list, kernel=lambda: {"disagree": {}, "backends": served})
    assert texts(faults.view(seen, ""))[-1] == (
        "Here are set: delay by nfqueue; cut, loss by nftables. Not here: corrupt"
    )


def test_a_filter_that_no_operation_has_does_not_say_that_nothing_was_sent():
    seen: Any = SimpleNamespace(
        master=SimpleNamespace(tallies=lambda: {"private_message": Tally()})
    )
    assert texts(delivery.view(seen, "dht")) == ["no operation has 'dht' in its name"]
    seen.master.tallies = dict
    assert texts(delivery.view(seen, "dht")) == ["nothing was sent yet"]


def cells(samples: deque[dict[str, int]]) -> list[Any]:
    """What the cluster tab says that a node with these samples uses."""
    node = {"name": "node-0", "region": "eu", "condition": "running", "index": 0}
    seen: Any = SimpleNamespace(
        samples=SimpleNamespace(read=lambda: None, nodes={0: samples}),
        status=lambda: {"nodes": [node]},
        faults=list,
    )
    [row] = cluster.view(seen, "")[-1]["rows"]
    return row["cells"][3:]


def used(at_s: float) -> list[str]:
    """What the cluster tab says that a node uses whose last sample is of so many seconds ago."""
    at_ns = time.monotonic_ns() - round(at_s * 1e9)
    sample = dict.fromkeys([field.name for field in SAMPLES], 1)
    samples = deque([sample | {"at_ns": at_ns - 1_000_000_000}, sample | {"at_ns": at_ns}])
    return [cell if isinstance(cell, str) else cell["text"] for cell in cells(samples)]


def test_what_a_run_before_measured_is_not_shown_as_now():
    assert "–" not in used(1)
    assert set(used(60)) == {"–"}


def test_each_quantity_of_a_node_has_a_chart_of_its_last_minute():
    at_ns = time.monotonic_ns()
    samples = deque(
        dict.fromkeys([field.name for field in SAMPLES], 0)
        | {"at_ns": at_ns + (second - 4) * 10**9, "rss_bytes": 10 * second, "fds": 4 - second}
        | {"bytes_in": second**2 * 1000}
        for second in range(5)
    )
    found = cells(samples)
    assert [cell["spark"] for cell in found] == [
        "0 0 0 0", "0 25 50 75 100", "100 75 50 25 0", "14 43 71 100",
    ]  # fmt: skip
    assert [cell["text"] for cell in found] == ["0.0 %", "40 B", "0", "7.00 kB/s"]


def test_what_receivers_got_is_said_as_far_as_somebody_has_looked():
    names = [
        "private messages: acknowledged and delivered",
        "private_message: not acknowledged, and not delivered wrongly",
        "broadcasts: in the journals of all 99 other nodes",
        "nodes: alive throughout",
    ]
    findings = [{"name": name, "answer": "PASS"} for name in names]
    judge = SimpleNamespace(newest=None)
    seen: Any = SimpleNamespace(
        master=SimpleNamespace(
            plan="a run",
            tallies=lambda: {"private_message": Tally(), "broadcast": Tally(), "dht_put": Tally()},
        ),
        run="run",
        judge=judge,
    )
    assert texts(delivery.view(seen, ""))[-1].endswith("nobody has judged them yet")
    judge.newest = {"at_s": 7.0, "verdict": {"findings": findings}}
    shown = delivery.view(seen, "")
    assert texts(shown)[-1].endswith("as of 7.00 s into the run")
    assert [row["cells"][0] for row in shown[-1]["rows"]] == names[:3]
    assert [row["cells"][0] for row in delivery.view(seen, "broad")[-1]["rows"]] == names[2:3]


def test_of_a_long_run_only_the_last_minute_is_decoded(tmp_path, monkeypatch):
    sink, decoded = pa.BufferOutputStream(), []
    names = [field.name for field in SAMPLES]
    with pa.ipc.new_stream(sink, SAMPLES) as writer:
        for second in range(1000):
            values = [dict.fromkeys(names, second) | {"node": node} for node in range(2)]
            writer.write_batch(pa.RecordBatch.from_pylist(values, SAMPLES))
    (tmp_path / "samples.arrow").write_bytes(sink.getvalue().to_pybytes())
    monkeypatch.setattr(tail, "PIECE", 10_000)
    read = pa.ipc.read_record_batch
    monkeypatch.setattr(
        pa.ipc, "read_record_batch", lambda *given: decoded.append(1) or read(*given)
    )
    samples = Samples(tmp_path)
    samples.read()
    assert len(decoded) == 60
    for node in range(2):
        assert [one["at_ns"] for one in samples.nodes[node]] == list(range(940, 1000))


@pytest.mark.parametrize(
    ("is_over", "is_final", "said"),
    [
        (False, False, "so far; the run goes on, nothing is final"),
        (True, False, "so far; the run is over and is being judged, nothing is final"),
        (True, True, "the run is over"),
    ],
)
def test_a_run_that_is_being_judged_is_not_said_to_go_on(tmp_path, is_over, is_final, said):
    newest = {
        "at_s": 5.0,
        "is_final": is_final,
        "verdict": {"answer": "PASS", "findings": [], "rows": {"judged": 0, "of": 0}},
    }
    seen: Any = SimpleNamespace(
        run=tmp_path,
        master=SimpleNamespace(plan=planned(), is_over=is_over),
        judge=SimpleNamespace(newest=newest, problem=""),
    )
    assert texts(verdict.view(seen, ""))[0] == f"PASS, 5.00 s into the run: {said}"


def test_what_a_dead_worker_had_in_flight_is_unknown_once_the_run_is_over():
    """It would be said to wait for an answer, longer and longer."""
    tally = Tally(outcomes={**dict.fromkeys(Outcome, 0), Outcome.OK: 5})
    tally.count_in_flight(np.array([1, 2], np.int64), 7_000_000_001)
    led: Any = SimpleNamespace(_reports={"w": {"operations": {"x": tally.to_wire()}}})
    for stopped, unknown, waiting in ((False, 0, 2), (True, 2, 0)):
        led._stopped = stopped
        found = Master.tallies(led)["x"]
        assert (found.outcomes[Outcome.UNKNOWN], found.in_flight) == (unknown, waiting)
        assert (found.oldest_s(time.monotonic_ns()) is None) == stopped


def test_a_form_cannot_name_another_target_than_the_load_has():
    environment = SimpleNamespace(host="cluster main")
    for said in ({}, {"host": ""}, {"host": "cluster main"}):
        form.require_host(environment, said)
    with pytest.raises(UsageError, match="host: the load goes to cluster main, found 'cluster o'"):
        form.require_host(environment, {"host": "cluster o"})


@pytest.fixture
def silent(tmp_path, monkeypatch):
    """A supervisor that takes calls and answers none, as one that was stopped; how often it was
    called.
    """
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    monkeypatch.setattr(desk, "ANSWER_S", 0.2)
    folder = tmp_path / "x"
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "control.sock"))
        listener.listen()
        listener.setblocking(False)
        yield lambda: len(list(iter(lambda: accepted(listener), False)))


def accepted(listener: socket.socket) -> bool:
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_a_supervisor_that_does_not_answer_is_said_and_asked_once(silent):
    seen = Desk(SimpleNamespace(cluster="x"), SimpleNamespace(is_under_way=False))
    for look in (seen.status, seen.kernel, seen.status):
        with pytest.raises(UnavailableError, match="the supervisor of cluster 'x' does not answer"):
            look()
    assert silent() == 1


def test_browsers_that_ask_during_one_look_have_its_answer(monkeypatch):
    calls = []

    class Slow(nullcontext):
        def call(self, method: str) -> str:
            gevent.sleep(0.05)
            calls.append(method)
            return method

        def __enter__(self) -> Self:
            return self

    monkeypatch.setattr(desk.Client, "connect", lambda *_, **__: Slow())
    seen = Desk(SimpleNamespace(cluster="x"), SimpleNamespace(is_under_way=False))
    browsers = [gevent.spawn(seen.status) for _ in range(5)]
    assert [one.get() for one in browsers] == ["status"] * 5
    assert calls == ["status"]


def test_locusts_figures_that_were_reset_count_from_there():
    def tallies() -> dict[str, Tally]:
        return {"x": Tally(outcomes={**dict.fromkeys(Outcome, 0), Outcome.OK: ok})}

    seen: Any = SimpleNamespace(master=SimpleNamespace(tallies=tallies), reset={})
    ok = 100
    assert figures.counted(seen)["x"].outcomes[Outcome.OK] == 100
    figures.reset(seen)
    ok = 130
    assert figures.counted(seen)["x"].outcomes[Outcome.OK] == 30


def test_a_node_that_is_held_to_limits_is_not_said_to_run_as_usual():
    nodes = [
        {"name": f"node-{number}", "region": "eu", "condition": condition, "index": number}
        for number, condition in enumerate(["running", "running", "killed"])
    ]
    slow = FAULT | {"name": "slow", "does": "cpu 20 %, fds 64", "nodes": ["node-1"]}
    seen: Any = SimpleNamespace(
        samples=SimpleNamespace(read=lambda: None, nodes={}),
        status=lambda: {"nodes": nodes},
        faults=lambda: [FAULT, slow],
    )
    summary, _, table = cluster.view(seen, "")
    assert summary["text"] == "3 nodes: 2 running, 1 killed; 1 limited"
    shown = {row["cells"][0]: row["cells"][2] for row in table["rows"]}
    assert shown == {
        "node-0": {"text": "running", "level": "good"},
        "node-1": {"text": "running, cpu 20 %, fds 64", "level": "warn"},
        "node-2": {"text": "killed", "level": "bad"},
    }
    by_name = {row["cells"][0]: [one["label"] for one in row["actions"]] for row in table["rows"]}
    assert by_name["node-0"] == ["stop", "kill", "crash", "pause", "restart"]
    assert by_name["node-2"] == ["restart"]


@pytest.mark.parametrize(
    ("begun_s", "said"),
    [
        (
            10,
            r"phase cut \(chaos\), \d+ min \d+ s left; judged of it: safety, and the rows that .*",
        ),
        (
            1010,
            r"phase heal \(converge\), until coverage .*, at most .* left; judged of it: .* held.*",
        ),
        (3000, None),
    ],
)
def test_the_verdict_tab_says_which_phase_goes_on_and_what_is_judged_of_it(tmp_path, begun_s, said):
    newest = {
        "at_s": 5.0,
        "is_final": False,
        "verdict": {"answer": "PASS", "findings": [], "rows": {"judged": 0, "of": 0}},
    }
    plan = planned(
        Phase(name="cut", duration_s=1000, kind=PhaseKind.CHAOS),
        Phase(
            name="heal",
            duration_s=1000,
            kind=PhaseKind.CONVERGE,
            until="coverage of the last second >= 100 %",
            streams=(Stream(operation=Operation.BROADCAST, rate_per_s=1.0),),
        ),
        begun_s=begun_s,
    )
    seen: Any = SimpleNamespace(
        run=tmp_path,
        master=SimpleNamespace(plan=plan, is_over=False),
        judge=SimpleNamespace(newest=newest, problem=""),
    )
    shown = texts(verdict.view(seen, ""))
    if said is None:
        assert not any(one.startswith("phase") for one in shown)
    else:
        assert re.fullmatch(said, shown[1])
