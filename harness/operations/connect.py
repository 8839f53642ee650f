"""A new authenticated connection to one node, closed again."""

from __future__ import annotations

from harness.operations.operation import (
    Address,
    Ledger,
    OperationMetric,
    OperationSpec,
    Taken,
    Witness,
)
from harness.operations.records import RecordKind

SPEC = OperationSpec(
    number=7,
    word="connect",
    sentence="Fresh authenticated connections between random pairs of nodes; none until "
    "--connect-rate asks for some.",
    to=Address.NODE,
    rate_per_s=0,
    ledger=Ledger(
        finding="connections: authenticated by the peer",
        witness=Witness.PEER,
        record=RecordKind.CONNECTED,
        counted="as authenticated, while the source dialled, in the targets' journals",
    ),
    is_given_up=True,
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
