"""Faults in force, and how well each is proven. Only FAULTS_MOST of them have series of their own,
those that are worst proven first.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import Metric

from harness.history.proof import ProofAnswer
from harness.history.shown import Standing
from harness.monitoring.families.family import counter, gauge, states, value
from harness.monitoring.seen import Seen

FAULTS_MOST = 50
WORST = (Standing.CONTRADICTED, Standing.NOT_PROVEN, Standing.PROVEN)


def make(seen: Seen) -> Iterator[Metric]:
    """The families of faults."""
    if seen.run is not None and seen.looks:
        yield counter(
            "harness_fault_looks",
            "Looks at faults in this run, by what they showed.",
            ("answer",),
            [((each,), float(seen.looks.get(each, 0))) for each in map(str, ProofAnswer)],
        )
    if seen.cluster.get("stage") != "up":
        return
    by_standing = dict.fromkeys(WORST, 0)
    for fault in seen.faults:
        by_standing[fault.standing] += 1
    yield gauge(
        "harness_faults_in_force",
        "Faults in force, by how well they are proven now.",
        ("proof",),
        [((str(each),), float(count)) for each, count in by_standing.items()],
    )
    shown = sorted(seen.faults, key=lambda fault: (WORST.index(fault.standing), fault.name))
    shown, others = shown[:FAULTS_MOST], shown[FAULTS_MOST:]
    yield value(
        "harness_faults_without_series",
        f"Faults in force that have no series of their own: more than {FAULTS_MOST}.",
        float(len(others)),
    )
    yield gauge(
        "harness_fault_proof",
        "How well a fault in force is proven now: 1 for what is so.",
        ("fault", "proof"),
        [one for fault in shown for one in states(fault.standing, map(str, WORST), fault.name)],
    )
    yield gauge(
        "harness_fault_in_force_seconds",
        "How long a fault has been in force.",
        ("fault", "does"),
        [((fault.name, fault.does), fault.in_force_s) for fault in shown],
    )
