"""An iterative lookup of another node's id."""

from __future__ import annotations

from harness.operations.operation import Address, OperationMetric, OperationSpec, Taken

SPEC = OperationSpec(
    number=5,
    word="dht_lookup",
    sentence="Lookups of other nodes' ids.",
    to=Address.NODE,
    rate_per_s=10,
    is_given_up=True,
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the iterative lookup ended",
        ),
        OperationMetric(
            suffix="completed", taken=Taken.SHARE, sentence="share of lookups that came to an end"
        ),
        OperationMetric(
            suffix="hops", taken=Taken.HOPS, sentence="referrals that led to the closest node"
        ),
    ),
)
