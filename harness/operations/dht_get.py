"""A value read from the DHT that another node stored."""

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
    number=4,
    word="dht_get",
    sentence="Values read from the DHT that another node stored.",
    to=Address.STORED_KEY,
    rate_per_s=10,
    ledger=Ledger(
        finding="DHT gets: answered by another node",
        witness=Witness.ANSWERER,
        record=RecordKind.ANSWERED,
        counted="as answered to the asker, while it waited, in the journals of the nodes named",
    ),
    is_given_up=True,
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the value had arrived",
        ),
        OperationMetric(
            suffix="found", taken=Taken.SHARE, sentence="share of gets whose value arrived"
        ),
        OperationMetric(
            suffix="hops", taken=Taken.HOPS, sentence="referrals that led to the value"
        ),
    ),
)
