"""Starts the pretended cluster of fake_cluster.py and Locust against it, as a user would: as
processes, for tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.checks.load import check
from harness.checks.verdict import Finding
from harness.history.history import PhaseWindow
from harness.history.plan import read
from harness.operations import Operation
from kit.histories import history

ROOT = Path(__file__).parents[2]
LOCUST = Path(sys.executable).with_name("locust")
# What `python -m harness judge RUN` answers here: the judge has tests of its own, and these runs
# have no journals. Its scheduler and niceness are kept.
JUDGE = """
import os, sys
if sys.orig_argv[1:4] == ["-m", "harness", "judge"]:
    which = "follow" if "--follow" in sys.orig_argv else "final"
    with open(os.path.join(os.path.dirname(__file__), "judges"), "a") as file:
        print(which, os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, 0), file=file)
    print("judged", sys.orig_argv[4], flush=True)
    os._exit(int(os.environ["JUDGE_EXIT"]))
"""


class Cluster:
    """A pretended cluster and the folder that everything of a test is written to."""

    def __init__(self, folder: Path, nodes: int, options: tuple[str, ...]) -> None:
        self.folder, self.nodes, self.options = folder, nodes, options
        (folder / "sitecustomize.py").write_text(JUDGE)
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HARNESS_", "LOCUST_"))
        } | {
            "HARNESS_STATE": str(folder / "state"),
            "HARNESS_CLUSTER": "fake",
            "PYTHONPATH": str(folder),
            "JUDGE_EXIT": "0",
        }
        self.process = self._begin()

    def _begin(self) -> subprocess.Popen[str]:
        program = ROOT / "tests" / "kit" / "fake_cluster.py"
        process = subprocess.Popen(
            [sys.executable, program, "fake", str(self.nodes), *self.options],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def begin_again(self) -> None:
        """Start another cluster of that name, after `close`, as `make cluster-10` would: what the
        one before left is removed.
        """
        for left in (self.folder / "state" / "fake").glob("*.sock"):
            left.unlink()
        self.process = self._begin()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    @contextlib.contextmanager
    def locust(self, *options: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
        """Locust in a session of its own, ended however the test ends."""
        running = subprocess.Popen(
            [LOCUST, "--runs", self.folder / "runs", *options],
            cwd=ROOT,
            env=self.environment | environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield running
        finally:
            if running.poll() is None:
                os.killpg(running.pid, signal.SIGKILL)
            said, _ = running.communicate()
            print(said)  # pytest shows it where the test failed

    def run(self, *options: str, **environment: str) -> tuple[int, str]:
        """Locust without its web UI, to its end: exit code and output."""
        with self.locust("--headless", *options, **environment) as running:
            output, _ = running.communicate(timeout=300)
            return running.returncode, output

    def calls(self, method: str) -> list[dict]:
        path = self.folder / "state" / "fake" / "calls.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [call[method] for call in map(json.loads, lines) if method in call]

    def operations(self, run: str = "load/1") -> pa.Table:
        """What all workers recorded."""
        paths = sorted((self.folder / "runs" / run / "load").glob("operations-*.arrow"))
        return pa.concat_tables(
            [
                pa.ipc.open_stream(path.read_bytes()).read_all().unify_dictionaries()
                for path in paths
            ]
        )

    def load_findings(self) -> list[Finding]:
        """What the judge says of the load of the first run: each operation against the schedule."""
        lines = (self.folder / "state" / "fake" / "calls.jsonl").read_text().splitlines()
        said: dict[str, Any] = {}
        for line in lines:
            said = json.loads(line) | said
        timeline, load = said["begin"]["timeline"], said["start"]["load"]
        plan = read(
            {"t0_ns": said["t0_ns"], "id_key": said["id_key"], "seed": timeline["seed"]}
            | {"plan": timeline["phases"], "load": load},
            timeline,
        )
        assert plan is not None
        streams = load["streams"]
        window = PhaseWindow(name="load", begin_ns=plan.t0_ns, end_ns=said["end"]["at_ns"])
        numbers = {each.word: int(each) for each in Operation}
        return check(
            history(
                nodes=self.nodes,
                operations=self.operations().to_pylist(),
                plan=plan,
                phases=(window,),
                planned_per_s={
                    ("load", numbers[stream["operation"]]): stream["rate_per_s"]
                    for stream in streams
                },
            )
        )


@contextlib.contextmanager
def cluster(nodes: int = 6, *options: str) -> Iterator[Cluster]:
    with tempfile.TemporaryDirectory(prefix="load-") as folder:
        made = Cluster(Path(folder), nodes, options)
        try:
            yield made
        finally:
            made.close()


def wait_until(condition, timeout_s: float = 60.0):
    """Poll until it holds; return what it answered."""
    until = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return answer


def session_members(session: int) -> list[int]:
    """Living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
                if int(fields[3]) == session and fields[0] != "Z":
                    found.append(int(entry.name))
    return found
