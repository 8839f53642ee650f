"""Load and chaos harness for peer-to-peer systems.

A **scenario** puts a **topology** on a **runtime**, drives **load**, plays a timeline of
**faults**; the **history** is judged by **checks** against a budget into a verdict, and **reports**
show it.

    import harness
    with harness.up("cluster-10") as cluster:
        cluster.load("private_message", rate_per_s=200, seconds=10)
        assert cluster.verdict(budget="mine-budget.toml").passed

The names below are the public API (docs/python.md). They are loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Answer",
    "Client",
    "Fault",
    "HarnessError",
    "Judged",
    "Load",
    "NotReachedError",
    "Session",
    "Topology",
    "attach",
    "down",
    "judge",
    "replay",
    "run",
    "up",
    "up_async",
]

if TYPE_CHECKING:
    from harness.checks.verdict import Answer
    from harness.control.client import Client
    from harness.errors import HarnessError, NotReachedError
    from harness.experiments.cluster import down
    from harness.experiments.folders import judge
    from harness.experiments.judge import Judged
    from harness.experiments.replay import replay
    from harness.experiments.session.faults import Fault
    from harness.experiments.session.loads import Load
    from harness.experiments.session.session import Session
    from harness.experiments.session.up import attach, up, up_async
    from harness.experiments.suite import run
    from harness.topology.topology import Topology

_HOMES = {
    "Answer": "checks.verdict",
    "Client": "control.client",
    "Fault": "experiments.session.faults",
    "HarnessError": "errors",
    "Judged": "experiments.judge",
    "Load": "experiments.session.loads",
    "NotReachedError": "errors",
    "Session": "experiments.session.session",
    "Topology": "topology.topology",
    "attach": "experiments.session.up",
    "down": "experiments.cluster",
    "judge": "experiments.folders",
    "replay": "experiments.replay",
    "run": "experiments.suite",
    "up": "experiments.session.up",
    "up_async": "experiments.session.up",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'harness' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"harness.{_HOMES[name]}"), name)
