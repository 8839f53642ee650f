"""A value stored in the DHT under a key of its own."""

from __future__ import annotations

from harness.operations.operation import MESSAGE, Address, OperationMetric, OperationSpec, Taken

SPEC = OperationSpec(
    number=3,
    word="dht_put",
    sentence="Values stored in the DHT by random nodes.",
    to=Address.NEW_KEY,
    rate_per_s=10,
    payload=MESSAGE,
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the value was stored elsewhere",
        ),
        OperationMetric(
            suffix="stored",
            taken=Taken.SHARE,
            sentence="share of puts that another node acknowledged",
        ),
    ),
)
