"""A file to one node, done when it has verified the whole."""

from __future__ import annotations

from harness.operations.operation import (
    Address,
    Ledger,
    OperationMetric,
    OperationSpec,
    Payload,
    Taken,
    Witness,
)
from harness.operations.records import RecordKind

FILE = Payload(
    option="file_bytes",
    sentence="size of files",
    default_bytes=10_000_000,
    most_bytes=(1 << 32) - 1,  # the column of sizes has 32 bits
    by_size=True,
)

SPEC = OperationSpec(
    number=6,
    word="file_transfer",
    sentence="Files between random pairs of nodes; none until --file-transfer-rate asks for some.",
    to=Address.NODE,
    rate_per_s=0,  # a file of 10 MB is no background load
    payload=FILE,
    ledger=Ledger(
        finding="files: delivered whole",
        witness=Witness.TARGET,
        record=RecordKind.FILE_DELIVERED,
        counted="as delivered in the targets' journals, with the size that was sent and the hash "
        "that the source's journal has",
        content=RecordKind.FILE_HASHED,
    ),
    is_given_up=True,
    metrics=(
        OperationMetric(
            suffix="response",
            taken=Taken.LATENCY,
            sentence="from the intended time until the receiver had verified the whole file",
        ),
        OperationMetric(
            suffix="delivered", taken=Taken.SHARE, sentence="share of files that arrived whole"
        ),
    ),
)
