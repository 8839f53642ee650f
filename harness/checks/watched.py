"""What of a history may leak: each resource of each node and of each of the harness's own
processes, by lives. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.checks.kendall import Floats
from harness.checks.leaks import Watched
from harness.checks.resource_metrics import ends_of
from harness.checks.slope import Life
from harness.history.history import History, PhaseWindow

# Resource → its column of SAMPLES, and of OWN.
OF_NODES: Mapping[str, str] = {
    "memory": "memory_bytes",
    "rss": "rss_bytes",
    "fds": "fds",
    "threads": "threads",
    "connections": "connections",
    "disk": "disk_bytes",
}
OF_OWN: Mapping[str, str] = {
    "memory": "memory_bytes",
    "rss": "rss_bytes",
    "fds": "fds",
    "threads": "threads",
    "connections": "sockets",
}
HOST_GIVES = "the {} that the host can give it"


def watched(history: History, window: PhaseWindow | None = None) -> list[Watched]:
    """Return all that may leak, of the whole history or a window of it."""
    return [*of_nodes(history, window), *of_own(history, window)]


def of_nodes(history: History, window: PhaseWindow | None = None) -> list[Watched]:
    """Return what may leak of each node; what nobody told of is left out."""
    table = _inside(history.samples, window)
    nodes = table.column("node").to_numpy()
    order = np.lexsort((table.column("at_ns").to_numpy(), nodes))
    table, edges = table.take(order), np.searchsorted(nodes[order], range(len(history.nodes) + 1))
    left_bytes, found = _left_bytes(history), []
    for index, (begin, end) in enumerate(pairwise(edges.tolist())):
        rows, name = table.slice(begin, end - begin), history.nodes[index]
        lives = _lives(rows, ends_of(history).get(index, []))
        most = _newest(rows, "fds_limit")
        for resource, column in OF_NODES.items():
            made = tuple(_told(rows, column, lives))
            if not made:
                continue
            last = float(made[-1].values[-1])
            can_give = resource in ("rss", "memory") and left_bytes is not None
            found.append(
                Watched(
                    of=name,
                    resource=resource,
                    lives=made,
                    limit=last + (left_bytes or 0)
                    if can_give
                    else most
                    if resource == "fds"
                    else None,
                    limit_is=HOST_GIVES if can_give else "its limit of {}",
                )
            )
    return found


def of_own(history: History, window: PhaseWindow | None = None) -> list[Watched]:
    """Return what may leak of each of the harness's own processes; nothing of an older folder."""
    host = _inside(history.host, window)
    listed = host.column("own").combine_chunks()
    if isinstance(listed, pa.ChunkedArray):
        listed = pa.concat_arrays(listed.chunks) if listed.num_chunks else pa.array([], listed.type)
    table = pa.Table.from_struct_array(pc.list_flatten(listed))
    at = host.column("at_ns").to_numpy()[pc.list_parent_indices(listed).to_numpy()]
    table = table.append_column("at_ns", pa.array(at, pa.int64()))
    found = []
    for name in dict.fromkeys(table.column("name").to_pylist()):
        rows = table.filter(pc.equal(table.column("name"), name))
        lives, most = _lives(rows, []), _newest(rows, "fds_limit")
        for resource, column in OF_OWN.items():
            if made := tuple(_told(rows, column, lives)):
                limit = most if resource == "fds" else None
                found.append(
                    Watched(of=name, resource=resource, lives=made, limit=limit, is_node=False)
                )
    return found


def _inside(table: pa.Table, window: PhaseWindow | None) -> pa.Table:
    if window is None:
        return table
    return table.filter(pa.array(window.holds(table.column("at_ns").to_numpy())))


def _lives(rows: pa.Table, ends_ns: list[int]) -> npt.NDArray[np.int64]:
    """Tell in which life each row was taken: another one begins with another pid, behind an end
    that the run told of, and where what the process had computed is less than before.
    """
    at = rows.column("at_ns").to_numpy()
    found: npt.NDArray[np.int64] = np.searchsorted(np.array(sorted(ends_ns), np.int64), at).astype(
        np.int64
    )
    for column, has_changed in (("pid", np.not_equal), ("cpu_ns", np.less)):
        if column in rows.column_names and len(rows):
            values = _floats(rows, column)
            anew = has_changed(values[1:], values[:-1]) & ~np.isnan(values[1:] + values[:-1])
            found[1:] += np.cumsum(anew)
    return found


def _told(rows: pa.Table, column: str, lives: npt.NDArray[np.int64]) -> Iterator[Life]:
    """Return the lives of one column, of the rows in which it was told."""
    values, at = _floats(rows, column), rows.column("at_ns").to_numpy()
    pids = _floats(rows, "pid")
    is_told = ~np.isnan(values)
    for number in np.unique(lives[is_told]):
        mine = is_told & (lives == number)
        pid = pids[mine][-1]
        yield Life(
            at_s=at[mine] / 1e9,
            values=values[mine],
            process=None if np.isnan(pid) else int(pid),
        )


def _floats(rows: pa.Table, column: str) -> Floats:
    """Return a column as numbers, NaN where nothing was told."""
    found: npt.NDArray[Any] = rows.column(column).to_numpy()
    return found.astype(np.float64)


def _newest(rows: pa.Table, column: str) -> float | None:
    told = rows.column(column).drop_null()
    return float(told[-1].as_py()) if len(told) else None


def _left_bytes(history: History) -> float | None:
    """Return the memory that the host had left when it was last sampled."""
    left = history.host.column("memory_available_bytes")
    return float(left[-1].as_py()) if len(left) else None
