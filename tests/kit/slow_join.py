"""The join of ids as it was before: by sorting them as strings of 17 bytes. Slow, and the oracle of
the one that is used.
"""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

from harness.history.history import History
from harness.operations.operation import Witness, key_of

NEVER = -1


def identifiers(history: History, chosen):
    column = history.operations.column("id").combine_chunks()
    if not len(column):
        return np.empty(0, "V16")
    data = np.frombuffer(column.buffers()[1], "V16")[column.offset : column.offset + len(column)]
    return data[chosen]


def sortable(ids):
    raw = np.frombuffer(np.ascontiguousarray(ids).tobytes(), np.uint8).reshape(-1, 16)
    return (
        np.ascontiguousarray(np.concatenate([raw, np.ones((len(raw), 1), np.uint8)], axis=1))
        .view("S17")
        .ravel()
    )


def arrivals(history, kind):
    found = history.journal[history.journal["kind"] == kind]
    found = found[np.argsort(found["at_ns"], kind="stable")]
    found = found[np.argsort(sortable(found["id"]), kind="stable")]
    return sortable(found["id"]), found


def about(records, ids):
    if not len(ids) or not len(records):
        return np.empty(0, np.intp), records[:0]
    wanted, named = sortable(ids), sortable(records["id"])
    order = np.argsort(wanted, kind="stable")
    at = order[np.minimum(np.searchsorted(wanted, named, sorter=order), len(wanted) - 1)]
    mine = wanted[at] == named
    return at[mine], records[mine]


def of_kind(history, kind):
    return history.journal[history.journal["kind"] == kind]


def heard_ns(history, kind, chosen):
    ids = identifiers(history, chosen)
    rows, mine = about(of_kind(history, kind), ids)
    late_first = np.argsort(mine["at_ns"], kind="stable")[::-1]
    found = np.full((len(ids), len(history.nodes)), NEVER, np.int64)
    found[rows[late_first], mine["node"][late_first]] = mine["at_ns"][late_first]
    return found


def heard_again(history, kind, chosen):
    ids, nodes = identifiers(history, chosen), len(history.nodes)
    rows, mine = about(of_kind(history, kind), ids)
    count = np.bincount(rows * nodes + mine["node"], minlength=len(ids) * nodes)
    return count.reshape(len(ids), nodes) > 1


def arrived(history, kind, chosen):
    """How many records each operation has, and node and time of the first; −1 where none is."""
    wanted = sortable(identifiers(history, chosen))
    ids, found = arrivals(history, kind)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    firsts = [
        (int(found["node"][at]), int(found["at_ns"][at]), int(found["size"][at])) if to > at else -1
        for at, to in zip(begin, end, strict=True)
    ]
    return (end - begin).tolist(), firsts


def witnessed_ns(history, operation, chosen):
    ledger = operation.spec.ledger
    if ledger is None:
        return np.full(int(chosen.sum()), NEVER, np.int64)
    ids = identifiers(history, chosen)
    columns = {name: history.column(name)[chosen] for name in ("source", "target", "answered_by")}
    if ledger.witness is Witness.TARGET:
        return _first(history, ledger.record, ids, columns["target"], at=True)
    if ledger.witness is Witness.KEEPER:
        raw = b"".join(key_of(one.tobytes())[:16] for one in ids)
        named = np.frombuffer(raw, "V16")
        return _first(history, ledger.record, named, columns["source"], at=False)
    if ledger.witness is Witness.ANSWERER:
        return _meetings(history, ledger.record, chosen, columns["answered_by"])
    if ledger.witness is Witness.PEER:
        return _meetings(history, ledger.record, chosen, columns["target"])
    return np.full(int(chosen.sum()), NEVER, np.int64)


def _first(history, kind, named, nodes, *, at):
    ids, records = arrivals(history, kind)
    wanted = sortable(named)
    begin, end = np.searchsorted(ids, wanted, "left"), np.searchsorted(ids, wanted, "right")
    found = np.full(len(wanted), NEVER, np.int64)
    for index in range(len(wanted)):
        mine = records[begin[index] : end[index]]
        mine = mine[(mine["node"] == nodes[index]) == at]
        if len(mine):
            found[index] = mine["at_ns"][0]
    return found


def _meetings(history, kind, chosen, nodes):
    names = [int.from_bytes(one[:8], "little") for one in history.wire_ids]
    records = of_kind(history, kind)
    records = records[np.argsort(records["at_ns"], kind="stable")]
    left: dict[tuple[int, int], list[int]] = {}
    for one in records:
        left.setdefault((int(one["node"]), int(one["peer"])), []).append(int(one["at_ns"]))
    source, sent, done = (history.column(name)[chosen] for name in ("source", "sent_ns", "done_ns"))
    found = np.full(len(nodes), NEVER, np.int64)
    for index in np.argsort(done, kind="stable"):
        times = left.get((int(nodes[index]), names[source[index]]), [])
        at = bisect_left(times, sent[index])
        if at < len(times) and times[at] <= done[index]:
            found[index] = times.pop(at)
    return found


def received(history, operation, kind, begin_ns, end_ns):
    """How many operations each node received between these times."""
    sent = history.column("operation") == operation
    which, mine = about(of_kind(history, kind), identifiers(history, sent))
    inside = (mine["at_ns"] >= begin_ns) & (mine["at_ns"] < end_ns)
    inside &= mine["node"] == history.column("target")[sent][which]
    _, first = np.unique(which[inside], return_index=True)
    return np.bincount(mine["node"][inside][first], minlength=len(history.nodes)).tolist()


def first_forwards(history, kinds, chosen):
    ids, sources = identifiers(history, chosen), history.column("source")[chosen]
    rows, heard = about(history.journal[np.isin(history.journal["kind"], kinds)], ids)
    names = np.array([int.from_bytes(one[:8], "little") for one in history.wire_ids], np.uint64)
    mine = (heard["peer"] == names[sources[rows]]) & (heard["node"] != sources[rows])
    to_whom = np.unique(np.stack([rows[mine], heard["node"][mine]], axis=1), axis=0)
    return np.bincount(to_whom[:, 0], minlength=len(ids)).tolist()


def firsts_of_pairs(history, whole):
    """Which operations are the first of their source and target; the first due of those never
    sent.
    """
    intended, sent, source, target = (
        history.column(name)[whole] for name in ("intended_ns", "sent_ns", "source", "target")
    )
    order = np.lexsort((intended, sent, sent == 0))
    _, first = np.unique(np.stack([source, target])[:, order], axis=1, return_index=True)
    found = np.zeros(len(whole), np.bool_)
    found[np.flatnonzero(whole)[order[first]]] = True
    return found
