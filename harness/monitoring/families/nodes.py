"""The cluster and its nodes. Six series a node, and no more: there may be a thousand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from prometheus_client.core import Metric

from harness.faults.fault import Condition
from harness.monitoring.families.family import counter, gauge, states, value
from harness.monitoring.seen import Seen

STAGES = ("starting", "up", "going down")
CONDITIONS = [str(one) for one in Condition if one is not Condition.RESTARTED]
INFO = ("cluster", "topology", "system", "runtime")


def make(seen: Seen) -> Iterator[Metric]:
    """The families of the cluster and its nodes."""
    yield value("harness_up", "Whether the cluster's supervisor answers.", float(seen.is_up))
    told = seen.cluster
    if not told:
        return
    yield gauge(
        "harness_cluster_info",
        "What the cluster is.",
        INFO,
        [([str(told[name]) for name in INFO], 1.0)],
    )
    yield gauge(
        "harness_cluster_stage",
        "The stage of the cluster: 1 for the one that it is in.",
        ("stage",),
        states(told["stage"], STAGES),
    )
    since = told["up_since"]
    yield value(
        "harness_cluster_start_time_seconds",
        "When the cluster was up, as Unix time.",
        None if since is None else datetime.fromisoformat(since).timestamp(),
    )
    counts = Counter(condition for _, condition in told["nodes"])
    yield gauge(
        "harness_nodes",
        "Nodes by condition.",
        ("condition",),
        [((each,), float(counts[each])) for each in dict.fromkeys([*CONDITIONS, *sorted(counts)])],
    )
    yield value(
        "harness_nodes_ended",
        "Nodes whose process ended by itself, and that were not started since.",
        float(len(told["ended"])),
    )
    yield from _each(told)


def _each(told: Mapping[str, Any]) -> Iterator[Metric]:
    """The families that have a series a node; one that has no process uses nothing, not 0."""
    yield gauge(
        "harness_node_running",
        "Whether the node runs.",
        ("node",),
        [((name,), float(condition == Condition.RUNNING)) for name, condition in told["nodes"]],
    )
    rows = [(told["nodes"][row[0]][0], *row[1:]) for row in told["used"].get("nodes", ())]
    yield gauge(
        "harness_node_resident_memory_bytes",
        "Resident memory of the node's processes.",
        ("node",),
        [((row[0],), row[1]) for row in rows],
    )
    yield counter(
        "harness_node_cpu_seconds",
        "CPU time of the node's processes since its first one started.",
        ("node",),
        [((row[0],), row[2] / 1e9) for row in rows],
    )
    yield gauge(
        "harness_node_open_fds",
        "Open file descriptors of the node's processes.",
        ("node",),
        [((row[0],), row[3]) for row in rows],
    )
    for at, name, way in ((4, "receive", "received by"), (5, "transmit", "sent by")):
        yield counter(
            f"harness_node_network_{name}_bytes",
            f"Bytes {way} the node on the data plane.",
            ("node",),
            [((row[0],), row[at]) for row in rows],
        )
