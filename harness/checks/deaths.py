"""How long a node that died was surely dead. Pure."""

from __future__ import annotations

from harness.checks import reach
from harness.checks.silences import FOR_EVER_NS
from harness.history.events import NodeStarted
from harness.history.history import History


def until_ns(history: History, node: int, begin_ns: int) -> int:
    """Return when somebody began to start a node that died then, or began to take the fault back
    that it died of; FOR_EVER_NS where nobody did.
    """
    name = history.nodes[node]
    edges = [
        event.since_ns or event.journals_ns
        for event in history.events
        if isinstance(event, NodeStarted) and event.node == name
    ]
    edges += [one.end_ns for one in reach.stands(history) if name in one.change.nodes]
    return min((at_ns for at_ns in edges if at_ns > begin_ns), default=FOR_EVER_NS)
