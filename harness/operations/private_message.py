"""A sealed message to one node, acknowledged by it."""

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
    number=1,
    word="private_message",
    sentence="Sealed messages between random pairs of nodes.",
    to=Address.NODE,
    rate_per_s=100,
    payload=MESSAGE,
    ledger=Ledger(
        finding="private messages: acknowledged and delivered",
        witness=Witness.TARGET,
        record=RecordKind.DELIVERED,
        counted="as delivered in the targets' journals",
    ),
    metrics=(
        OperationMetric(
            suffix="end_to_end",
            taken=Taken.LATENCY,
            sentence="from the intended time until the receiver had verified and decrypted it",
        ),
        OperationMetric(
            suffix="delivered",
            taken=Taken.SHARE,
            sentence="share of private messages acknowledged by the receiver",
        ),
        OperationMetric(
            suffix="hops", taken=Taken.HOPS, sentence="links that a private message passed"
        ),
    ),
)
