"""Cases to make smaller: small ones by hand, and one of twelve faults on twelve nodes."""

from __future__ import annotations

from typing import Any

from harness.experiments.case import Case, Documents


def case(
    phases: list[dict[str, Any]],
    nodes: int | dict[str, Any] = 12,
    rows: list[dict[str, Any]] | None = None,
    **topology: Any,
) -> Case:
    """A case of these phases, on nodes that are linked each with each; `nodes`: how many, or what
    `[nodes]` says.
    """
    group = {"count": nodes} if isinstance(nodes, int) else nodes
    return Documents(
        scenario={"name": "planted", "system": "meshnode", "seed": 1, "phase": phases},
        topology={"name": "t", "nodes": group, "shape": {"kind": "full-mesh"}} | topology,
        budget=None if rows is None else {"row": rows},
    ).case()


def row(phase: str, name: str = "fast") -> dict[str, Any]:
    """A row of a budget, about a phase."""
    return {
        "name": name,
        "metric": "private_message.end_to_end",
        "statistic": "p50",
        "unit": "ms",
        "bound": 100,
        "phase": phase,
    }


def fault(number: int, **words: Any) -> dict[str, Any]:
    """A delay on the paths between two nodes, for some of the phase."""
    a, b = number % 12, (number * 5 + 1) % 12
    where = f"node-{a} <-> node-{b if b != a else (b + 1) % 12}"
    said = {"name": f"chaos-{number}", "at_s": number % 4, "for_s": 6, "where": where}
    return said | {"delay": "80ms", "jitter": "10ms"} | words


def stream(operation: str = "private_message", rate_per_s: Any = 40) -> dict[str, Any]:
    """A stream of an operation."""
    return {"operation": operation, "rate_per_s": rate_per_s}


def twelve() -> Case:
    """Three phases, in the second of which there are twelve faults and two streams."""
    faults = [fault(number) for number in range(1, 13)]
    return case(
        [
            {"name": "warm-up", "duration_s": 5, "stream": [stream()]},
            {
                "name": "chaos",
                "duration_s": 20,
                "stream": [stream(), stream("broadcast", 2)],
                "fault": faults,
            },
            {"name": "healed", "duration_s": 10, "stream": [stream()]},
        ],
        rows=[row("chaos")],
    )
