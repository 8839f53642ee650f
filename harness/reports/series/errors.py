"""What went wrong, how often, when first and last, and at which nodes. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.history.events import Iperf3Failed, NodeEnded, RunEnded
from harness.history.history import History
from harness.operations import Outcome
from harness.reports.series import clock

NODES_NAMED = 3
UNTOLD = "no reason was told"


@dataclass(frozen=True, slots=True, kw_only=True)
class Error:
    """One kind of error. `operation` is a word, empty where it is of none. Seconds."""

    what: str
    operation: str
    count: int
    first_s: float
    last_s: float
    nodes: str


def errors(history: History) -> list[Error]:
    """Find all kinds of errors, the most frequent first."""
    found = [*_of_operations(history), *_of_nodes(history), *_of_run(history)]
    return sorted(found, key=lambda one: (-one.count, one.first_s, one.what))


def _of_operations(history: History) -> Iterator[Error]:
    """Group operations that did not come true by kind, outcome and what was said of them."""
    bad = np.flatnonzero(history.column("outcome") != Outcome.OK)
    if not len(bad):
        return
    said = history.operations.column("error").take(pa.array(bad)).cast(pa.string())
    texts = pc.dictionary_encode(said.combine_chunks(), null_encoding="encode")
    words = [word if word is not None else UNTOLD for word in texts.dictionary.to_pylist()]
    codes = texts.indices.to_numpy().astype(np.int64)
    kind, outcome, due, source, target = (
        history.column(name)[bad]
        for name in ("operation", "outcome", "intended_ns", "source", "target")
    )
    keys = np.stack([kind.astype(np.int64), outcome.astype(np.int64), codes])
    each, of = np.unique(keys, axis=1, return_inverse=True)
    of = of.ravel()
    for number in range(each.shape[1]):
        mine = of == number
        operation, ended, code = (int(value) for value in each[:, number])
        unknown = "outcome unknown: " if ended == Outcome.UNKNOWN else ""
        yield Error(
            what=f"{unknown}{words[code]}",
            operation=_word(history, operation),
            count=int(mine.sum()),
            first_s=clock.of_s(history, int(due[mine].min())),
            last_s=clock.of_s(history, int(due[mine].max())),
            nodes=_ends(history, source[mine], target[mine]),
        )


def _word(history: History, number: int) -> str:
    known = {int(one): one.word for one in history.kinds}
    return known.get(number, f"operation {number}")


def _ends(history: History, source: npt.NDArray[np.uint16], target: npt.NDArray[np.int32]) -> str:
    """Name the nodes that most of these were sent to, and from."""
    said = []
    for word, ends in (("to", target[target >= 0]), ("from", source)):
        nodes, counts = np.unique(ends, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        named = [f"{history.nodes[nodes[at]]} ({counts[at]:,})" for at in order[:NODES_NAMED]]
        more = f" and {len(nodes) - NODES_NAMED} more" if len(nodes) > NODES_NAMED else ""
        if named:
            said.append(f"{word} {', '.join(named)}{more}")
    return "; ".join(said)


def _of_nodes(history: History) -> Iterator[Error]:
    """Group the nodes that ended by themselves by how they ended."""
    together: dict[str, list[NodeEnded]] = {}
    for event in history.events:
        if isinstance(event, NodeEnded):
            how = f" with exit code {event.code}" if event.code is not None else ""
            how = f" by signal {event.signal}" if event.signal is not None else how
            together.setdefault(f"the node ended by itself{how}", []).append(event)
    for what, some in together.items():
        times = [clock.of_s(history, event.at_ns) for event in some]
        yield Error(
            what=what,
            operation="",
            count=len(some),
            first_s=min(times),
            last_s=max(times),
            nodes=_named(dict.fromkeys(event.node for event in some)),
        )


def _named(nodes: Iterable[str]) -> str:
    every = list(nodes)
    more = f" and {len(every) - NODES_NAMED} more" if len(every) > NODES_NAMED else ""
    return ", ".join(every[:NODES_NAMED]) + more


def _of_run(history: History) -> Iterator[Error]:
    """Tell what broke of the run itself."""
    for event in history.events:
        if isinstance(event, Iperf3Failed):
            said = [f"iperf3 failed: {event.error}"]
        else:
            said = list(event.failures) if isinstance(event, RunEnded) else []
        at_s = clock.of_s(history, event.at_ns) if event.at_ns else clock.end_s(history)
        for what in said:
            yield Error(
                what=what, operation="", count=1, first_s=at_s, last_s=at_s, nodes="the run"
            )
