"""The routed hub, seen by others: ping, iperf3, ip and ss inside the nodes' namespaces, entered by
nsenter.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
import time
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.leftovers import eventually, in_namespace, no_descriptor_left, output

from harness.errors import BadFileError, HarnessError, UsageError
from harness.kernel.namespaces import spawn_in
from harness.network.fabric import Fabric, plan_addresses
from harness.topology.topology import BENCHMARK_BLOCK, Node

pytestmark = pytest.mark.root

REPOSITORY = Path(__file__).parents[2]


def nodes(count: int, region: str = "default") -> list[Node]:
    return [Node(name=f"{region}-{index}", region=region) for index in range(count)]


@contextlib.contextmanager
def wired(count: int, **settings):
    with (
        no_descriptor_left(),
        contextlib.closing(Fabric("test", BENCHMARK_BLOCK, **settings)) as fabric,
    ):
        yield fabric, fabric.wire(nodes(count))


@contextlib.contextmanager
def iperf3_server(namespace: int, address: str):
    with open(os.devnull, "r+") as nothing:
        stdio = (nothing.fileno(),) * 3
        server = spawn_in(
            namespace, ["iperf3", "--server", "--one-off", "--bind", address], stdio=stdio
        )
    try:
        eventually(lambda: ":5201" in in_namespace(namespace, "ss", "-Htln"))
        yield
    finally:
        server.kill()
        server.wait()


def test_every_node_reaches_every_other_and_nobody_else():
    with wired(4) as (_, wires):
        for source in wires:
            for target in wires:
                assert " 0% packet loss" in in_namespace(
                    source.namespace, "ping", "-c1", "-W2", target.address
                )
        stray = subprocess.run(
            [
                "nsenter",
                f"--net=/proc/{os.getpid()}/fd/{wires[0].namespace}",
                "ping",
                "-c1",
                "-W1",
                "192.0.2.1",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert "100% packet loss" in stray.stdout
        assert "nreachable" not in stray.stdout + stray.stderr, "the hub must drop in silence"


def test_bulk_traffic_is_counted_as_the_node_counts_it():
    """Both ends of the traffic are counted."""
    with wired(2, congestion_control="reno") as (fabric, (a, b)):
        with iperf3_server(b.namespace, b.address):
            report = json.loads(
                in_namespace(a.namespace, "iperf3", "-J", "-c", b.address, "-n", "20M")
            )
        # Iperf3 ends its receiver a little early.
        assert report["end"]["sum_sent"]["bytes"] >= 20_000_000
        received = report["end"]["sum_received"]["bytes"]  # the rest died with the sender's socket
        assert received > 10_000_000
        assert report["end"]["sender_tcp_congestion"] == "reno"
        counted = None
        while (
            again := fabric.counters()
        ) != counted:  # the last acknowledgements may be on their way
            counted = again
            time.sleep(0.2)
        assert counted[0].tx_bytes > received
        assert 0 < counted[0].rx_bytes < 1_000_000
        assert counted[1].rx_bytes == counted[0].tx_bytes
        for index, wire in enumerate((a, b)):
            link = json.loads(
                in_namespace(wire.namespace, "ip", "-j", "-s", "link", "show", "eth0")
            )[0]["stats64"]
            seen = counted[index]
            assert (link["rx"]["bytes"], link["rx"]["packets"]) == (seen.rx_bytes, seen.rx_packets)
            assert (link["tx"]["bytes"], link["tx"]["packets"]) == (seen.tx_bytes, seen.tx_packets)


def test_what_a_node_finds_in_its_namespace():
    with wired(3, congestion_control="reno", gso_max_segs=1) as (fabric, wires):
        space = wires[2].namespace
        link = json.loads(in_namespace(space, "ip", "-d", "-j", "link", "show", "eth0"))[0]
        assert (link["linkinfo"]["info_kind"], link["operstate"], link["gso_max_segs"]) == (
            "veth",
            "UP",
            1,
        )
        addresses = json.loads(in_namespace(space, "ip", "-j", "address"))
        assert [a["local"] for x in addresses for a in x["addr_info"]] == [
            "127.0.0.1",
            "198.18.0.3",
        ]
        assert [n["state"] for n in json.loads(in_namespace(space, "ip", "-j", "neighbour"))] == [
            ["PERMANENT"]
        ]
        assert (
            in_namespace(space, "sysctl", "-n", "net.ipv4.tcp_congestion_control").strip() == "reno"
        )
        assert fabric.facts() == {
            "fabric": "routed hub",
            "tcp_congestion_control": "reno",
            "gso_max_segs": "1",
        }


def test_the_hub_routes_without_conntrack_or_arp():
    with wired(3) as (fabric, wires):
        in_namespace(wires[0].namespace, "ping", "-c2", "-i0.1", wires[1].address)
        assert (
            in_namespace(fabric.hub, "ip", "route", "show", "default").strip()
            == "blackhole default proto static"
        )
        assert {
            tuple(n["state"]) for n in json.loads(in_namespace(fabric.hub, "ip", "-j", "neighbour"))
        } == {("PERMANENT",)}
        for name in (
            "conf.all.rp_filter",
            "conf.default.rp_filter",
            "conf.all.send_redirects",
            "conf.n0.send_redirects",
        ):
            assert in_namespace(fabric.hub, "sysctl", "-n", f"net.ipv4.{name}").strip() == "0"
        tracked = subprocess.run(
            [
                "nsenter",
                f"--net=/proc/{os.getpid()}/fd/{fabric.hub}",
                "cat",
                "/proc/sys/net/netfilter/nf_conntrack_count",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert tracked.stdout.strip() in {"0", ""}  # empty: a kernel without conntrack


def test_nothing_has_a_name_on_the_host():
    names = set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
    with wired(2):
        assert not {"n0", "n1", "eth0@n0"} & {
            link["ifname"] for link in json.loads(output("ip", "-j", "link"))
        }
        assert (
            set(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else set()
        ) - names == set()


def test_closing_takes_the_links_down_though_a_node_lives_on():
    fabric = Fabric("test", BENCHMARK_BLOCK)
    with no_descriptor_left():
        wire, _ = fabric.wire(nodes(2))
        kept = os.dup(wire.namespace)
        try:
            assert "eth0" in in_namespace(kept, "ip", "-o", "link")
            fabric.close()
            fabric.close()
            eventually(lambda: "eth0" not in in_namespace(kept, "ip", "-o", "link"))
        finally:
            os.close(kept)
    with pytest.raises(HarnessError, match="not wired"):
        fabric.counters()


def test_a_failure_on_the_way_leaves_nothing_open():
    refused = pytest.raises(UsageError, match=r"'nosuch': expected one of .*reno")
    with no_descriptor_left(), refused, wired(2, congestion_control="nosuch"):
        pass


@pytest.mark.slow
def test_a_thousand_nodes_are_wired_and_progress_is_told():
    """Ten times the nodes cost about ten times the user CPU time; a look-up of names that lists
    every link for each node would cost eighty times.
    """
    with contextlib.closing(Fabric("test", BENCHMARK_BLOCK)) as fabric:
        before_s = os.times().user
        fabric.wire(nodes(100))
        hundred_s = os.times().user - before_s
    told: list[int] = []
    with no_descriptor_left(), contextlib.closing(Fabric("test", BENCHMARK_BLOCK)) as fabric:
        before_s = os.times().user
        wires = fabric.wire(nodes(1000), told.append)
        thousand_s = os.times().user - before_s
        print(f"user CPU: {hundred_s:.2f} s for 100 nodes, {thousand_s:.2f} s for 1000")
        assert thousand_s < 30 * max(hundred_s, 0.05)
        assert told[-1] == 1000
        assert told == sorted(told)
        assert len(fabric.counters()) == 1000
        for source, target in ((0, 999), (999, 0), (500, 501)):
            said = in_namespace(
                wires[source].namespace, "ping", "-c1", "-W2", wires[target].address
            )
            assert " 0% packet loss" in said


UNPRIVILEGED = """
import os
from harness.kernel.namespaces import enter_user_namespace, inside, spawn_in
from harness.kernel.trials import forward
assert os.geteuid() == 65534
enter_user_namespace()
from harness.network.fabric import Fabric
from harness.topology.topology import BENCHMARK_BLOCK, Node
fabric = Fabric("test", BENCHMARK_BLOCK, congestion_control="reno", gso_max_segs=1)
wires = fabric.wire([Node(name=f"node-{i}") for i in range(20)])
for i in range(20):
    forward(wires[i].namespace, wires[(i + 7) % 20].namespace, wires[(i + 7) % 20].address)
assert fabric.counters()[3].rx_packets == 1, fabric.counters()[3]
argv = ["ip", "-o", "-4", "address", "show", "eth0"]
code = spawn_in(wires[1].namespace, argv, stdio=(0, 1, 2)).wait()
fabric.close()
print(code, os.geteuid(), sorted(os.listdir("/proc/self/fd"))[3:])
"""


def as_nobody(code: str) -> subprocess.CompletedProcess[str]:
    """Run Python code as uid 65534, with the first interpreter that this user can read."""
    path = f"{sysconfig.get_paths()['purelib']}:{REPOSITORY}"
    said = ""
    for interpreter in (sys.executable, "/usr/bin/python3"):
        command = [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            interpreter,
            "-B",
            "-c",
        ]
        environment = {"PATH": os.environ["PATH"], "PYTHONPATH": path}
        tried = subprocess.run(
            [*command, "import pyroute2, harness"],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
            cwd="/",
        )
        if tried.returncode == 0:
            return subprocess.run(
                [*command, code],
                capture_output=True,
                text=True,
                check=False,
                env=environment,
                cwd="/",
                timeout=60,
            )
        said = tried.stderr.strip()[-200:]
    pytest.skip(f"no interpreter with the packages can be read by another user: {said}")


def test_without_root_in_a_user_namespace():
    done = as_nobody(UNPRIVILEGED)
    if "PermissionNeededError" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    address, last = done.stdout.splitlines()
    assert "198.18.0.2/32" in address
    assert last.startswith("0 0 ")


# ---- addresses: pure -----------------------------------------------------------------------------


def test_a_region_is_one_aligned_block_in_the_order_of_the_nodes():
    plan = plan_addresses(
        [*nodes(2, "eu"), *nodes(10, "us"), Node(name="late", region="eu")], BENCHMARK_BLOCK
    )
    assert plan.regions == {"eu": IPv4Network("198.18.0.0/29"), "us": IPv4Network("198.18.0.16/28")}
    assert [str(a) for a in plan.nodes[:3]] == ["198.18.0.1", "198.18.0.2", "198.18.0.17"]
    assert plan.nodes[-1] == IPv4Address("198.18.0.3")


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=8))
def test_regions_never_overlap_and_hold_their_nodes(sizes):
    everyone = [node for index, size in enumerate(sizes) for node in nodes(size, f"r{index}")]
    plan = plan_addresses(everyone, BENCHMARK_BLOCK)
    assert len(set(plan.nodes)) == len(everyone)
    for node, address in zip(everyone, plan.nodes, strict=True):
        home = plan.regions[node.region]
        assert home.network_address < address < home.broadcast_address
        assert [region for region, network in plan.regions.items() if address in network] == [
            node.region
        ]
    for index, size in enumerate(sizes):
        assert size + 2 <= plan.regions[f"r{index}"].num_addresses < 2 * (size + 2)


def test_a_block_that_is_too_small_says_which_is_not():
    wanted = [*nodes(100, "eu"), *nodes(3, "us")]
    with pytest.raises(
        BadFileError,
        match=r"expected a block of at least /24 for the regions eu \(100 nodes\), us \(3 "
        r"nodes\); found 10.0.0.0/25",
    ):
        plan_addresses(wanted, IPv4Network("10.0.0.0/25"))
    assert len(plan_addresses(wanted, IPv4Network("10.0.0.0/24")).nodes) == 103
