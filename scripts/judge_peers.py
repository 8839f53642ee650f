"""The joins of the judge as polars and pandas do them: which of a run's operations are in whose
journal, and the values of the budget's rows in judge_folder.py.

Both are given what suits them: only the columns and the kinds of records that they need, and ids as
two columns of numbers. Neither replays the schedule, nor looks for gaps, late operations or
damage, as the judge does.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import judge_folder as folders
import numpy as np
import numpy.typing as npt
import pandas as pd
import polars as pl
import pyarrow as pa

from harness.history.journal import HEADER_BYTES, RECORD
from harness.operations import Operation, Outcome
from harness.operations.records import RecordKind
from harness.stats import rank_of

Columns = dict[str, npt.NDArray[Any]]
Values = dict[str, float]
ID = ["first", "last"]
OPERATIONS = ("operation", "source", "target", "intended_ns", "sent_ns", "done_ns", "outcome")
MESSAGE, BROADCAST = int(Operation.PRIVATE_MESSAGE), int(Operation.BROADCAST)
NODES = len(folders.NODES)


def operations(run: Path) -> Columns:
    """All operations; the id as the numbers `first` and `last`."""
    files = [pa.memory_map(str(file)) for file in sorted(run.glob("load/*.arrow"))]
    tables = [pa.ipc.open_stream(file).read_all() for file in files]
    table = pa.concat_tables(one.select(["id", *OPERATIONS]) for one in tables)
    ids = table.column("id").combine_chunks()
    halves = np.frombuffer(ids.buffers()[1], "<u8").reshape(-1, 2)
    found = {name: table.column(name).to_numpy() for name in OPERATIONS}
    return {**found, "first": halves[:, 0].copy(), "last": halves[:, 1].copy()}


def records(run: Path, *kinds: RecordKind) -> Columns:
    """The records of these kinds of all journals, likewise, with the node's number."""
    parts: list[npt.NDArray[Any]] = []
    nodes = []
    for index, name in enumerate(folders.NODES):
        journal = np.fromfile(run / "journal" / f"{name}.bin", RECORD, offset=HEADER_BYTES)
        parts.append(journal[np.isin(journal["kind"], kinds)])
        nodes.append(np.full(len(parts[-1]), index, np.int16))
    whole = np.concatenate(parts)
    del parts
    pairs = whole["id"].view([("first", "<u8"), ("last", "<u8")])
    found = {name: whole[name].copy() for name in ("kind", "at_ns", "size", "peer")}
    node = np.concatenate(nodes)
    return {**found, "node": node, **{name: pairs[name].copy() for name in ID}}


def read(run: Path, operation: Operation) -> tuple[Columns, Columns]:
    """What the joins of a folder need: its operations, and the records that tell of them."""
    if operation is Operation.PRIVATE_MESSAGE:
        kinds, unused = [RecordKind.DELIVERED], ("kind", "peer")
    else:
        kinds, unused = [RecordKind.RECEIVED, RecordKind.DUPLICATE], ("size",)
    told = records(run, *kinds)
    return operations(run), {name: told[name] for name in told if name not in unused}


def polars(sent: Columns, told: Columns, operation: Operation, seconds: float) -> Values:
    """The values, by polars."""
    frames = pl.DataFrame(sent), pl.DataFrame(told)
    if operation is Operation.PRIVATE_MESSAGE:
        return _messages_polars(*frames, seconds)
    return _broadcasts_polars(*frames)


def _messages_polars(sent: pl.DataFrame, told: pl.DataFrame, seconds: float) -> Values:
    begun = pl.min_horizontal("intended_ns", "sent_ns")
    joined = sent.join(told, on=ID, how="left").select(
        "first",
        "last",
        "source",
        "target",
        "sent_ns",
        "node",
        "at_ns",
        early=pl.min_horizontal("at_ns", "done_ns") < pl.col("sent_ns"),
        took=pl.max_horizontal("sent_ns", "done_ns", "at_ns") - begun,
        is_ok=pl.col("outcome") == int(Outcome.OK),
    )
    twice = len(joined) - len(sent)
    if twice:
        joined = joined.sort("at_ns").unique(ID, keep="first")
    at_target = joined.filter(pl.col("node") == pl.col("target"))
    took = joined.get_column("took")
    first = joined.group_by("source", "target").agg(pl.col("took").get(pl.col("sent_ns").arg_min()))
    end_ns = folders.T0 + seconds * 1e9
    received = at_target.filter(pl.col("at_ns") < end_ns).group_by("node").len().get_column("len")
    return {
        "delivered": 100 * _number(joined.get_column("is_ok").mean()),
        **{name: _rank(took, share) for name, share in _SHARES.items()},
        "new peers": _rank(first.get_column("took"), 0.5),
        "received": _number(received.min()) / seconds,
        "wrong": twice + len(sent) - len(at_target) + _number(joined.get_column("early").sum()),
    }


def _broadcasts_polars(sent: pl.DataFrame, told: pl.DataFrame) -> Values:
    sent = sent.with_row_index("row")
    begun = pl.min_horizontal("intended_ns", "sent_ns")
    columns = sent.select("row", *ID, "source", "sent_ns", begun=begun)
    joined = told.join(columns, on=ID).filter(pl.col("node") != pl.col("source"))
    names = pl.Series(folders.NAMES)
    forwarded = joined.filter(pl.col("peer") == names.gather(joined.get_column("source")))
    fanout = forwarded.select("row", "node").unique().height / len(sent)
    heard = joined.filter(pl.col("kind") == int(RecordKind.RECEIVED))
    took = pl.max_horizontal("at_ns", "sent_ns") - pl.col("begun")
    each = heard.group_by("row", "node").agg(took.min().alias("took"), pl.len().alias("times"))
    last = each.group_by("row").agg(pl.col("took").max(), pl.len().alias("nodes"))
    early = heard.filter(pl.col("at_ns") < pl.col("sent_ns")).height
    lost = (NODES - 1) * len(sent) - _number(last.get_column("nodes").sum())
    return {
        "coverage": 100 * _number(last.get_column("nodes").min()) / (NODES - 1),
        "p50 to the last": _rank(last.get_column("took"), 0.5),
        "p99 to the last": _rank(last.get_column("took"), 0.99),
        "p99 to each": _rank(each.get_column("took"), 0.99),
        "fanout": fanout,
        "wrong": lost + early + each.filter(pl.col("times") > 1).height,
    }


_SHARES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}


def _number(value: Any) -> float:
    return float(value or 0)


def _rank(took: pl.Series | pd.Series, share: float) -> float:
    """The nearest rank in ms, as the judge takes it."""
    at = rank_of(len(took), share) - 1
    return float(np.partition(took.to_numpy(), at)[at]) / 1e6


def pandas(sent: Columns, told: Columns, operation: Operation, seconds: float) -> Values:
    """The values, by pandas."""
    frames = pd.DataFrame(sent, copy=False), pd.DataFrame(told, copy=False)
    if operation is Operation.PRIVATE_MESSAGE:
        return _messages_pandas(*frames, seconds)
    return _broadcasts_pandas(*frames)


def _messages_pandas(sent: pd.DataFrame, told: pd.DataFrame, seconds: float) -> Values:
    joined = sent.merge(told, on=ID, how="left")
    twice = len(joined) - len(sent)
    if twice:
        joined = joined.sort_values("at_ns").drop_duplicates(ID)
    ends = joined[["sent_ns", "done_ns", "at_ns"]].max(axis=1)
    joined["took"] = ends - joined[["intended_ns", "sent_ns"]].min(axis=1)
    early = (joined[["at_ns", "done_ns"]].min(axis=1) < joined["sent_ns"]).sum()
    at_target = joined[joined["node"] == joined["target"]]
    first = joined.loc[joined.groupby(["source", "target"])["sent_ns"].idxmin(), "took"]
    in_time = at_target["at_ns"] < folders.T0 + seconds * 1e9
    received = at_target.loc[in_time, "node"].value_counts()
    return {
        "delivered": 100 * float((joined["outcome"] == int(Outcome.OK)).mean()),
        **{name: _rank(joined["took"], share) for name, share in _SHARES.items()},
        "new peers": _rank(first, 0.5),
        "received": received.min() / seconds,
        "wrong": float(twice + len(sent) - len(at_target) + early),
    }


def _broadcasts_pandas(sent: pd.DataFrame, told: pd.DataFrame) -> Values:
    sent["row"] = np.arange(len(sent))
    sent["begun"] = sent[["intended_ns", "sent_ns"]].min(axis=1)
    joined = told.merge(sent[["row", *ID, "source", "sent_ns", "begun"]], on=ID)
    joined = joined[joined["node"] != joined["source"]]
    forwarded = joined[joined["peer"] == folders.NAMES[joined["source"]]]
    fanout = len(forwarded[["row", "node"]].drop_duplicates()) / len(sent)
    heard = joined[joined["kind"] == int(RecordKind.RECEIVED)]
    took = heard[["at_ns", "sent_ns"]].max(axis=1) - heard["begun"]
    by_node = took.groupby([heard["row"], heard["node"]])
    each, times = by_node.min(), by_node.size()
    by_row = each.groupby(level="row")
    last, nodes = by_row.max(), by_row.size()
    early = (heard["at_ns"] < heard["sent_ns"]).sum()
    return {
        "coverage": 100 * float(nodes.min()) / (NODES - 1),
        "p50 to the last": _rank(last, 0.5),
        "p99 to the last": _rank(last, 0.99),
        "p99 to each": _rank(each, 0.99),
        "fanout": fanout,
        "wrong": float((NODES - 1) * len(sent) - nodes.sum() + early + (times > 1).sum()),
    }
