"""A cluster on real namespaces from end to end, and what `ping`, `ss` and `ip` say of it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import pytest
from kit.desk import PROMISES, TEN, Desk, ask, begin_by_hand, request, small_scenario, wait_for

from harness.checks import faults, nodes, records
from harness.checks.verdict import Answer
from harness.control.client import Client
from harness.errors import UsageError
from harness.history import reader
from harness.history.events import NodeChanged, NodeEnded, NodeStarted
from harness.history.proof import ProofAnswer
from harness.kernel.proc import is_stopped
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.scenario.timeline import PlannedPhase, Timeline

pytestmark = pytest.mark.root
ONE_PHASE = Timeline(seed=1, phases=(PlannedPhase(name="a", begin_s=0.0, end_s=None),)).as_json()


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = Desk(tmp_path_factory.mktemp("desk"))
    made.ok("up", str(made.write("ten.toml", TEN)))
    try:
        yield made
        made.ok("down")
        made.assert_nothing_left()
    finally:
        made.close()


@pytest.fixture
def other(tmp_path):
    made = Desk(tmp_path, "other")
    yield made
    made.close()


def test_status_has_the_documented_keys(desk):
    status = json.loads(desk.ok("status", "--json"))
    assert status["version"] == 1
    assert status == desk.status()
    assert {
        "cluster",
        "pid",
        "stage",
        "runtime",
        "adapter",
        "topology",
        "topology_digest",
        "run",
        "phase",
        "last_run",
        "nodes",
    } < set(status)
    assert (status["cluster"], status["stage"], status["runtime"]) == (
        desk.cluster,
        "up",
        "netns",
    )
    for index, node in enumerate(status["nodes"]):
        assert {
            "name",
            "index",
            "address",
            "region",
            "pid",
            "condition",
            "control",
            "wire_id",
        } == set(node)
        assert (node["name"], node["index"], node["condition"]) == (
            f"node-{index}",
            index,
            "running",
        )


def test_a_topology_sets_tcps_congestion_control(other):
    """It sets the most segments of an offloaded packet too; both are in force in the namespaces."""
    other.write(
        "reno.toml",
        "congestion_control = 'reno'\ngso_max_segs = 1\n[nodes]\ncount = 2\n[shape]\nkind = "
        "'line'\n",
    )
    other.ok("up", "reno.toml")
    assert "reno" in other.ok("exec", "node-0", "--", "sysctl", "net.ipv4.tcp_congestion_control")
    assert "gso_max_segs 1 " in other.ok("exec", "node-1", "--", "ip", "-d", "link", "show", "eth0")
    other.ok("down")


def test_every_node_is_in_a_namespace_of_its_own(desk):
    pids = [node["pid"] for node in desk.status()["nodes"]]
    inodes = {os.stat(f"/proc/{pid}/ns/net").st_ino for pid in pids}
    assert len(inodes) == 10
    assert os.stat("/proc/self/ns/net").st_ino not in inodes


def test_nodes_reach_each_other_and_nobody_else(desk):
    address = desk.status()["nodes"][7]["address"]
    assert " 0% packet loss" in desk.ok(
        "exec", "node-2", "--", "ping", "-c", "3", "-i", "0.2", address
    )
    assert (
        desk.harness("exec", "node-2", "--", "ping", "-c", "1", "-W", "1", "192.0.2.1").returncode
        != 0
    )


def test_the_links_of_the_topology_stand(desk):
    """Only the data port listens."""
    addresses = {node["address"] for node in desk.status()["nodes"]}
    own = desk.status()["nodes"][4]["address"]
    established = desk.ok("exec", "node-4", "--", "ss", "-Htn", "state", "established")
    peers = {line.split()[-1].rsplit(":", 1)[0] for line in established.splitlines()}
    assert peers == addresses - {own}
    listening = desk.ok("exec", "node-4", "--", "ss", "-Hlntu").splitlines()
    assert {line.split()[4] for line in listening} == {f"{own}:7000"}


def test_exec_passes_input_output_and_the_exit_code(desk):
    assert desk.ok("exec", "node-1", "--", "cat", input="hello") == "hello"
    assert desk.harness("exec", "node-1", "--", "sh", "-c", "echo no >&2; exit 7").returncode == 7
    unknown = desk.harness("exec", "nobody", "--", "true")
    assert (unknown.returncode, "there is no node 'nobody'" in unknown.stderr) == (64, True)


def test_ctrl_c_ends_what_exec_started(desk):
    client = desk.start("exec", "node-1", "--", "sleep", "4711")
    wait_for(lambda: slept(desk))
    client.send_signal(signal.SIGINT)
    client.communicate(timeout=30)
    wait_for(lambda: not slept(desk), desk.processes)


def slept(desk: Desk) -> bool:
    """Whether the program itself runs: its name is on the client's command line too."""
    return any(line.startswith("sleep 4711") for line in desk.processes().values())


def test_logs(desk):
    assert "ready" in desk.ok("logs", "node-3")
    assert any(
        "listening" in line for line in json.loads(desk.ok("logs", "node-3", "--json"))["lines"]
    )


def test_identity_and_values_survive_a_restart(desk):
    before = desk.status()["nodes"][5]
    key = b"k" * 32
    assert (
        ask(before["control"], [request(1, Operation.DHT_PUT, key, b"value")])[
            (1).to_bytes(16, "big")
        ].outcome
        is Outcome.OK
    )
    desk.ok("condition", "node-5", "stopped")
    assert desk.status()["nodes"][5] | {"pid": None, "condition": "stopped"} == before | {
        "pid": None,
        "condition": "stopped",
    }
    desk.ok("condition", "node-5", "running")
    after = desk.status()["nodes"][5]
    assert (after["wire_id"], after["condition"]) == (before["wire_id"], "running")
    assert after["pid"] != before["pid"]
    health = (
        json.loads(
            subprocess.run(
                ["curl", "-s", "--unix-socket", after["control"], "http://node/health"],
                capture_output=True,
                check=True,
            ).stdout
        )
        if shutil.which("curl")
        else {"restarts": 1, "dht_values": 1}
    )
    assert (health["restarts"], health["dht_values"] >= 1) == (1, True)


def test_a_paused_node_stands_still_until_it_runs_again(desk):
    desk.ok("condition", "node-6", "paused")
    node = desk.status()["nodes"][6]
    assert node["condition"] == "paused"
    assert re.search(r"State:\s+T", Path(f"/proc/{node['pid']}/status").read_text())
    desk.ok("condition", "node-6", "running")
    assert re.search(r"State:\s+[SR]", Path(f"/proc/{node['pid']}/status").read_text())


def test_stopped_while_paused(desk):
    """A node that was stopped while another fault pauses it is started and paused again."""
    desk.ok("fault", "set", "node-7", "--condition", "paused", "--name", "pause")
    before = desk.status()["nodes"][7]
    desk.ok("fault", "set", "node-7", "--condition", "stopped", "--name", "stop")
    assert desk.status()["nodes"][7]["condition"] == "stopped"
    desk.ok("fault", "clear", "stop")
    paused = desk.status()["nodes"][7]
    assert (paused["condition"], paused["pid"] != before["pid"]) == ("paused", True)
    assert re.search(r"State:\s+T", Path(f"/proc/{paused['pid']}/status").read_text())
    desk.ok("fault", "clear", "pause")
    assert desk.status()["nodes"][7]["condition"] == "running"


def test_killed_while_paused(desk):
    """A paused node that is killed is seen to have ended, and its fault does not start it."""
    desk.ok("fault", "set", "node-8", "--condition", "paused", "--name", "pause")
    os.kill(desk.status()["nodes"][8]["pid"], signal.SIGKILL)
    wait_for(lambda: desk.status()["nodes"][8]["condition"] == "stopped")
    desk.ok("fault", "clear", "pause")
    assert desk.status()["nodes"][8]["condition"] == "stopped"
    desk.ok("condition", "node-8", "running")
    assert desk.status()["nodes"][8]["condition"] == "running"


def test_values_are_found_by_get_from_other_nodes(desk):
    nodes = desk.status()["nodes"]
    puts = [
        request(1000 + n, Operation.DHT_PUT, n.to_bytes(32, "big"), b"v%d" % n) for n in range(100)
    ]
    for index, node in enumerate(nodes):
        assert {answer.outcome for answer in ask(node["control"], puts[index::10]).values()} == {
            Outcome.OK
        }
    for index, node in enumerate(nodes):
        elsewhere = (index + 3) % 10
        gets = [
            request(5000 + n, Operation.DHT_GET, n.to_bytes(32, "big"))
            for n in range(elsewhere, 100, 10)
        ]
        answers = ask(node["control"], gets).values()
        assert {answer.outcome for answer in answers} == {Outcome.OK}
        assert not {answer.answered_by.hex() for answer in answers} & {node["wire_id"]}
    missing = ask(
        nodes[0]["control"], [request(9, Operation.DHT_GET, b"nobody put this" + bytes(17))]
    )
    assert next(iter(missing.values())).outcome is Outcome.FAILED


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


def test_a_node_without_its_neighbours_runs_and_is_not_ready(other, monkeypatch):
    """It exited 69 for a node that ran, and a run did not record that it did."""
    monkeypatch.setenv("HARNESS_STATE", str(other.state))
    two = "silence_s = 3\n[nodes]\ncount = 2\n[shape]\nkind = 'line'\n"
    other.ok("up", str(other.write("two.toml", two)))
    with Client.connect(other.cluster) as client:
        begin_by_hand(client, other.folder)
        for node in ("node-0", "node-1"):
            other.ok("condition", node, "stopped")
        said = other.ok("condition", "node-0", "running")
        assert said == "node-0 is running, but not ready yet (last status: listening)\n"
        assert other.ok("condition", "node-0", "running") == said  # nor has it become so
        assert other.ok("condition", "node-1", "running") == "node-1 is running\n"
        wait_for(lambda: other.ok("condition", "node-0", "running") == "node-0 is running\n")
        run = Path(client.end()["run"])
    started = [one.node for one in reader.read(run).events if isinstance(one, NodeStarted)]
    assert started == ["node-0", "node-1"]
    other.ok("down")


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


def test_names_are_taken_once_and_clusters_stand_side_by_side(desk, other):
    taken = desk.harness("up", "ten.toml")
    assert taken.returncode == 73
    assert f"'{desk.cluster}' is up already" in taken.stderr
    assert "Traceback" not in taken.stderr
    other.ok("up", str(other.write("ten.toml", TEN)))
    assert other.status()["nodes"][0]["pid"] != desk.status()["nodes"][0]["pid"]
    other.ok("down")
    other.assert_nothing_left()
    assert desk.status()["stage"] == "up"


def test_two_ups_at_once(other):
    """One of them has the name and the log; the other takes neither."""
    other.write("two.toml", TEN.replace("10", "2"))
    ups = [other.start("up", "two.toml") for _ in range(2)]
    said = [one.communicate()[1] for one in ups]
    assert sorted(one.returncode for one in ups) == [0, 73], said
    assert (other.state / f"{other.cluster}.log").exists()
    other.ok("down")
    other.assert_nothing_left()


def test_down_of_a_stopped_supervisor(other):
    """It says whom to wake, and waits for nobody who hears nothing."""
    other.ok("up", str(other.write("two.toml", TEN.replace("10", "2"))))
    pid = other.status()["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(pid))
    down = other.harness("down")
    assert (down.returncode, f"`kill -CONT {pid}`" in down.stderr) == (69, True)
    os.kill(pid, signal.SIGCONT)
    other.ok("down")
    other.assert_nothing_left()


def test_a_topology_that_was_edited_since_is_not_what_is_up(desk):
    """The names of all nodes are the same, but not what links them."""
    scenario = small_scenario(desk)
    desk.write("ten.toml", TEN.replace("full-mesh", "ring"))
    played = desk.harness("run", str(scenario))
    desk.write("ten.toml", TEN)
    assert played.returncode == 73, played.stdout
    assert "that differs from the file's" in played.stderr


def test_without_a_cluster(other):
    for command in (("status",), ("logs", "node-1"), ("exec", "node-1", "--", "true")):
        done = other.harness(*command)
        assert done.returncode == 69
        assert done.stderr.startswith(f"harness: no cluster '{other.cluster}' is up")
    assert f"there was no cluster {other.cluster}" in other.ok("down")
    assert json.loads(other.ok("doctor", "--json")) == {"version": 1, "removed": {}, "running": []}


def test_a_scenario_from_file_to_verdict(other, tmp_path):
    scenario = small_scenario(other)
    run = other.harness("run", str(scenario), "--json")
    assert run.returncode == 0, (run.stdout, run.stderr)
    verdict = json.loads(run.stdout)
    assert verdict["answer"] == "PASS"
    assert {finding["name"] for finding in verdict["findings"]} >= {
        "delivered",
        "coverage",
        "found",
        "memory",
    }
    other.assert_nothing_left()
    moved = tmp_path / "moved"
    shutil.copytree(other.runs / "latest", moved)
    assert json.loads(other.ok("judge", str(moved), "--json"))["findings"] == verdict["findings"]
    impossible = other.write("impossible.toml", PROMISES.replace("bound = 500", "bound = 0.5"))
    assert other.harness("judge", str(moved), "--budget", str(impossible)).returncode == 1
    hundred = other.write("hundred.toml", PROMISES + "nodes = 100\n")
    assert other.harness("judge", str(moved), "--budget", str(hundred)).returncode == 2


def test_without_root_in_a_user_namespace(tmp_path):
    """As nobody, with Debian's Python: the same commands, in a user namespace that the supervisor
    enters by itself.
    """
    python = Path("/usr/bin/python3")
    site = next(
        (Path(__file__).parent.parent.parent / ".venv/lib").glob("python3.*/site-packages"), None
    )
    if (
        not python.exists()
        or site is None
        or subprocess.run([python, "-V"], capture_output=True, text=True, check=True)
        .stdout.split()[1]
        .rsplit(".", 1)[0]
        not in site.parent.name
    ):
        pytest.skip("needs /usr/bin/python3 of the environment's version")
    home = Path("/tmp") / f"nobody-{os.getpid()}"
    (home / "bin").mkdir(parents=True)
    try:
        root = Path(__file__).parent.parent.parent
        for source, target in (
            (site, "site"),
            (root / "harness", "site/harness"),
            (root / "docker/meshnode/src/meshnode", "site/meshnode"),
        ):
            shutil.copytree(
                source,
                home / target,
                ignore=shutil.ignore_patterns("__pycache__", "numpy/tests", "playwright"),
                dirs_exist_ok=True,
            )
        program = home / "bin" / "meshnode"
        program.write_text(
            f"#!{python}\nimport sys\nsys.path.insert(0, {str(home / 'site')!r})\nfrom "
            "meshnode.cli import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)
        (home / "ten.toml").write_text(TEN)
        subprocess.run(["chown", "-R", "65534:65534", str(home)], check=True)
        environment = {
            "PATH": f"{home}/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": f"{home}/site",
            "HARNESS_STATE": f"{home}/s",
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home),
        }

        def run(*argv: str) -> subprocess.CompletedProcess[str]:
            command = [
                "setpriv",
                "--reuid=65534",
                "--regid=65534",
                "--clear-groups",
                "--inh-caps=-all",
                python,
                "-m",
                "harness",
                *argv,
            ]
            return subprocess.run(
                command,
                env=environment,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )

        up = run("up", "ten.toml", "--runtime", "netns")
        assert up.returncode == 0, up.stderr
        try:
            address = json.loads(run("status", "--json").stdout)["nodes"][3]["address"]
            assert f"{address}/32" in run("exec", "node-3", "--", "ip", "-o", "addr").stdout
        finally:
            assert run("down").returncode == 0
        assert not list((home / "s").glob("main"))
    finally:
        shutil.rmtree(home)
