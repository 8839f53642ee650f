"""Metrics of what is measured beside the nodes, by benches and by iperf3: their names in
measurements.json, with kind and sentence. Pure.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.checks import statistic
from harness.checks.metric import Measured, Metric, Samples
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow
from harness.scenario.budget import Row

SIZES = (1_024, 10_240, 102_400, 1_024_000)

# name in measurements.json → (kind of quantity, sentence)
MEASUREMENTS: dict[str, tuple[str, str]] = {
    "micro.ed25519_sign": ("time", "Ed25519 signature of 1 KB"),
    "micro.ed25519_verify": ("time", "Ed25519 verification of 1 KB"),
    "micro.x25519": ("time", "X25519 key agreement"),
    "micro.chacha20poly1305_1k": ("time", "ChaCha20-Poly1305 encryption of 1 KB"),
    "micro.blake3_1k": ("time", "BLAKE3 of 1 KB"),
    **{
        f"micro.encrypt_{size}": (
            "time",
            f"a whole private message of {size:,} bytes: encrypt, sign, serialize",
        )
        for size in SIZES
    },
    **{
        f"micro.encrypt_{size}_rate": (
            "byte rate",
            f"the same, bytes of {size:,}-byte messages a second",
        )
        for size in SIZES
    },
    "micro.serialize_1k": ("time", "protobuf BaseMessage of 1 KB to bytes"),
    "micro.deserialize_1k": ("time", "bytes to protobuf BaseMessage of 1 KB"),
    "micro.validate_1k": ("time", "the checks of a BaseMessage's fields"),
    "micro.routing_lookup": ("time", "the bare get on a routing table of 100,000 entries"),
    "micro.routing_find": ("time", "finding the next hop on that table as forwarding does"),
    "micro.routing_insert": ("time", "learning a route on that table"),
    "micro.routing_selection": ("time", "choosing a next hop among ten, of which the last is up"),
    "micro.variance": ("share", "standard deviation ÷ mean of the values of each micro benchmark"),
    "project.wheel": ("size", "the wheel of the harness"),
    "project.setup": ("time", "make setup in a fresh checkout"),
    "project.tests": ("time", "make test, all of it"),
    "iperf3.goodput": ("byte rate", "what iperf3 carried between the two nodes that a phase names"),
}
# those whose values are of one benchmark
BENCHMARKS = {name for name in MEASUREMENTS if name.startswith("micro.")} - {"micro.variance"}
SPREAD_MAX = 0.05  # standard deviation ÷ mean; from here on a micro benchmark is unstable


def _measured(name: str) -> Callable[[History, PhaseWindow], Samples]:
    def take(history: History, _: PhaseWindow) -> Samples:
        return Samples(values=history.measurements.get(name, np.empty(0)))

    return take


MEASURED_METRICS: dict[str, Metric] = {
    name: Metric(
        kind=kind,
        take=_measured(name),
        sentence=sentence,
        needs=frozenset({Part.MEASUREMENTS}),
        whatever_load=not name.startswith("iperf3."),
    )
    for name, (kind, sentence) in MEASUREMENTS.items()
}


def unsteady(row: Row, taken: Measured) -> str | None:
    """Say how much the values of one micro benchmark differ; None where that is little enough."""
    if row.metric not in BENCHMARKS or not isinstance(taken, Samples):
        return None
    spread = statistic.spread(taken.values)
    if spread < SPREAD_MAX:
        return None
    return f"its values differ by ± {spread:.0%}, {SPREAD_MAX:.0%} is the most that is judged"
