"""A new authenticated connection to one node, closed again."""

from __future__ import annotations

from harness.operations.operation import Address, OperationMetric, OperationSpec, Taken

SPEC = OperationSpec(
    number=7,
    word="connect",
    sentence="Fresh authenticated connections between random pairs of nodes; none until "
    "--connect-rate asks for some.",
    to=Address.NODE,
    rate_per_s=0,
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until a new connection was authenticated",
        ),
        OperationMetric(
            suffix="established",
            taken=Taken.SHARE,
            sentence="share of new connections that were authenticated",
        ),
    ),
)
