"""A cluster on real namespaces from end to end, and what `ping`, `ss` and `ip` say of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import pytest
from kit.desk import PROMISES, TEN, Desk, ask, request, small_scenario, wait_for

from harness.kernel.proc import is_stopped
from harness.operations import Operation, Outcome

pytestmark = pytest.mark.root


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


def test_down_of_a_stopped_supervisor(other, tmp_path):
    """It says whom to wake, and waits for nobody who hears nothing: nor for an engine that has no
    part in it, and answers nobody.
    """
    other.ok("up", str(other.write("two.toml", TEN.replace("10", "2"))))
    pid = other.status()["pid"]
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: is_stopped(pid))
    down = other.harness("down")
    assert (down.returncode, f"`kill -CONT {pid}`" in down.stderr) == (69, True)
    os.kill(pid, signal.SIGCONT)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(f"{tmp_path}/engine")
        engine.listen()
        engine.settimeout(0)
        other.environment["DOCKER_HOST"] = f"unix://{tmp_path}/engine"
        other.ok("down")
        with pytest.raises(BlockingIOError):
            engine.accept()
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
    nothing = {"version": 1, "removed": {}, "scratch": [], "running": []}
    assert json.loads(other.ok("doctor", "--json")) == nothing


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


def _linked(source: str, target: str) -> None:
    """Half a gigabyte of packages is not written again where the file system is the same."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


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
                ignore=shutil.ignore_patterns("playwright"),
                copy_function=_linked,
                dirs_exist_ok=True,
            )
        program = home / "bin" / "meshnode"
        program.write_text(
            f"#!{python}\nimport sys\nsys.path.insert(0, {str(home / 'site')!r})\nfrom "
            "meshnode.cli import main\nsys.exit(main())\n"
        )
        program.chmod(0o755)
        (home / "ten.toml").write_text(TEN)
        for folder, _, _ in os.walk(home):  # files are read alone, and may be the checkout's own
            os.chown(folder, 65534, 65534)
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
