"""Builders of literal runs whose load is a schedule, as workers would have recorded it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from harness.history.history import History, PhaseWindow
from harness.history.plan import Plan, read
from harness.operations import Operation
from harness.scenario import identifiers
from harness.scenario.schedule import Share, salt, whole
from harness.scenario.stream import Stream
from kit.histories import MS, SECOND, history, operation

SEED = 7


def facts(
    *streams: Stream,
    workers: int = 1,
    seconds: float | None = 10,
    phase: str = "load",
    id_key: bytes = b"",
) -> dict[str, Any]:
    """What metadata.json says of a run of one phase from 1 s on."""
    return {
        "t0_ns": SECOND,
        "seed": SEED,
        "id_key": id_key.hex(),
        "plan": [{"name": phase, "begin_s": 0.0, "end_s": seconds}],
        "load": {
            "shares": workers,
            "streams": [stream.as_json(phase, seconds or 1.0) for stream in streams],
        },
    }


def sequence(
    stream: Stream,
    number: int,
    nodes: tuple[str, ...],
    share: Share,
    t0_ns: int,
    begin_ns: int,
    end_ns: int,
    id_key: bytes = b"",
) -> Iterator[tuple[bytes, int, int, int]]:
    """A worker's share of a run's stream `number`: ids, due times, sources and targets."""
    begin = identifiers.prefix(salt(t0_ns, share.seed), share.worker, number)
    due = whole(stream, nodes, share, begin_ns, end_ns)
    columns = (column.tolist() for column in (due.intended_ns, due.source, due.target))
    ids = identifiers.ids(id_key, begin, np.arange(len(due.number)))
    yield from zip(ids, *columns, strict=True)


def recorded(
    *streams: Stream,
    workers: int = 1,
    seconds: float = 10,
    nodes: int = 3,
    id_key: bytes = b"",
) -> list[dict[str, Any]]:
    """The operations of a whole run, each sent 0.1 ms after it was due and done after 2 ms."""
    names = tuple(f"node-{index}" for index in range(nodes))
    found = []
    for number, stream in enumerate(streams):
        for worker in range(workers):
            share = Share(seed=SEED, phase=0, stream=number, worker=worker, workers=workers)
            end_ns = SECOND + int(seconds * SECOND)
            found += [
                operation(
                    0,
                    stream.operation,
                    id=id_,
                    source=source,
                    target=target,
                    intended_ns=due_ns,
                    sent_ns=due_ns + MS // 10,
                    done_ns=due_ns + 2 * MS,
                )
                for id_, due_ns, source, target in sequence(
                    stream, number, names, share, SECOND, SECOND, end_ns, id_key
                )
            ]
    return found


def run(
    operations: list[dict[str, Any]],
    *streams: Stream,
    workers: int = 1,
    seconds: float | None = 10,
    ended_s: float | None = None,
    id_key: bytes = b"",
    **changes: Any,
) -> History:
    """A run of these streams in which these operations were recorded; `ended_s`: how long its phase
    lasted, if not as long as planned.
    """
    lasted_s = ended_s if ended_s is not None else seconds or 10
    plan = read(facts(*streams, workers=workers, seconds=seconds, id_key=id_key), {})
    assert isinstance(plan, Plan)
    planned: dict[tuple[str, int], float] = {}
    for stream in streams:
        key = ("load", int(stream.operation))
        planned[key] = planned.get(key, 0.0) + stream.planned_per_s(seconds or 1.0)
    window = PhaseWindow(name="load", begin_ns=SECOND, end_ns=SECOND + round(lasted_s * SECOND))
    values: dict[str, Any] = {"plan": plan, "planned_per_s": planned, "phases": (window,)}
    return history(operations, **{**values, **changes})


def messages(rate_per_s: float, **changes: Any) -> Stream:
    """A stream of private messages."""
    return Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=rate_per_s, **changes)
