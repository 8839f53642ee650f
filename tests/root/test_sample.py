"""What the sampler says of real processes, against ps, ss, ip, /proc read afresh, and the
processes' own words.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import pyarrow as pa
import pytest
from kit.leftovers import eventually, in_namespace, no_descriptor_left, output

from harness.history.history import HOST, SAMPLES
from harness.kernel import cgroups, disks
from harness.kernel.namespaces import spawn_in
from harness.kernel.netlink import LinkCounters
from harness.network.fabric import Fabric
from harness.supervisor.sampler import Sampler
from harness.supervisor.seldom import Directory
from harness.topology.topology import BENCHMARK_BLOCK, Node

pytestmark = pytest.mark.root

# Takes orders by line on its standard input and answers each on its standard output.
NODE = """
import os, resource, socket, sys, threading, time
held, server = [], None
for line in sys.stdin:
    order, _, value = line.strip().partition(" ")
    if order == "files": held += [open("/dev/null") for _ in range(int(value))]
    if order == "memory": held.append(bytearray(b"x" * int(value)))
    if order == "write":
        with open(value, "wb", buffering=0) as file:
            file.write(bytes(8 << 20)); os.fsync(file.fileno())
    if order == "threads":
        for _ in range(int(value)):
            threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if order == "listen": server = socket.create_server((value, 7000))
    if order == "connect": held.append(socket.create_connection((value, 7000)))
    if order == "accept": held.append(server.accept())
    if order == "send": held[-1].sendall(bytes(int(value)))
    if order == "receive":
        left = int(value)
        while left: left -= len(held[-1][0].recv(left))
    if order == "burn":
        def burn():
            while time.thread_time() < float(value): pass
        worker = threading.Thread(target=burn)
        worker.start(); worker.join()
    if order == "spin":
        end = time.thread_time() + float(value)
        while time.thread_time() < end: pass
    print(time.process_time_ns(), flush=True)
"""


class Child:
    """A process in a namespace that does as it is told."""

    def __init__(self, namespace: int) -> None:
        into, out = os.pipe(), os.pipe()
        self.process = spawn_in(namespace, [sys.executable, "-c", NODE], stdio=(into[0], out[1], 2))
        self.pid = self.process.pid
        os.close(into[0])
        os.close(out[1])
        self.orders, self.answers = os.fdopen(into[1], "w"), os.fdopen(out[0])
        self.tell("ready")

    def tell(self, order: str) -> int:
        """Carry out one order; returns the CPU ns that the process says it has used."""
        self.order(order)
        return int(self.answers.readline())

    def order(self, order: str) -> None:
        """Begin an order, whose answer the caller reads."""
        self.orders.write(order + "\n")
        self.orders.flush()

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        with contextlib.suppress(BrokenPipeError):
            self.orders.close()
        self.answers.close()


class Bench:
    """Three wired nodes with a process each, all tracked."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self.fabric = stack.enter_context(contextlib.closing(Fabric("test", BENCHMARK_BLOCK)))
        self.wires = self.fabric.wire([Node(name=f"node-{index}") for index in range(3)])
        self.nodes = [
            stack.enter_context(contextlib.closing(Child(wire.namespace))) for wire in self.wires
        ]
        self.sampler = stack.enter_context(
            contextlib.closing(Sampler([wire.namespace for wire in self.wires]))
        )
        for index, child in enumerate(self.nodes):
            self.sampler.track(index, child.pid)

    def rows(self) -> dict[int, dict[str, int]]:
        batch = self.sampler.take(self.fabric.counters())
        assert batch.schema == SAMPLES
        return {row["node"]: row for row in batch.to_pylist()}


@pytest.fixture
def bench():
    with no_descriptor_left(), contextlib.ExitStack() as stack:
        yield Bench(stack)


def test_five_descriptors_a_node_and_none_after_forget(bench):
    before = len(os.listdir("/proc/self/fd"))
    for index in range(3):
        bench.sampler.forget(index)
        bench.sampler.forget(index)
    assert before - len(os.listdir("/proc/self/fd")) == 15
    assert bench.rows() == {}


def test_descriptors_and_threads_follow_the_process(bench):
    first = bench.rows()[1]
    assert first["fds"] == len(os.listdir(f"/proc/{bench.nodes[1].pid}/fd"))
    bench.nodes[1].tell("files 40")
    bench.nodes[1].tell("threads 5")
    then = bench.rows()
    assert then[1]["fds"] - first["fds"] == 40
    assert then[1]["threads"] - first["threads"] == 5
    assert then[1]["threads"] == int(output("ps", "-o", "nlwp=", "-p", str(bench.nodes[1].pid)))
    assert then[0]["fds"] == first["fds"]


def test_resident_memory_is_what_the_kernel_adds_up_page_by_page(bench):
    bench.nodes[2].tell("memory 50000000")
    with open(f"/proc/{bench.nodes[2].pid}/smaps_rollup") as file:
        exact = next(int(line.split()[1]) * 1024 for line in file if line.startswith("Rss:"))
    row = bench.rows()[2]
    # The kernel's quick counter lags by some pages a CPU.
    assert abs(row["rss_bytes"] - exact) < 2_000_000
    assert row["rss_bytes"] > 50_000_000
    assert 50_000_000 < row["memory_bytes"] < row["rss_bytes"]


def test_cpu_is_exact_and_counts_threads_that_have_ended(bench):
    before = bench.rows()[0]["cpu_ns"]
    said_before = bench.nodes[0].tell("nothing")
    said = bench.nodes[0].tell("burn 0.2")
    after = bench.rows()[0]["cpu_ns"]
    assert before <= said_before + 1_000_000
    # Its own clock, then a few µs to print the answer and wait.
    assert said <= after < said + 5_000_000
    assert after - before > 200_000_000


@pytest.mark.parametrize("threads", [0, 3])
def test_two_that_want_one_core_wait_for_it(bench, threads):
    """Of two that compute for 0.3 s on one core, one waits while the other does."""
    core = min(os.sched_getaffinity(0))
    for child in bench.nodes[:2]:
        child.tell(f"threads {threads}")
        os.sched_setaffinity(child.pid, {core})
    before = bench.rows()
    for child in bench.nodes[:2]:
        child.order("spin 0.3")
    for child in bench.nodes[:2]:
        child.answers.readline()
    after = bench.rows()
    waited = [after[node]["run_delay_ns"] - before[node]["run_delay_ns"] for node in range(3)]
    assert waited[0] + waited[1] > 250_000_000
    pids = [child.pid for child in bench.nodes]
    least = [run_delay_ns(pid) for pid in pids]
    told = [row["run_delay_ns"] for row in bench.rows().values()]
    most = [run_delay_ns(pid) for pid in pids]
    assert all(low <= said <= high for low, said, high in zip(least, told, most, strict=True))


HELD = """
import sys, time
from harness.supervisor.sampler import Sampler
from harness.supervisor.seldom import Directory

def told():
    return sampler.host().to_pylist()[0]["cpu_throttled_us"]

print("ready", flush=True)
sys.stdin.readline()
sampler = Sampler([])
before, end = told(), time.monotonic() + 60
while told() - before < 100_000 and time.monotonic() < end:
    pass
print(told() - before)
"""


def test_a_quota_that_the_harness_has_used_up_is_told():
    """It computes without an end, and may do so for 5 ms of each 100."""
    group = cgroups.make(f"sample-{os.getpid()}", "one")
    try:
        group.set_quota(0.05)
        argv = [sys.executable, "-c", HELD]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            process.stdout.readline()
            group.add(process.pid)
            said, _ = process.communicate("go\n")
    finally:
        cgroups.remove_all(f"sample-{os.getpid()}")
    assert int(said) >= 100_000


def run_delay_ns(pid):
    """What the kernel says of all threads."""
    files = pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(file.read_text().split()[1]) for file in files)


def test_connections_and_traffic_as_the_node_sees_them(bench):
    a, b, _ = bench.nodes
    b.tell(f"listen {bench.wires[1].address}")
    assert bench.rows()[1]["connections"] == 0, "listening is no connection"
    for _ in range(7):
        a.tell(f"connect {bench.wires[1].address}")
        b.tell("accept")
    a.order("send 1000000")  # more than the buffers hold: it ends only as the other side reads
    b.tell("receive 1000000")
    a.answers.readline()
    rows = bench.rows()
    for index in range(3):
        established = in_namespace(
            bench.wires[index].namespace, "ss", "-Htn", "state", "established"
        ).splitlines()
        assert rows[index]["connections"] == len(established) == (0 if index == 2 else 7)
    assert rows[0]["bytes_out"] > 1_000_000 > rows[0]["bytes_in"] > 0
    assert rows[1]["bytes_in"] > 1_000_000 > rows[1]["bytes_out"] > 0
    assert rows[2]["bytes_in"] == rows[2]["packets_out"] == 0
    link = json.loads(
        in_namespace(bench.wires[1].namespace, "ip", "-j", "-s", "link", "show", "eth0")
    )[0]["stats64"]
    assert (rows[1]["bytes_in"], rows[1]["packets_in"]) == (
        link["rx"]["bytes"],
        link["rx"]["packets"],
    )


def test_a_dead_node_is_absent_and_a_stopped_one_is_not(bench):
    os.kill(bench.nodes[0].pid, signal.SIGSTOP)
    assert set(bench.rows()) == {0, 1, 2}
    os.kill(bench.nodes[0].pid, signal.SIGKILL)

    def zombie() -> bool:
        with open(f"/proc/{bench.nodes[0].pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] == "Z"

    eventually(zombie)
    assert set(bench.rows()) == {1, 2}, "ended, not yet waited for"
    bench.nodes[0].process.wait()
    assert set(bench.rows()) == {1, 2}, "gone"


def test_a_restarted_node_is_sampled_as_its_new_process(bench):
    old = bench.rows()[1]
    bench.nodes[1].tell("burn 0.1")
    new = Child(bench.wires[1].namespace)
    try:
        bench.sampler.track(1, new.pid)
        row = bench.rows()[1]
        assert row["cpu_ns"] < old["cpu_ns"] + 100_000_000
        with open(f"/proc/{new.pid}/stat") as file:
            assert row["threads"] == int(file.read().rpartition(")")[2].split()[17])
    finally:
        new.close()
    bench.sampler.track(1, new.pid)  # gone already: no error
    assert set(bench.rows()) == {0, 2}


def test_a_process_with_a_hostile_name_is_read_right(bench):
    name = ") Z 1 (("
    code = (
        f"import ctypes, time; ctypes.CDLL(None).prctl(15, {name.encode()!r}); "
        "print(flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            bench.sampler.track(0, process.pid)
            assert bench.rows()[0]["threads"] == 1
        finally:
            process.kill()


def test_traffic_that_nobody_counted_is_null(bench):
    """It is not 0: that would say that nothing moved."""
    batch = bench.sampler.take(
        {0: LinkCounters(rx_packets=1, tx_packets=2, rx_bytes=3, tx_bytes=4)}
    )
    assert batch.column("bytes_in").to_pylist() == [3, None, None]
    assert batch.column("packets_out").to_pylist() == [2, None, None]


def test_batches_stream_to_arrow_and_back(bench, tmp_path):
    with (
        pa.OSFile(str(tmp_path / "samples.arrow"), "wb") as sink,
        pa.ipc.new_stream(sink, SAMPLES) as stream,
    ):
        for _ in range(3):
            stream.write_batch(bench.sampler.take(bench.fabric.counters()))
    with pa.OSFile(str(tmp_path / "samples.arrow")) as source:
        table = pa.ipc.open_stream(source).read_all()
    assert table.num_rows == 9
    at_ns = table.column("at_ns").to_pylist()
    assert at_ns == sorted(at_ns)


def test_the_host_and_a_watched_process(bench):
    bench.sampler.watch("load-0", bench.nodes[0].pid)
    with open("/proc/stat") as file:
        fresh = [int(value) for value in file.readline().split()[1:9]]
    batch = bench.sampler.host()
    assert batch.schema == HOST
    first = batch.to_pylist()[0]
    tick_ns = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    busy_ns = (sum(fresh) - fresh[3] - fresh[4] - fresh[7]) * tick_ns
    assert busy_ns <= first["cpu_busy_ns"] < busy_ns + 2_000_000_000
    assert abs(first["at_ns"] - time.monotonic_ns()) < 1_000_000_000
    assert (
        0
        < first["memory_available_bytes"]
        < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    )
    bench.nodes[0].tell("burn 0.2")
    second = bench.sampler.host().to_pylist()[0]
    used_ns = dict(second["load_cpu_ns"])["load-0"] - dict(first["load_cpu_ns"])["load-0"]
    assert used_ns > 200_000_000
    # Ticks are 10 ms and are sampled.
    assert second["cpu_busy_ns"] - first["cpu_busy_ns"] > 100_000_000
    bench.nodes[0].close()
    assert bench.sampler.host().to_pylist()[0]["load_cpu_ns"] == []


def test_what_is_dear_is_looked_at_seldom(bench, tmp_path):
    """The first pass of a sampler with directories tells of disk and limit, the next does not."""
    for index in range(3):
        (tmp_path / f"{index}").mkdir()
        (tmp_path / f"{index}" / "log").write_bytes(bytes(1 << 20))
        (tmp_path / f"{index}" / "state").write_bytes(b"x" * (index + 1) * 65536)
    directories = [Directory(tmp_path / f"{n}", tmp_path / f"{n}" / "log") for n in range(3)]
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.prlimit(bench.nodes[1].pid, resource.RLIMIT_NOFILE, (777, 777))
    with contextlib.closing(
        Sampler([wire.namespace for wire in bench.wires], directories)
    ) as sampler:
        for index, child in enumerate(bench.nodes):
            sampler.track(index, child.pid)
        rows = sampler.take(bench.fabric.counters()).to_pylist()
        assert [row["pid"] for row in rows] == [child.pid for child in bench.nodes]
        assert [row["disk_bytes"] for row in rows] == [65536, 2 * 65536, 3 * 65536]
        assert [row["fds_limit"] for row in rows] == [limit, 777, limit]
        again = sampler.take(bench.fabric.counters()).to_pylist()
        assert [row["disk_bytes"] for row in again] == [None] * 3


def test_the_harness_own_processes(bench):
    """What a watched process has, against its own words and /proc; none that has ended."""
    child, helper = bench.nodes[:2]
    bench.sampler.watch("load", child.pid)
    bench.sampler.watch("delay engine", helper.pid, is_load=False)
    before = bench.sampler.host().to_pylist()[0]["own"][0]
    for order in ("files 5", "threads 2", f"memory {20 << 20}"):
        child.tell(order)
    row = bench.sampler.host().to_pylist()[0]
    assert [name for name, _ in row["load_cpu_ns"]] == ["load"]
    after, other = row["own"]
    assert (after["name"], after["pid"]) == ("load", child.pid)
    assert (other["name"], other["pid"]) == ("delay engine", helper.pid)
    assert after["fds"] - before["fds"] == 5
    assert after["threads"] - before["threads"] == 2
    assert after["rss_bytes"] - before["rss_bytes"] > 15 << 20
    assert after["memory_bytes"] - before["memory_bytes"] > 15 << 20
    assert before["sockets"] == 0
    assert after["sockets"] is None  # it is told seldom
    child.close()
    assert [one["name"] for one in bench.sampler.host().to_pylist()[0]["own"]] == ["delay engine"]


def test_what_nodes_and_watched_processes_write_is_told_and_so_is_what_disks_do(bench, tmp_path):
    """8 MiB each, written out: of the disks it is at least that, for others use them too."""
    if output("stat", "-f", "-c", "%T", str(tmp_path)).strip() == "tmpfs":
        pytest.skip("what is written here goes to memory")
    bench.sampler.watch("load-0", bench.nodes[1].pid)
    before, host_before = bench.rows(), bench.sampler.host().to_pylist()[0]
    for node in (0, 1):
        bench.nodes[node].tell(f"write {tmp_path / str(node)}")
    after, host_after = bench.rows(), bench.sampler.host().to_pylist()[0]
    wrote = [after[node]["io_bytes"] - before[node]["io_bytes"] for node in range(3)]
    # A page of a program may have to be read meanwhile.
    assert [round(each / (1 << 20), 1) for each in wrote] == [8.0, 8.0, 0.0]
    watched = host_after["load_io_bytes"] - host_before["load_io_bytes"]
    assert round(watched / (1 << 20), 1) == 8.0
    assert host_after["psi_io_some_us"] >= host_before["psi_io_some_us"]
    if not disks.names():
        pytest.skip("this machine has no disks of its own")
    assert host_after["disk_io_bytes"] - host_before["disk_io_bytes"] >= 16 << 20
    busy_ms, was_ms = (dict(one["disks_busy_ms"]) for one in (host_after, host_before))
    assert any(busy_ms[name] > was_ms[name] for name in busy_ms)


@pytest.mark.slow
def test_a_thousand_nodes_cost_a_small_part_of_a_core(tmp_path):
    """One idle child in every namespace; the pass is measured in CPU time of this thread, which
    noise does not stretch.
    """
    with no_descriptor_left(), contextlib.ExitStack() as stack:
        fabric = stack.enter_context(contextlib.closing(Fabric("test", BENCHMARK_BLOCK)))
        wires = fabric.wire([Node(name=f"node-{index}") for index in range(1000)])
        children = []
        stack.callback(lambda: [(child.kill(), child.wait()) for child in children])
        children += [spawn_in(wire.namespace, ["sleep", "600"], stdio=(0, 1, 2)) for wire in wires]
        directories = [tmp_path / f"{index}" for index in range(1000)]
        for directory in directories:
            directory.mkdir()
            for name in ("log", "key", "certificate", "configuration"):
                (directory / name).touch()
        sampler = stack.enter_context(
            contextlib.closing(
                Sampler(
                    [wire.namespace for wire in wires],
                    [Directory(directory, directory / "log") for directory in directories],
                )
            )
        )
        for index, child in enumerate(children):
            sampler.track(index, child.pid)
        took_ms, looked = [], 0
        for _ in range(12):
            start_s = time.thread_time()
            batch = sampler.take(fabric.counters())
            assert batch.num_rows == 1000
            took_ms.append((time.thread_time() - start_s) * 1000)
            looked += 1000 - batch.column("disk_bytes").null_count
        print(
            f"a pass over 1000 nodes: {sorted(took_ms)[6]:.1f} ms of CPU, "
            f"{looked} looks at disks in 12 passes"
        )
        assert looked >= 12
        assert min(took_ms) < 100, "27 ms on the machine it was written on"
