"""Load and chaos harness for peer-to-peer systems.

A **scenario** puts a **topology** on a **runtime**, drives **load**, plays a timeline of
**faults**; the **history** is judged by **checks** against a budget into a verdict, and **reports**
show it.

    import harness
    harness.up(Path("topologies/cluster-10.toml"))
    judged = harness.run(Path("scenarios/first-budget.toml"))
    judged.verdict.answer

The names below are the public API; the command line is a thin client of them. They are loaded when
first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Client", "down", "judge", "replay", "run", "up"]

if TYPE_CHECKING:
    from harness.control.client import Client
    from harness.experiments.cluster import down, up
    from harness.experiments.folders import judge
    from harness.experiments.replay import replay
    from harness.experiments.suite import run

_HOMES = {
    "Client": "control.client",
    "down": "experiments.cluster",
    "judge": "experiments.folders",
    "replay": "experiments.replay",
    "run": "experiments.suite",
    "up": "experiments.cluster",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"harness.{_HOMES[name]}"), name)
