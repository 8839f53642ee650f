"""`locust` as a user runs it, against nodes that only speak the control protocol: counts, merging,
codes, bad days.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections import Counter

import numpy as np
import pytest
from kit.load import cluster, session_members, wait_until

from harness.operations import Operation, Outcome
from harness.operations.operation import SPREADING_NS


def test_one_run_from_begin_to_verdict():
    with cluster() as fake:
        code, output = fake.run("-t", "2s", JUDGE_EXIT="2")
        assert code == 2, output
        assert "judged " + str(fake.folder / "runs" / "load" / "1") in output
        table = fake.operations()
        counts = Counter(table["operation"].to_pylist())
        assert counts == {1: 200, 2: 4, 3: 20, 4: 20, 5: 20}
        assert set(table["outcome"].to_pylist()) == {Outcome.OK}, set(table["error"].to_pylist())
        assert len(set(table["id"].to_pylist())) == len(table)
        gets = [row for row in table.to_pylist() if row["operation"] == Operation.DHT_GET]
        assert all(row["answered_by"] not in (-1, row["source"]) for row in gets)
        [begin], [start], [end] = (fake.calls(what) for what in ("begin", "start", "end"))
        assert begin["timeline"]["phases"] == [
            {
                "name": "load",
                "begin_s": 0.0,
                "end_s": None,
                "idle": False,
                "iperf3": None,
                "kind": None,
                "until": None,
                "at_most_s": None,
                "profiles": [],
            }
        ]
        assert begin["timeline"]["changes"] == []
        assert {stream["operation"] for stream in start["load"]["streams"]} == {
            Operation(code).word for code in counts
        }
        assert end["load"]["operations"]["private_message"]["ok"] == 200
        assert max(table["intended_ns"].to_pylist()) < end["at_ns"]


def test_what_was_sent_last_has_its_time_to_arrive():
    """Its sender calls it done at once. The journals ended while it was on its way: lost, FAIL."""
    with cluster() as fake:
        code, output = fake.run("-t", "1s", "BroadcastUser")
        assert code == 0, output
        [end], [heard_ns] = fake.calls("end"), fake.calls("heard_ns")
        assert heard_ns - end["at_ns"] >= SPREADING_NS


@pytest.mark.parametrize("processes", ["0", "2"])
def test_workers_split_the_rate_exactly(processes):
    with cluster() as fake:
        code, output = fake.run(
            "-t",
            "2s",
            "--processes",
            processes,
            "--private-message-rate",
            "1500",
            "--csv",
            str(fake.folder / "out"),
            "PrivateMessageUser",
        )
        assert code == 0, output
        table = fake.operations()
        intended = np.sort(table["intended_ns"].to_numpy())
        assert len(table) == 3000
        assert np.abs(np.diff(intended) - 1e9 / 1500).max() <= 2
        assert fake.calls("end")[0]["load"]["operations"]["private_message"]["ok"] == 3000
        (finding,) = fake.load_findings()
        assert "not in the record" not in finding.sentence, finding
        summary = next(line for line in reversed(output.splitlines()) if line.startswith("P2P"))
        assert summary.split()[-1] == "3000"


def test_a_stalling_node_shows_in_the_response_time():
    """A closed loop would send nothing during the stall and report a p99 of a millisecond."""
    with cluster(6, "--stall-ms", "200", "--stall-every-ms", "2000") as fake:
        code, output = fake.run("-t", "4s", "--private-message-rate", "500", "PrivateMessageUser")
        assert code == 0, output
        told = fake.calls("end")[0]["load"]["operations"]["private_message"]
        assert told["ok"] == 2000
        assert told["p50_us"] < 100_000
        assert told["p99_us"] > 150_000


def test_lost_answers_are_unknown_not_failed():
    with cluster(4, "--drop", "10") as fake:
        code, output = fake.run(
            "-t",
            "1s",
            "--private-message-rate",
            "200",
            "--timeout-ms",
            "1500",
            "PrivateMessageUser",
        )
        assert code == 0, output
        table = fake.operations()
        outcomes = Counter(table["outcome"].to_pylist())
        assert outcomes[Outcome.FAILED] == 0
        assert sum(outcomes.values()) == 200
        assert 15 <= outcomes[Outcome.UNKNOWN] <= 20
        assert "UNKNOWN: no answer within 1,500 ms" in output


def test_a_node_that_is_gone_is_failed_and_unsent():
    with cluster(2) as fake:
        (fake.folder / "state" / "fake" / "node-0.sock").unlink()
        code, output = fake.run("-t", "1s", "PrivateMessageUser")
        assert code == 0, output
        for row in fake.operations().to_pylist():
            if row["source"] == 0:
                assert (row["outcome"], row["sent_ns"]) == (Outcome.FAILED, 0)
                assert row["error"].startswith("unsent: the node cannot be reached")
            else:
                assert row["outcome"] == Outcome.OK


def test_a_scenario_ends_by_itself():
    scenario = """
name = "two-phases"
topology = "cluster-10"
[[phase]]
name = "one"
duration_s = 1
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
target = "node-1"
[[phase]]
name = "two"
duration_s = 1
[[phase.stream]]
operation = "broadcast"
rate_per_s = 20
"""
    with cluster(10) as fake:
        (fake.folder / "s.toml").write_text(scenario)
        code, output = fake.run(HARNESS_SCENARIO=str(fake.folder / "s.toml"))
        assert code == 0, output
        [begin] = fake.calls("begin")
        assert [phase["name"] for phase in begin["timeline"]["phases"]] == ["one", "two"]
        assert begin["files"]["scenario.toml"] == scenario
        rows = fake.operations("two-phases/1").to_pylist()
        assert Counter(row["operation"] for row in rows) == {1: 50, 2: 20}
        assert {row["target"] for row in rows if row["operation"] == 1} == {1}


@pytest.mark.parametrize(
    ("options", "environment", "code", "sentence"),
    [
        (["-t", "1s"], {"HARNESS_CLUSTER": "nope"}, 69, "locust: no cluster 'nope' is up"),
        (["--bogus"], {}, 64, "unrecognized arguments"),
        (["--private-message-rate=x"], {}, 64, "--private-message-rate: invalid float value: 'x'"),
        (["--arrivals", "never"], {}, 64, "--arrivals: invalid choice"),
        ([], {"HARNESS_SEED": "x"}, 64, "--seed: invalid int value"),
        (["-t", "1s", "--seed=-1"], {}, 64, "seed: expected 0 to 9,223,372,036,854,775,807"),
        (["-t", "1s", "--seed", str(1 << 64)], {}, 64, "seed: expected 0 to"),
        (["NoSuchUser"], {}, 64, "Unknown User"),
        (["--host", "other"], {}, 64, "--host: the load goes to cluster fake, found 'other'"),
        (["-t", "1s", "--payload-bytes", "-1"], {}, 64, "payload_bytes: expected 0 to"),
        (
            ["-t", "1s", "--budget", "nope.toml"],
            {},
            65,
            "no such file, and no budgets of that name",
        ),
        (
            ["-t", "1s", "--private-message-rate", "0", "PrivateMessageUser"],
            {},
            64,
            "nothing to send",
        ),
        (["-t", "1s", "PrivateMessageUser"], {"JUDGE_EXIT": "1"}, 1, "judged"),
    ],
)
def test_exit_codes(options, environment, code, sentence):
    with cluster(2) as fake:
        found, output = fake.run(*options, **environment)
        assert (found, "Traceback" in output) == (code, False), output
        assert sentence in output


def test_a_supervisor_that_dies_ends_the_load():
    with (
        cluster() as fake,
        fake.locust("--headless", "--processes", "2", "PrivateMessageUser") as running,
    ):
        record = fake.folder / "runs" / "load" / "1" / "load" / "operations-1.arrow"
        wait_until(lambda: record.exists() and record.stat().st_size > 10_000)
        fake.process.send_signal(signal.SIGKILL)
        output, _ = running.communicate(timeout=20)
        assert running.returncode == 69, output
        assert output.count("locust: the supervisor of cluster 'fake'") == 1
        assert "judged" not in output
        wait_until(lambda: not session_members(running.pid))


def test_a_worker_that_dies_ends_the_run_as_broken():
    with (
        cluster() as fake,
        fake.locust("--headless", "--processes", "2", "PrivateMessageUser") as running,
    ):
        record = fake.folder / "runs" / "load" / "1" / "load" / "operations-1.arrow"
        wait_until(lambda: record.exists() and record.stat().st_size > 10_000)
        victim = next(pid for pid in session_members(running.pid) if pid != running.pid)
        os.kill(victim, signal.SIGKILL)
        output, _ = running.communicate(timeout=40)
        assert running.returncode == 70, output
        assert "a load worker of this run is gone" in output
        (failure,) = fake.calls("end")[0]["load"]["failures"]
        assert failure.startswith("a load worker of this run is gone")
        (finding,) = fake.load_findings()
        assert "planned operations are not in the record (of load worker" in finding.sentence
        wait_until(lambda: not session_members(running.pid))


def test_a_worker_that_waits_for_a_core_is_not_given_up():
    """It says nothing for longer than Locust waits for a heartbeat; the run ends with a verdict."""
    with (
        cluster() as fake,
        fake.locust(
            *("--headless", "--processes", "1", "-t", "9s", "PrivateMessageUser"), JUDGE_EXIT="2"
        ) as running,
    ):
        record = fake.folder / "runs" / "load" / "1" / "load" / "operations-0.arrow"
        wait_until(lambda: record.exists() and record.stat().st_size > 10_000)
        worker = next(pid for pid in session_members(running.pid) if pid != running.pid)
        os.kill(worker, signal.SIGSTOP)
        time.sleep(6)
        os.kill(worker, signal.SIGCONT)
        output, _ = running.communicate(timeout=40)
        assert running.returncode == 2, output
        assert "judged" in output


@pytest.mark.parametrize("processes", ["0", "2"])
def test_ctrl_c_ends_a_run_with_its_verdict(processes):
    """Workers that the signal reached stop by themselves; the run is over with the first of them,
    and nothing of it is missing.
    """
    with (
        cluster() as fake,
        fake.locust(
            "--headless", "--processes", processes, "PrivateMessageUser", JUDGE_EXIT="2"
        ) as running,
    ):
        load = fake.folder / "runs" / "load" / "1" / "load"
        records = [load / f"operations-{one}.arrow" for one in range(max(int(processes), 1))]
        wait_until(lambda: all(one.exists() and one.stat().st_size > 10_000 for one in records))
        os.killpg(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=20)
        assert running.returncode == 2, output
        assert "judged" in output
        assert set(fake.operations()["outcome"].to_pylist()) == {Outcome.OK}
        assert fake.calls("end")[0]["load"]["failures"] == []
        (finding,) = fake.load_findings()
        assert "not in the record" not in finding.sentence, finding


def test_users_of_a_worker_that_left_are_not_handed_to_others():
    """Locust reads no message while it does so, and the others' last words would come too late."""
    with (
        cluster() as fake,
        fake.locust(
            "--headless", "--processes", "2", "PrivateMessageUser", JUDGE_EXIT="2"
        ) as running,
    ):
        load = fake.folder / "runs" / "load" / "1" / "load"
        records = [load / f"operations-{one}.arrow" for one in range(2)]
        wait_until(lambda: all(one.exists() and one.stat().st_size > 10_000 for one in records))
        worker = next(pid for pid in session_members(running.pid) if pid != running.pid)
        os.kill(worker, signal.SIGINT)
        wait_until(lambda: len(session_members(running.pid)) == 2)
        time.sleep(1)
        os.kill(running.pid, signal.SIGINT)
        output, _ = running.communicate(timeout=20)
        assert running.returncode == 2, output
        assert output.count("Sending spawn jobs") == 1, output
        assert fake.calls("end")[0]["load"]["failures"] == []


def test_the_master_killed_leaves_no_worker():
    with (
        cluster() as fake,
        fake.locust("--headless", "--processes", "2", "PrivateMessageUser") as running,
    ):
        wait_until(lambda: len(session_members(running.pid)) == 3)
        os.kill(running.pid, signal.SIGKILL)
        running.communicate(timeout=10)
        wait_until(lambda: not session_members(running.pid))


@pytest.mark.parametrize("processes", ["0", "1"])
def test_an_error_of_ours_in_the_pacer_is_70(processes):
    locustfile = """
from harness.load import stream
from harness.load.locust import plugin
from harness.load.users import PrivateMessageUser
def take(self, now_ns, limit): raise RuntimeError("a bug")
stream.TrafficStream.take = take
plugin.install()
"""
    with cluster(2) as fake:
        (fake.folder / "broken.py").write_text(locustfile)
        code, output = fake.run("-f", str(fake.folder / "broken.py"), "--processes", processes)
        assert code == 70, output
        assert "locust: the load worker broke: RuntimeError: a bug" in output


SCENARIO = """
topology = "TOPOLOGY"
[[phase]]
name = "one"
duration_s = 1
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
FAULT
"""


@pytest.mark.parametrize(
    ("topology", "fault", "code", "sentence"),
    [
        ("cluster-100", "", 73, "'cluster-10', the scenario wants 'cluster-100': `harness down`"),
        (
            "cluster-10",
            '[[phase.fault]]\nname = "slow"\nwhere = "all"\ndelay = "50ms"\n',
            69,
            "fault slow: delay",
        ),
    ],
)
def test_a_scenario_that_needs_another_cluster_is_refused(topology, fault, code, sentence):
    with cluster(10) as fake:
        text = SCENARIO.replace("TOPOLOGY", topology).replace("FAULT", fault)
        (fake.folder / "s.toml").write_text(text)
        found, output = fake.run("--scenario", str(fake.folder / "s.toml"))
        assert (found, "Traceback" in output) == (code, False), output
        assert sentence in output
        assert not (fake.folder / "state" / "fake" / "calls.jsonl").exists()


def test_a_suite_is_no_scenario():
    with cluster(10) as fake:
        code, output = fake.run("--scenario", "meshara")
        assert (code, "Traceback" in output) == (64, False), output
        assert "`harness run meshara` plays it" in output


def test_neither_judge_goes_before_the_load_and_what_it_loads():
    with cluster(2) as fake:
        options = ("--autostart", "--autoquit", "0", "-t", "2s", "PrivateMessageUser")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with fake.locust("--web-port", str(port), *options) as running:
            output, _ = running.communicate(timeout=60)
        assert running.returncode == 0, output
        judges = dict(
            line.split(maxsplit=1) for line in (fake.folder / "judges").read_text().splitlines()
        )
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        assert judges == {
            "follow": f"{os.SCHED_OTHER} 19",
            "final": f"{os.SCHED_OTHER} {max(0, nice)}",
        }


def test_what_was_not_picked_is_in_the_record():
    with cluster(2) as fake:
        code, output = fake.run("-t", "1s", "PrivateMessageUser")
        assert code == 0, output
        [start] = fake.calls("start")
        every = {operation.word for operation in Operation}
        assert set(start["load"]["left_out"]) == every - {"private_message"}


def test_a_taken_port_is_one_sentence():
    with socket.socket() as taken, cluster(2) as fake:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with fake.locust("--web-port", str(port)) as running:
            output, _ = running.communicate(timeout=60)
        assert (running.returncode, "Traceback" in output) == (73, False), output
        assert f"locust: the page's port is taken, 127.0.0.1:{port}: " in output
        with fake.locust("--web-host", "192.0.2.1") as running:
            output, _ = running.communicate(timeout=60)
        assert (running.returncode, "Traceback" in output) == (64, False), output
