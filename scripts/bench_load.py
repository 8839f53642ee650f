"""The load generator side by side with others, in turns in one run: messages for each second of
CPU, and what is told of a target that stalls.

``make bench-load`` writes its section of docs/benchmarks.md. It needs wrk and nginx (Debian: wrk,
nginx-light); Locust is there. Each goes its own way: a worker sends 256-byte messages to 50 null
nodes over unix sockets and keeps a record of each; FastHttpUser and wrk get an empty answer from
nginx over loopback, closed loop, as fast as they can.
"""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.experiments.trial import Measured, Trial, measure
from harness.host.facts import host_facts
from harness.systems.null_nodes import null_nodes

ROOT = Path(__file__).parent.parent
DOCUMENT = ROOT / "docs" / "benchmarks.md"
NODES, SECONDS, TURNS = 50, 5.0, 3
PORT = 18_099
STALL_MS, EVERY_MS, STALL_RATE = 200, 2_000, 1_000.0
STALL_SECONDS = 20.0
WIDE_LATE_NS = 5_000_000  # what a bound of 100 ms allows
NGINX = """daemon off; worker_processes 1; pid {folder}/pid; error_log /dev/null;
events {{ worker_connections 1024; }}
http {{ access_log off; keepalive_requests 100000000;
  client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port}; location / {{ return 200; }} }} }}
"""
LOCUSTFILE = """
from locust import FastHttpUser, task
class Fast(FastHttpUser):
    host = "http://127.0.0.1:{port}"
    @task
    def get(self):
        self.client.get("/")
"""
# A closed loop of ten users over the null nodes: each waits for its answer before it sends again,
# which is what hides a stall.
CLOSED = """
import itertools, os, socket, time
from locust import User, task
from gevent import socket
from harness.systems.protocol import frame, frames
NUMBER = itertools.count()
class Closed(User):
    def on_start(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(os.environ["STALL_NODE"])
        self.buffer = bytearray()
    @task
    def send(self):
        begun = time.perf_counter()
        id_ = next(NUMBER).to_bytes(16, "little")
        self.socket.sendall(frame(["op", [[id_, 1, bytes(32), id_ + bytes(240), 10000]]]))
        answered = []
        while not answered:
            self.buffer += self.socket.recv(65536)
            answered = list(frames(self.buffer))
        took_ms = (time.perf_counter() - begun) * 1e3
        self.environment.events.request.fire(
            request_type="closed", name="send", response_time=took_ms, response_length=0,
            exception=None, context={})
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one way of generating load did: messages for each second of its CPU."""

    per_cpu_s: float
    rate_per_s: float


def main() -> int:
    """Measure in turns, print, and write the section."""
    for program in ("wrk", "nginx"):
        if shutil.which(program) is None:
            print(f"bench_load: {program} is not here (Debian: wrk, nginx-light)", file=sys.stderr)
            return 69
    with tempfile.TemporaryDirectory(prefix="bench-load-") as name:
        folder = Path(name)
        found = _in_turns(folder)
        stalls = _stalls(folder)
    text = _section(found, stalls)
    print(text)
    publish("load", text)
    return 0


def _in_turns(folder: Path) -> dict[str, list[Told]]:
    """Let each have its turn, several times."""
    (folder / "fast.py").write_text(LOCUSTFILE.format(port=PORT))
    ways: dict[str, Callable[[], Told]] = {
        "one worker, 10,000/s": lambda: _worker(folder, 10_000),
        "one worker, 10,000/s, 5 ms late allowed": lambda: _worker(folder, 10_000, WIDE_LATE_NS),
        "one worker, 50,000/s": lambda: _worker(folder, 50_000),
        "Locust FastHttpUser, 50 users": lambda: _fast(folder),
        "wrk -t1 -c50": _wrk,
    }
    found: dict[str, list[Told]] = {name: [] for name in ways}
    with null_nodes(folder, NODES), _nginx(folder):
        for turn in range(TURNS):
            for name, way in ways.items():
                found[name].append(way())
                print(f"turn {turn + 1}: {name}: {found[name][-1]}", file=sys.stderr, flush=True)
    return found


def _worker(folder: Path, rate_per_s: float, late_ns: int = 1_000_000) -> Told:
    measured = _trial(folder, rate_per_s, SECONDS, late_ns)
    if measured.ok != measured.asked:
        print(f"{measured.asked - measured.ok:,} messages were not answered", file=sys.stderr)
    return Told(per_cpu_s=measured.per_cpu_second, rate_per_s=measured.ok / SECONDS)


def _trial(folder: Path, rate_per_s: float, seconds: float, late_ns: int = 1_000_000) -> Measured:
    return measure(
        Trial(
            folder=str(folder),
            nodes=NODES,
            rate_per_s=rate_per_s,
            seconds=seconds,
            late_ns=late_ns,
        )
    )


def _fast(folder: Path) -> Told:
    """Locust's own HTTP client, closed loop; its start costs CPU too, which a run of no users
    tells.
    """
    count, cpu_s = _locust(folder / "fast.py", folder, users=50, seconds=SECONDS)[:2]
    _, start_s = _locust(folder / "fast.py", folder, users=0, seconds=1)[:2]
    return Told(per_cpu_s=count / max(cpu_s - start_s, 1e-9), rate_per_s=count / SECONDS)


def _locust(
    file: Path, folder: Path, *, users: int, seconds: float, **more: str
) -> tuple[int, float, list[Mapping[str, object]]]:
    """Run Locust; requests, CPU seconds, and its statistics."""
    command = [sys.executable, "-m", "locust", "-f", str(file), "--headless", "--json"]
    command += ["--loglevel", "ERROR", "-u", str(users), "-r", "1000", "-t", f"{seconds:g}s"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    said = subprocess.run(
        command, env=plain | more, cwd=folder, capture_output=True, text=True, check=False
    ).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    entries = json.loads(said[said.index("[") :]) if "[" in said else []
    return sum(one["num_requests"] for one in entries), cpu_s, entries


def _wrk() -> Told:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = ["wrk", "-t1", "-c50", f"-d{SECONDS:.0f}s", f"http://127.0.0.1:{PORT}/"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = re.search(r"(\d+) requests in", said)
    assert found is not None, said
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Told(per_cpu_s=int(found[1]) / cpu_s, rate_per_s=int(found[1]) / SECONDS)


@contextmanager
def _nginx(folder: Path) -> Iterator[None]:
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=PORT))
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as running:
        try:
            time.sleep(0.5)
            yield
        finally:
            running.terminate()


def _stalls(folder: Path) -> dict[str, tuple[float, ...]]:
    """What is told of nodes that hold all answers back for 200 ms every 2 s: p50, p99, p99.9 in ms;
    and what an open model must see, computed.
    """
    below = folder / "stall"
    below.mkdir()
    (below / "closed.py").write_text(CLOSED)
    with null_nodes(below, NODES, STALL_MS, EVERY_MS):
        measured = _trial(below, STALL_RATE, STALL_SECONDS)
        node = str(below / "node-0.sock")
        *_, entries = _locust(
            below / "closed.py", below, users=10, seconds=STALL_SECONDS, STALL_NODE=node
        )
    closed: dict[float, int] = {}
    for one in entries:
        for took_ms, count in dict(one["response_times"]).items():  # type: ignore[call-overload]
            closed[float(took_ms)] = closed.get(float(took_ms), 0) + count
    ours = (measured.p50_us, measured.p99_us, measured.p999_us)
    return {
        "computed": tuple(_reference(quantile) for quantile in (0.5, 0.99, 0.999)),
        "one worker, open model": tuple((value or 0) / 1e3 for value in ours),
        "Locust, 10 users, closed loop": tuple(
            _percentile(closed, quantile) for quantile in (0.5, 0.99, 0.999)
        ),
    }


def _reference(quantile: float) -> float:
    """What a message that is due at any time waits for, ms: nothing, or the rest of the stall."""
    stalled = STALL_MS / EVERY_MS
    return max(0.0, STALL_MS * (1 - (1 - quantile) / stalled))


def _percentile(counts: Mapping[float, int], quantile: float) -> float:
    left = quantile * sum(counts.values())
    for value in sorted(counts):
        left -= counts[value]
        if left <= 0:
            return value
    return float("nan")


def _section(found: Mapping[str, list[Told]], stalls: Mapping[str, tuple[float, ...]]) -> str:
    """Write the section: medians of the turns, and the least and the most of them."""
    middle = {
        name: statistics.median(one.per_cpu_s for one in told) for name, told in found.items()
    }
    fast = max(middle["Locust FastHttpUser, 50 users"], 1e-9)
    wrk = middle["wrk -t1 -c50"]
    host = host_facts()
    where = (
        f"By `make bench-load` on {host['cores']} cores ({host['cpu']}, Linux {host['kernel']}),\n"
        f"{TURNS} turns of {SECONDS:.0f} s each, medians; a load of {os.getloadavg()[0]:.1f} then."
    )
    lines = [
        "## The load generator",
        "",
        where,
        "",
        "| | messages a CPU-second [least–most] | messages/s | ÷ FastHttpUser | ÷ wrk |",
        "|---|---|---|---|---|",
    ]
    for name, told in found.items():
        each = [one.per_cpu_s for one in told]
        rate = statistics.median(one.rate_per_s for one in told)
        lines.append(
            f"| {name} | {middle[name]:,.0f} [{min(each):,.0f}–{max(each):,.0f}] | {rate:,.0f} | "
            f"{middle[name] / fast:.1f} | {middle[name] / wrk:.2f} |"
        )
    lines += ["", *_aims(found, middle), "", *_stall_lines(stalls)]
    return "\n".join(lines)


def _aims(found: Mapping[str, list[Told]], middle: Mapping[str, float]) -> list[str]:
    """Hold the ratios against their aims; turns that differ much were taken on a host that was too
    busy to say.
    """
    said = ["| aim | seen | |", "|---|---|---|"]
    for name in ("one worker, 10,000/s", "one worker, 50,000/s"):
        for other, least in (("Locust FastHttpUser, 50 users", 5.0), ("wrk -t1 -c50", 0.8)):
            ratio = middle[name] / max(middle[other], 1e-9)
            kept = "kept" if ratio >= least else "**missed**"
            if not _steady(found[name]) or not _steady(found[other]):
                kept = "not known: the turns differ by more than half"
            said.append(f"| {name}: ≥ {least:g}× {other} | {ratio:.2f}× | {kept} |")
    return said


def _steady(told: list[Told]) -> bool:
    each = [one.per_cpu_s for one in told]
    return max(each) <= 1.5 * min(each)


def _stall_lines(stalls: Mapping[str, tuple[float, ...]]) -> list[str]:
    wanted, seen = stalls["computed"], stalls["one worker, open model"]
    far = max(abs(seen[at] / wanted[at] - 1) for at in (1, 2))
    lines = [
        f"A target that stalls {STALL_MS} ms every {EVERY_MS / 1e3:g} s, at {STALL_RATE:,.0f}/s:",
        "",
        "| | p50 | p99 | p99.9 |",
        "|---|---|---|---|",
    ]
    for name, values in stalls.items():
        lines.append(f"| {name} | " + " | ".join(f"{value:,.3g} ms" for value in values) + " |")
    kept = "kept" if far <= 0.05 else "**missed**"
    closed_ms = stalls["Locust, 10 users, closed loop"][1]
    low = f"is {wanted[1] / closed_ms:,.3g} times too low" if closed_ms else "shows nothing of it"
    lines += [
        "",
        f"The open model's p99 and p99.9 are within {far:.1%} of the computed ones (aim: 5 %,",
        f"{kept}); the closed loop's p99 {low}.",
        "The computed p50 is that of a target which answers in no time.",
    ]
    return lines


def publish(name: str, text: str) -> None:
    """Replace this section of docs/benchmarks.md; a new one comes last."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    section = f"{begin}\n{text.strip()}\n{end}"
    before = DOCUMENT.read_text() if DOCUMENT.exists() else "# Benchmarks\n"
    pattern = re.escape(begin) + ".*?" + re.escape(end)
    after, count = re.subn(pattern, lambda _: section, before, flags=re.DOTALL)
    DOCUMENT.write_text(after if count else f"{before.rstrip()}\n\n{section}\n")


if __name__ == "__main__":
    sys.exit(main())
