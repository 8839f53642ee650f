"""A value put where another node listens, and reported by that node."""

from __future__ import annotations

from harness.operations.operation import (
    MESSAGE,
    Address,
    Ledger,
    OperationMetric,
    OperationSpec,
    Taken,
    Witness,
)
from harness.operations.records import RecordKind

SPEC = OperationSpec(
    number=8,
    word="dht_listen",
    sentence="Values put where another node listens; of systems whose nodes can listen.",
    to=Address.NODE,
    rate_per_s=5,
    payload=MESSAGE,
    ledger=Ledger(
        finding="DHT listeners: told of the values put for them",
        witness=Witness.TARGET,
        record=RecordKind.NOTIFIED,
        counted="as reported to the listener in the listeners' journals",
    ),
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the listener reported the value",
        ),
        OperationMetric(
            suffix="notified",
            taken=Taken.SHARE,
            sentence="share of values that their listener reported",
        ),
    ),
)
