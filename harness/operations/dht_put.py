"""A value stored in the DHT under a key of its own."""

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
    number=3,
    word="dht_put",
    sentence="Values stored in the DHT by random nodes.",
    to=Address.NEW_KEY,
    rate_per_s=10,
    payload=MESSAGE,
    ledger=Ledger(
        finding="DHT puts: stored at another node",
        witness=Witness.KEEPER,
        record=RecordKind.STORED,
        counted="by key, as stored in the journals of other nodes",
    ),
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the value was stored",
        ),
        OperationMetric(
            suffix="stored",
            taken=Taken.SHARE,
            sentence="share of puts that were acknowledged",
        ),
    ),
)
