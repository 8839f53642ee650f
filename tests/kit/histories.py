"""Builders of literal histories for tests of checkers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from harness.history import history as h
from harness.history.events import FaultChanged, RunEnded
from harness.history.gaps import Gap, Part
from harness.history.history import History, PhaseWindow
from harness.history.journal import JOURNAL
from harness.history.proof import Proof, ProofAnswer
from harness.operations import Operation, Outcome
from harness.operations.operation import key_of
from harness.operations.records import RecordKind

SECOND = 1_000_000_000
MS = 1_000_000


def identifier(number: int) -> bytes:
    # A trailing zero byte on purpose: ids are bytes, not text.
    return number.to_bytes(15, "big") + b"\0"


def operation(
    number: int, kind: Operation = Operation.PRIVATE_MESSAGE, **changes: Any
) -> dict[str, Any]:
    """One operation, due `number` ms into the phase, done 2 ms later, from node 1 to node 0."""
    intended = SECOND + number * MS
    row = {
        "id": identifier(number),
        "operation": int(kind),
        "source": 1,
        "target": 0,
        "payload_bytes": 256,
        "intended_ns": intended,
        "sent_ns": intended + MS // 10,
        "done_ns": intended + 2 * MS,
        "outcome": int(Outcome.OK),
        "hops": 1,
        "answered_by": -1,
        "error": None,
    }
    return {**row, **changes}


def record(
    number: int,
    kind: int = RecordKind.DELIVERED,
    node: int = 0,
    at_ns: int | None = None,
    *,
    size: int = 256,
    peer: int = 0,
) -> tuple[Any, ...]:
    """One journal record of operation `number` at a node; of a value put by it, by its key."""
    by_key = kind in (RecordKind.STORED, RecordKind.ANSWERED)
    id_ = key_of(identifier(number))[:16] if by_key else identifier(number)
    return (
        kind,
        0,
        1,
        size,
        np.void(id_),
        SECOND + number * MS + 2 * MS if at_ns is None else at_ns,
        peer,
        node,
    )


def beginning(node: int) -> int:
    """How a record's `peer` names a node of `history`."""
    return int.from_bytes(bytes([node]) * 8, "little")


def sample(at_s: float, node: int, **values: int) -> dict[str, Any]:
    row = dict.fromkeys(h.SAMPLES.names, 0)
    untold = {"pid": None, "disk_bytes": None, "fds_limit": None, "memory_bytes": None}
    return {**row, **untold, "at_ns": int(at_s * SECOND), "node": node, **values}


def host(at_s: float, busy_s: float, own_s: float = 0.0) -> dict[str, Any]:
    """One second of the host: cumulative busy CPU, and that of the load generator."""
    return {
        "at_ns": int(at_s * SECOND),
        "cpu_busy_ns": int(busy_s * SECOND),
        "cpu_steal_ns": 0,
        "psi_cpu_some_us": None,
        "memory_available_bytes": 10**9,
        "load_cpu_ns": [("1", int(own_s * SECOND))],
    }


def history(
    operations: Sequence[dict[str, Any]] = (),
    journal: Sequence[tuple[Any, ...]] = (),
    samples: Sequence[dict[str, Any]] = (),
    nodes: int = 3,
    seconds: float = 10,
    **changes: Any,
) -> History:
    """A run of one phase "load" from 1 s on."""
    plain: dict[str, Any] = {
        "nodes": tuple(f"node-{index}" for index in range(nodes)),
        "wire_ids": tuple(bytes([index]) * 32 for index in range(nodes)),
        "phases": (
            PhaseWindow(name="load", begin_ns=SECOND, end_ns=SECOND + int(seconds * SECOND)),
        ),
        "operations": pa.Table.from_pylist(list(operations), h.OPERATIONS),
        "samples": pa.Table.from_pylist(list(samples), h.SAMPLES),
        "host": pa.Table.from_pylist([], h.HOST),
        "journal": np.array(list(journal), JOURNAL) if journal else np.empty(0, JOURNAL),
        "events": (RunEnded(),),
    }
    return History(**{**plain, **changes})


def fault(
    verb: str, at_s: float, name: str = "cut", *, does: str = "cut", **more: Any
) -> FaultChanged:
    """A fault that was set or cleared at once."""
    set_ns = int(at_s * SECOND)
    return FaultChanged(at_ns=set_ns, verb=verb, fault=name, does=does, set_ns=set_ns, **more)


def seen(name: str = "cut", what: str = "cut", at_s: float = 2.5, **more: Any) -> Proof:
    """A look that showed a fault in force."""
    plain = {"backend": "nftables", "answer": ProofAnswer.IN_FORCE, "path": ("node-0", "node-1")}
    return Proof(at_ns=int(at_s * SECOND), fault=name, what=what, **{**plain, **more})


def gap(what: Part, **changes: Any) -> Gap:
    """A part of the record that nobody saw."""
    return Gap(what=frozenset({what}), why="nobody saw it", **changes)


def stored(*rows: tuple[int, int, int | None]) -> pa.Table:
    """What was put and read under keys: (operation, key, the operation whose value was read)."""
    return pa.Table.from_pylist(
        [
            {
                "id": identifier(number),
                "key": key.to_bytes(16, "big"),
                "value": None if value is None else identifier(value),
            }
            for number, key, value in rows
        ],
        h.VALUES,
    )
