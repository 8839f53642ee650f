"""A message to every node, done when its source has passed it on."""

from __future__ import annotations

from harness.operations.operation import MESSAGE, Address, Ledger, OperationSpec, Witness
from harness.operations.records import RecordKind

SPEC = OperationSpec(
    number=2,
    word="broadcast",
    sentence="Broadcasts by random nodes.",
    to=Address.NOBODY,
    rate_per_s=2,
    payload=MESSAGE,
    ledger=Ledger(
        finding="broadcasts: in the journals of all {others} other nodes",
        witness=Witness.EVERY_OTHER_NODE,
        record=RecordKind.RECEIVED,
        counted="as received in the journals of all other nodes that ran",
    ),
)
