"""Runs that are begun by hand, without load: what is recorded, and who may start and end them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pyarrow.compute as pc
import pytest
from kit.desk import Desk, ask, begin_by_hand, once_in_three, request, wait_for

from harness.checks import faults, nodes, records
from harness.checks.verdict import Answer
from harness.control.client import Client
from harness.errors import UsageError
from harness.history import reader
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
from harness.history.proof import ProofAnswer
from harness.operations import Operation
from harness.operations.records import RecordKind
from harness.scenario.timeline import PlannedPhase, Timeline

pytestmark = pytest.mark.root

ONE_PHASE = Timeline(seed=1, phases=(PlannedPhase(name="a", begin_s=0.0, end_s=None),)).as_json()


def test_a_broadcast_is_in_every_other_journal(desk, tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, tmp_path)
        ask(desk.status()["nodes"][0]["control"], [request(77, Operation.BROADCAST, None, b"x")])
        wait_for(lambda: heard(tmp_path) == set(range(1, 10)), lambda: heard(tmp_path))
        run = Path(client.end()["run"])
    found = reader.read(run)
    assert found.ended
    assert found.samples.num_rows >= 10
    # No intent was recorded: nothing is invented.
    sent = records.in_phase(found, records.WHOLE_RUN, Operation.BROADCAST)
    assert records.heard_ns(found, RecordKind.RECEIVED, sent).shape == (0, 10)


def test_what_happened_to_nodes_is_in_the_events(desk, tmp_path, monkeypatch):
    """Hole 43: paused → running wrote "node-started". Hole 18: an end had no code. Hole 10: that a
    running node is to run is no news.
    """
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    desk.ok("condition", "node-4", "paused")
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, tmp_path)
        for node, *conditions in (
            ("node-1", "paused", "running", "running"),
            ("node-4", "running"),
            ("node-2", "stopped", "running"),
        ):
            for condition in conditions:
                desk.ok("condition", node, condition)
        os.kill(desk.status()["nodes"][3]["pid"], signal.SIGSEGV)
        wait_for(lambda: desk.status()["nodes"][3]["condition"] == "stopped")
        run = Path(client.end()["run"])
    desk.ok("condition", "node-3", "running")
    found = reader.read(run)
    changed = [one for one in found.events if isinstance(one, NodeChanged)]
    assert [(one.node, one.condition) for one in changed] == [
        ("node-4", "paused"),  # as it was found
        ("node-1", "paused"),
        ("node-1", "running"),
        ("node-2", "stopped"),
    ]
    assert all(0 < one.since_ns < one.at_ns for one in changed[1:])
    started = {one.node: one for one in found.events if isinstance(one, NodeStarted)}
    assert list(started) == ["node-4", "node-2"]  # node-4's journal had not begun
    # node-2 journals since its process began, and not since it was handed the file.
    assert changed[3].at_ns < started["node-2"].journals_ns < started["node-2"].at_ns - 20_000_000
    [ended] = [one for one in found.events if isinstance(one, NodeEnded)]
    assert (ended.node, ended.code, ended.signal) == ("node-3", None, signal.SIGSEGV)
    [dead] = nodes.check(found)
    assert (dead.answer, "by signal 11 (SIGSEGV)" in dead.sentence) == (Answer.FAIL, True)


def test_a_node_is_sampled_once_more_before_it_is_ended(desk, tmp_path, monkeypatch):
    """It is sampled once a second: of what it used since, up to all of a second was lost. Its end
    waits for no pass of the sampler that takes long.
    """
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    changes = ("killed", "running", "stopped", "running", "paused", "killed", "running")

    def attempt():
        with Client.connect(desk.cluster) as client:
            begin_by_hand(client, tmp_path)
            for condition in changes:
                client.call("condition", {"node": "node-3", "condition": condition})
            found = reader.read(Path(client.end()["run"]))
        ends = [one for one in found.events if isinstance(one, NodeChanged) and one.is_down]
        assert len(ends) == 3
        assert not [gap for gap in found.gaps if "samples" in gap.what]
        at_ns = found.samples.filter(pc.equal(found.samples["node"], 3))["at_ns"].to_pylist()
        told = [[at for at in at_ns if one.since_ns <= at < one.at_ns] for one in ends]
        return all(told), (ends, at_ns)

    once_in_three(attempt)


def test_a_node_that_died_before_the_run(desk, tmp_path, monkeypatch):
    """A node that ended by itself before a run has failed, and was not stopped by the harness."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    os.kill(desk.status()["nodes"][3]["pid"], signal.SIGSEGV)
    wait_for(lambda: desk.status()["nodes"][3]["condition"] == "stopped")
    found = []
    for _ in range(2):
        with Client.connect(desk.cluster) as client:
            begin_by_hand(client, tmp_path)
            found.append(reader.read(Path(client.end()["run"])))
        desk.ok("condition", "node-3", "running")
    assert not any(isinstance(one, NodeChanged) for one in (*found[0].events, *found[1].events))
    [ended] = [one for one in found[0].events if isinstance(one, NodeEnded)]
    assert (ended.node, ended.signal) == ("node-3", signal.SIGSEGV)
    assert ended.at_ns < found[0].phases[0].begin_ns
    assert [nodes.check(one)[0].answer for one in found] == [Answer.FAIL, Answer.PASS]


def test_faults_from_before_the_run(desk, tmp_path, monkeypatch):
    """What stands as a run starts is among its events, and is proven like what is set in it."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    desk.ok("fault", "cut", "halves")
    desk.ok("condition", "node-4", "paused")
    desk.ok("condition", "node-5", "stopped")
    with Client.connect(desk.cluster) as client:
        run = begin_by_hand(client, tmp_path)
        try:
            wait_for(lambda: ProofAnswer.IN_FORCE in seen(Path(run), "cut halves"))
        finally:
            client.end(run=run)
    desk.ok("fault", "clear")
    history = reader.read(Path(run))
    changes = faults.changes_of(history)
    assert [(one.fault, one.verb) for one in changes] == [
        ("cut halves", "set"),
        ("condition node-4", "set"),
        ("condition node-5", "set"),
    ]
    [finding] = faults.check(history)
    assert (finding.answer, finding.measured) == (Answer.PASS, "3 of 3"), finding


def seen(run: Path, fault: str) -> set[ProofAnswer]:
    """What probes of a fault's paths have said by now."""
    proofs = reader.read(run).proofs
    return {proof.answer for proof in proofs if proof.fault == fault and proof.what == "cut"}


def test_a_run_of_others(desk, tmp_path, monkeypatch):
    """Only who names the run that is open can start or end it."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    with Client.connect(desk.cluster) as client:
        run = begin_by_hand(client, tmp_path)
        for method, facts in (("start", {"load": {}, "start_in_s": 0.0}), ("end", {})):
            with pytest.raises(UsageError, match="is recording"):
                client.call(method, {"run": "/nowhere", **facts})
        with pytest.raises(UsageError, match="started already"):
            client.start(run=run, load={}, start_in_s=0.0)
        assert client.status()["run"] == run
        client.end(run=run)


def test_a_node_that_runs_already(desk, tmp_path, monkeypatch):
    """It is told to run: that is no event, and neither its journal nor its counts begin anew."""
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    with Client.connect(desk.cluster) as client:
        run = begin_by_hand(client, tmp_path)
        client.call("condition", {"node": "node-1", "condition": "running"})
        client.end(run=run)
    found = reader.read(Path(run))
    assert [event.word for event in found.events] == ["begin", "phase", "phases-over", "end"]
    assert found.sealed


KEPT = """
import gc, os, sys, time, tomllib
from pathlib import Path

from harness.control import state
from harness.control.spec import Spec
from harness.scenario import files, timeline
from harness.supervisor.recording import Recording
from harness.supervisor.samples import Samples
from harness.supervisor.supervisor import Supervisor

class Nobody:
    progress = staticmethod(lambda *_: None)

scenario, runs = Path(sys.argv[1]), sys.argv[2]
planned = files.read_scenario(scenario)
played = timeline.compile(planned).as_json()
lock = state.Lock("kept")
spec = Spec(cluster="kept", topology=planned.topology, topology_text="", runtime="netns")
made = Supervisor(spec, lock.path)
try:
    made.up(Nobody())
    print(len(gc.get_objects()))
    gc.disable()  # what Python finds by itself it finds some time later
    for _ in range(3):
        begun = made.begin(
            scenario="kept", timeline=played, budget=None, runs=runs, files={}, by=os.getpid()
        )
        made.start(run=begun["run"], load={}, start_in_s=0.0, by=os.getpid())
        time.sleep(1.0)
        made.end(run=begun["run"])
    print(sum(type(one) in (Recording, Samples) for one in gc.get_objects()))
finally:
    made.close()
    lock.remove()
"""


def test_nothing_is_kept_of_runs_that_have_ended(desk, tmp_path):
    """A supervisor that plays run after run is not to grow: in each a fault comes and goes."""
    desk.write("two.toml", "[nodes]\ncount = 2\n")
    words = (
        "topology = 'two.toml'\nseed = 1\n"
        "[[phase]]\nname = 'a'\nkind = 'chaos'\nduration_s = 1\n"
        "[[phase.fault]]\ncut = 'halves'\nat_s = 0.1\nfor_s = 0.3\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", KEPT, str(desk.write("kept.toml", words)), str(tmp_path)],
        env=desk.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lasting, kept = map(int, done.stdout.split())
    assert kept == 0
    # Nor does each look for what is done with go over all that the supervisor is made of.
    assert lasting < 5_000


def test_an_abandoned_run(desk, tmp_path):
    """A run that was begun by a process that ended before its start gives way to the next, and
    leaves no folder.
    """
    lost = abandoned(desk, tmp_path, "")
    next_one(desk, tmp_path)
    assert not lost.exists()


def test_a_run_without_its_generator(desk, tmp_path):
    """A run whose load generator was killed gives way to the next; its record says that it was
    interrupted.
    """
    lost = abandoned(desk, tmp_path, "client.start(run=run['run'], load={}, start_in_s=0.0)")
    next_one(desk, tmp_path)
    assert json.loads((lost / "metadata.json").read_text())["load"]["interrupted"]
    assert reader.read(lost).ended


def abandoned(desk: Desk, runs: Path, then: str) -> Path:
    """A run that a process began that was killed after what it did then; its folder."""
    begin = (
        "import os, signal; from harness.control.client import Client\n"
        f"with Client.connect({desk.cluster!r}) as client:\n"
        f"    run = client.begin(scenario='lost', timeline={ONE_PHASE!r}, budget=None,"
        f" runs={str(runs)!r}, files={{}})\n"
        f"    {then}\n"
        "    os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", begin], env=desk.environment, check=False)
    lost = Path(desk.status()["run"])
    assert (lost.is_dir(), lost.parent.name) == (True, "lost")
    return lost


def next_one(desk: Desk, runs: Path) -> Path:
    """The folder of a run that is begun and ended, and is the latest."""
    with patch.dict(os.environ, {"HARNESS_STATE": str(desk.state)}):
        client = Client.connect(desk.cluster)
    with client:
        run = begin_by_hand(client, runs)
        client.end(run=run)
    assert reader.find(runs) == Path(run)
    return Path(run)


def heard(runs: Path) -> set[int]:
    journal = reader.read(reader.find(runs)).journal
    return set(journal["node"][journal["kind"] == RecordKind.RECEIVED].tolist())


def test_a_limit_that_goes_while_its_node_is_down_is_looked_for_once_it_runs(
    desk, tmp_path, monkeypatch
):
    """ "node-1 has no process", and nobody looked again: each such run was UNKNOWN, "no look at its
    nodes showed it gone".
    """
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    with Client.connect(desk.cluster) as client:
        begin_by_hand(client, tmp_path)
        desk.ok("fault", "set", "node-1", "--fds", "800", "--name", "few")
        desk.ok("fault", "set", "node-1", "--condition", "killed", "--name", "dead")
        desk.ok("fault", "clear", "few")
        desk.ok("fault", "clear", "dead")
        found = reader.read(Path(client.end()["run"]))
    [finding] = faults.check(found)
    assert finding.answer is Answer.PASS, finding.sentence
    cleared = next(one.set_ns for one in faults.changes_of(found) if one.verb == "clear")
    gone = [
        proof.at_ns
        for proof in found.proofs
        if (proof.fault, proof.what, proof.answer) == ("few", "limits", ProofAnswer.GONE)
    ]
    started = next(one for one in found.events if isinstance(one, NodeStarted))
    assert gone
    assert min(gone) > started.since_ns > cleared
