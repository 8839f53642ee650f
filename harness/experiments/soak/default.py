"""The soak of a topology: load, churn and faults whose rates fit its number of nodes. Pure."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from harness.operations import Operation
from harness.scenario import soak
from harness.scenario.writer import COMMENT
from harness.topology.topology import Topology

BUDGET = "soak"
# Operation → how many a second of one node, at least and at most of all together. A broadcast is
# received by every node: its rate falls with their number.
RATES: dict[Operation, tuple[float, float, float]] = {
    Operation.PRIVATE_MESSAGE: (0.5, 4.0, 50.0),
    Operation.DHT_PUT: (0.02, 2.0, 5.0),
    Operation.DHT_GET: (0.05, 1.0, 10.0),
}
BROADCASTS_RECEIVED_PER_S = 20.0
BROADCASTS_PER_S = (0.1, 2.0)
TIMEOUT_MS = 3000
KEYS = 2  # of a window, put before its warm-up is over; else nodes keep ever more values
OF_KEYS = (Operation.DHT_PUT, Operation.DHT_GET)
LEAVES_OF = 5  # one node of so many comes and goes; the others live as long as the soak
LEAVES_PER_S, DOWN_S = 1 / 60, 8.0
NODES_LEAST = 3  # for churn and cuts
CUT_S, SLOW_S = [8.0, 30.0], [10.0, 40.0]


def document(topology: Topology, file: str, operations: Collection[Operation]) -> dict[str, Any]:
    """Return the scenario of a soak of a topology, whose file is named so, for a system that has
    these operations.
    """
    count = len(topology.nodes)
    table: dict[str, Any] = {
        COMMENT: f"Made for {topology.name}: rates that fit its {count:,} nodes.",
        "window_s": soak.WINDOW_S,
        "stream": _streams(count, operations),
    }
    if count >= NODES_LEAST:
        table |= {"churn": [_churn(topology)], "fault": _faults(topology)}
    return {
        "name": f"soak-{topology.name}"[:32].rstrip("-"),
        "topology": file,
        "budget": BUDGET,
        "seed": 1,
        soak.KEY: table,
    }


def _streams(count: int, operations: Collection[Operation]) -> list[dict[str, Any]]:
    rates = {
        one: min(max(per_node * count, least), most)
        for one, (per_node, least, most) in RATES.items()
    }
    least, most = BROADCASTS_PER_S
    rates[Operation.BROADCAST] = min(max(BROADCASTS_RECEIVED_PER_S / count, least), most)
    return [
        {
            "operation": one.word,
            "rate_per_s": round(rate, 2),
            "timeout_ms": TIMEOUT_MS,
            "keys": KEYS if one in OF_KEYS else None,
        }
        for one, rate in sorted(rates.items())
        if one in operations
    ]


def _churn(topology: Topology) -> dict[str, Any]:
    names = [node.name for node in topology.nodes]
    whom = names[-max(1, len(names) // LEAVES_OF) :]
    return {
        "where": ", ".join(whom),
        "rate_per_s": round(min(LEAVES_PER_S, len(whom) / (3 * DOWN_S)), 4),
        "down_s": DOWN_S,
        "floor": len(whom) // 2,
    }


def _faults(topology: Topology) -> list[dict[str, Any]]:
    """Name what may go wrong with the paths: nodes that lose their links find each other again."""
    names = [node.name for node in topology.nodes]
    some = names[: max(1, len(names) - len(names) // LEAVES_OF)]
    found: list[dict[str, Any]] = [
        {"cut": "random-halves", "for_s": CUT_S, "weight": 2},
        {"cut": "minority", "for_s": CUT_S},
        {"where": [f"{one} <-> all" for one in some[:8]], "delay": "50ms", "for_s": SLOW_S},
    ]
    if len({node.region for node in topology.nodes}) > 1:
        found.append({"cut": "by-region", "for_s": CUT_S})
    return found
