"""The command line as a user has it, in a state folder of the test's own, and a census of what
exists because of it.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from harness.control.client import Client
from harness.errors import HarnessError
from harness.operations import Operation, Request, Response
from harness.scenario.timeline import PlannedPhase, Timeline
from harness.systems.protocol import ControlCodec

ROOT = Path(__file__).parents[2]
END_TIMEOUT_S = 60.0
TEN = "[nodes]\ncount = 10\n[shape]\nkind = 'full-mesh'\n"


class Desk:
    """A place to run `harness` from: its own state folder, its own runs, its own cluster.

    No other desk of this host has the cluster's name, because containers are found by it.
    """

    def __init__(self, folder: Path, cluster: str = "desk", runtime: str = "netns") -> None:
        self.folder = folder
        self.token = uuid.uuid4().hex[:6]
        self.cluster = f"{cluster}-{self.token}"
        # Short: unix sockets live below it.
        self.state = Path(tempfile.mkdtemp(prefix="hs-", dir="/tmp"))
        self.runs = folder / "runs"
        self.environment = {
            **os.environ,
            "HARNESS_STATE": str(self.state),
            "HARNESS_CLUSTER": self.cluster,
            "RUNTIME": runtime,
            "HARNESS_RUNS": str(self.runs),
        }
        self.census_before = self.census()
        self._started: list[subprocess.Popen[str]] = []

    def command(self, *argv: str) -> list[str]:
        return [sys.executable, "-m", "harness", *argv]

    def harness(self, *argv: str, **changes: Any) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            self.command(*argv),
            check=False,
            **{
                "capture_output": True,
                "text": True,
                "timeout": 240,
                "env": self.environment,
                "cwd": self.folder,
                **changes,
            },
        )

    def ok(self, *argv: str, **changes: Any) -> str:
        """Run a command that must succeed; its standard output."""
        done = self.harness(*argv, **changes)
        assert done.returncode == 0, (argv, done.returncode, done.stdout, done.stderr)
        return done.stdout

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """Run a command beside the test, in a session of its own."""
        self._started.append(
            subprocess.Popen(
                self.command(*argv),
                env=self.environment,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
        )
        return self._started[-1]

    def status(self) -> dict[str, Any]:
        """What `harness status --json` prints; see `ask`."""
        return self.ask("status")

    def ask(self, method: str) -> dict[str, Any]:
        """Ask the supervisor without starting a program, which takes seconds on a busy host.

        Raises HarnessError where it does not answer.
        """
        with patch.dict(os.environ, {"HARNESS_STATE": str(self.state)}):
            client = Client.connect(self.cluster)
        with client:
            answer: dict[str, Any] = client.call(method, {})
            return answer

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def supervisor(self) -> int | None:
        """The pid of the living supervisor of this desk, from /proc."""
        for pid, line in self.processes().items():
            if "-m harness.supervisor" in line:
                return pid
        return None

    def processes(self) -> dict[int, str]:
        """Processes of this desk: pid → command line. Clients and supervisors carry its state
        folder in their environment; a node that was forked shows that of its zygote there, but
        works and logs in the folder."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if self._is_ours(pid):
                with suppress(OSError):
                    line = Path("/proc", pid, "cmdline").read_bytes()
                    found[int(pid)] = line.replace(b"\0", b" ").decode()
        return found

    def _is_ours(self, pid: str) -> bool:
        """Whether it names the state folder. Of hundreds of processes each is looked at again and
        again while a test waits, by many tests at once: so by bare calls.
        """
        state = os.fsencode(self.state)
        try:
            with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:
                if state in file.read():
                    return True
        except OSError:
            pass
        for name in ("cwd", "fd/0", "fd/1", "fd/2"):
            try:
                if state in os.readlink(f"/proc/{pid}/{name}".encode()):
                    return True
            except OSError:
                pass
        return False

    def doing(self) -> str:
        """What the supervisor says it does: its stage, or the phase that is in force; "silent"
        where it lives and does not answer.
        """
        try:
            status = self.status()
        except HarnessError:
            return "silent" if self.supervisor() else "gone"
        return f"phase {status['phase']}" if status["phase"] else str(status["stage"])

    def census(self) -> dict[str, Any]:
        """What exists now because of this desk, told by tools that are not ours.

        Links and tables of the host bear nobody's mark, so all of them count but those that other
        programs make and remove meanwhile: Docker's, the kernel's as it loads `ifb`, and what
        another desk has planted.
        """

        def lines(*argv: str) -> list[str]:
            if shutil.which(argv[0]) is None:
                return []
            return sorted(
                subprocess.run(
                    argv, capture_output=True, text=True, check=False
                ).stdout.splitlines()
            )

        links = [line.split(":")[1].split("@")[0].strip() for line in lines("ip", "-o", "link")]
        return {
            "processes": sorted(self.processes().values()),
            "links": [
                name
                for name in links
                if not name.startswith(("docker", "br-", "veth", "ifb")) and self._counts(name)
            ],
            "tables": [table for table in lines("nft", "list", "tables") if self._counts(table)],
            "containers": lines(
                "docker", "ps", "-aq", "--filter", f"label=p2p-harness.cluster={self.cluster}"
            ),
            "mounts": [
                line
                for line in Path("/proc/self/mounts").read_text().splitlines()
                if str(self.state) in line
            ],
            "files": sorted(
                str((Path(folder) / name).relative_to(self.state))
                for folder, folders, files in os.walk(self.state)  # some may be just going
                for name in (*folders, *files)
                if Path(name).suffix != ".log"
            ),
            "named": lines("ip", "netns", "list"),
            "groups": [
                name
                for _, folders, _ in os.walk("/sys/fs/cgroup")
                for name in folders
                if name.startswith(f"p2p-harness.{self.cluster}.")
            ],
        }

    def _counts(self, name: str) -> bool:
        return "stray_" not in name or self.token in name

    def assert_nothing_left(self) -> None:
        """The census is what it was before anything was started. What takes four programs to know
        is asked once its processes are gone.
        """
        before = self.census_before
        wait_for(
            lambda: (
                sorted(self.processes().values()) == before["processes"] and self.census() == before
            ),
            lambda: (self.census(), before),
        )

    def close(self) -> None:
        """End what a failed test left, by its own label."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
            process.wait()
            for pipe in (process.stdout, process.stderr):  # a command it began may hold them open
                if pipe is not None:
                    pipe.close()
        if (self.state / self.cluster).exists() or self.environment["RUNTIME"] == "docker":
            self.harness("down")
        for pid in self.processes():
            with suppress(ProcessLookupError):  # a zygote takes its nodes with it
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.state, ignore_errors=True)


def begin_by_hand(client: Client, runs: Path) -> str:
    """Begin and start a run of one phase without load or end; its folder."""
    phase = PlannedPhase(name="load", begin_s=0.0, end_s=None)
    run: str = client.begin(
        scenario="hand",
        timeline=Timeline(seed=1, phases=(phase,)).as_json(),
        budget=None,
        runs=str(runs),
        files={},
    )["run"]
    client.start(run=run, load={}, start_in_s=0.0)
    return run


def has_ended(pid: int | str) -> bool:
    """Whether a process is gone, or waits only to be reaped."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def wait_for(
    condition: Callable[[], Any],
    tell: Callable[[], Any] = lambda: None,
    seconds: float = END_TIMEOUT_S,
) -> Any:
    """Wait until a condition is true; return its value.

    What takes long is looked at less often: a look at all processes, by a dozen tests at once, is
    dear.
    """
    began = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited_s = time.monotonic() - began
        assert waited_s < seconds, tell()
        time.sleep(min(max(0.05, waited_s / 10), 0.3))


def once_in_three(attempt: Callable[[], tuple[bool, Any]]) -> None:
    """Try up to three times: what a busy host makes late is told as late, which is no defect, and
    what is always wrong never comes true. `attempt` returns whether it did, and what it saw.
    """
    seen = []
    for _ in range(3):
        came_true, told = attempt()
        seen.append(told)
        if came_true:
            return
    raise AssertionError(seen)


def ask(
    control: str, requests: Sequence[Request], seconds: float = END_TIMEOUT_S
) -> dict[bytes, Response]:
    """Have one node do operations, over its control socket; id → what it said. Fails where an
    answer is missing.
    """
    codec = ControlCodec()
    answers: dict[bytes, Response] = {}
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(seconds)
        connection.connect(control)
        connection.sendall(codec.encode(requests))
        while len(answers) < len(requests):
            data = connection.recv(1 << 16)
            assert data, "the node closed its control socket"
            answers |= {response.id: response for response in codec.feed(data)}
    return answers


def request(
    number: int, operation: Operation, target: bytes | None = None, payload: bytes | None = None
) -> Request:
    """One operation with an id of its own."""
    return Request(
        id=number.to_bytes(16, "big"),
        operation=operation,
        target=target,
        payload=payload,
        timeout_ms=20_000,
    )


SCENARIO = """
topology = "ten.toml"
budget = "promises.toml"
[[phase]]
name = "quiet"
duration_s = 2
[[phase]]
name = "load"
duration_s = {seconds}
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
[[phase.stream]]
operation = "broadcast"
rate_per_s = 5
[[phase.stream]]
operation = "dht_put"
rate_per_s = 10
[[phase.stream]]
operation = "dht_get"
rate_per_s = 10
"""
PROMISES = """
[[row]]
name = "delivered"
metric = "private_message.delivered"
statistic = "mean"
comparison = ">="
bound = 100
unit = "%"
phase = "load"
[[row]]
name = "coverage"
metric = "broadcast.coverage"
statistic = "min"
comparison = ">="
bound = 100
unit = "%"
phase = "load"
[[row]]
name = "found"
metric = "dht_get.found"
statistic = "mean"
comparison = ">="
bound = 100
unit = "%"
phase = "load"
[[row]]
name = "memory"
metric = "rss"
statistic = "max"
bound = 500
unit = "MB"
phase = "load"
"""


def small_scenario(desk: Desk, seconds: int = 5) -> Path:
    """Ten nodes, a quiet phase and one of every kind of load, with a budget that a sound system
    keeps anywhere.
    """
    desk.write("ten.toml", TEN)
    desk.write("promises.toml", PROMISES)
    return desk.write("small.toml", SCENARIO.format(seconds=seconds))
