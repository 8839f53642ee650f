"""What was not sampled or heard of a node is found, and touches what rests on it alone."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from kit.gaps import answers, facts, happened, lines, rewrite, unknown, write_lines
from kit.histories import MS, SECOND
from kit.run_folders import NODES, T0

from harness.checks.resource_metrics import cpu
from harness.checks.verdict import Answer
from harness.history import history as h
from harness.history import manifest, reader
from harness.history.events import NodeChanged, NodeEnded, NodeStarted


def without(begin_s: float, end_s: float):
    """A table without the samples of those seconds."""
    begin_ns, end_ns = T0 + int(begin_s * SECOND), T0 + int(end_s * SECOND)
    return lambda table: table.filter(
        pc.or_(pc.less(table["at_ns"], begin_ns), pc.greater_equal(table["at_ns"], end_ns))
    )


def test_a_stalled_supervisor(folder):
    """No samples for 9 of 12 s: what was the most memory then is not known."""
    rewrite(folder, "samples.arrow", h.SAMPLES, without(6, 15))
    assert unknown(folder) == {"memory", "memory of one", "network"}
    assert "had 3 samples in 12 s of phase load" in answers(folder)["memory"][1]


def test_samples_far_apart(folder):
    """Of a long phase nine tenths were sampled, yet nobody looked for five seconds."""
    events = lines(folder, "events.jsonl")
    for one in events:
        if one["at_ns"] >= T0 + 22 * SECOND:
            one["at_ns"] += 60 * SECOND
    write_lines(folder, "events.jsonl", events)
    plan = json.loads((folder / "metadata.json").read_text())["plan"]
    facts(folder, plan=[*plan[:2], {**plan[2], "end_s": 82.0}])
    seconds = [second for second in range(24, 83) if not 50 <= second < 55]
    rewrite(
        folder,
        "samples.arrow",
        h.SAMPLES,
        lambda table: pa.concat_tables([table, *(later(table, second) for second in seconds)]),
    )
    manifest.write(folder)
    found = reader.read(folder)
    assert [gap.why for gap in found.gaps if "samples" in gap.what] == [
        "each of 4 of 4 nodes, node-0 for one, was not sampled for 6 s in phase settle"
    ]


def later(table: pa.Table, second: int) -> pa.Table:
    """The last sample of each node, taken so many seconds after T0."""
    last = table.slice(table.num_rows - len(NODES))
    at = pa.array([T0 + second * SECOND + SECOND // 10] * len(NODES), pa.int64())
    return last.set_column(0, h.SAMPLES.field("at_ns"), at)


def test_a_node_that_ended_by_itself(folder):
    """It is judged by what it did not deliver; of its resources nothing is known from then on."""
    happened(folder, NodeEnded(at_ns=T0 + 10 * SECOND, node="node-3"))
    rewrite(
        folder,
        "samples.arrow",
        h.SAMPLES,
        lambda t: t.filter(
            pc.or_(pc.not_equal(t["node"], 3), pc.less(t["at_ns"], T0 + 10 * SECOND))
        ),
    )
    write_lines(
        folder,
        "histograms.jsonl",
        [
            one
            for one in lines(folder, "histograms.jsonl")
            if one["node"] != 3 or one["phase"] == "idle"
        ],
    )
    found = answers(folder)
    assert found["memory"][1] == "node-3 ended by itself 10.0 s into the run"
    of_resources = {name for name, (answer, _) in found.items() if answer is Answer.UNKNOWN}
    assert of_resources == {"memory", "network", "settled network", "verify", "routes"}
    failed = {name for name, (answer, _) in found.items() if answer is Answer.FAIL}
    assert failed == {"nodes: alive throughout"}


def test_a_node_that_the_harness_restarted(folder):
    """Its clock begins anew: what it used is the sum of its lives, and no sample is missing."""
    stop_ns, start_ns = T0 + 8 * SECOND, T0 + 9 * SECOND
    happened(
        folder,
        NodeChanged(at_ns=stop_ns, node="node-3", condition="stopped"),
        NodeStarted(at_ns=start_ns, node="node-3"),
    )

    def restarted(table):
        rows = table.to_pylist()
        for row in rows:
            if row["node"] == 3 and row["at_ns"] > start_ns:
                row["cpu_ns"] = 500_000_000 + (row["at_ns"] - start_ns) // 100
        kept = [r for r in rows if r["node"] != 3 or not stop_ns < r["at_ns"] < start_ns]
        return pa.Table.from_pylist(kept, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, restarted)
    assert unknown(folder) == {"verify"}
    history = reader.read(folder)
    share = cpu(history, history.phase("load")).series[3][0]
    # 4 to 8 s: 40 ms; from the start on: 0.5 s, and 1 % of the 6 s to the last sample.
    assert share == pytest.approx((0.03 + 0.5 + 0.061) / 11, rel=0.01)


def test_a_clock_that_fell_without_a_word(folder):
    def fallen(table):
        rows = table.to_pylist()
        for row in rows:
            row["cpu_ns"] -= 120_000_000 * (row["at_ns"] > T0 + 10 * SECOND)
        return pa.Table.from_pylist(rows, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, fallen)
    history = reader.read(folder)
    shares = cpu(history, history.phase("load")).series
    assert all(share[0] >= 0 for share in shares.values())


def test_nodes_that_told_nothing(folder):
    """verify of one node of four."""
    write_lines(
        folder,
        "histograms.jsonl",
        [
            one
            for one in lines(folder, "histograms.jsonl")
            if one["phase"] != "load" or one["node"] == 0
        ],
    )
    assert "3 of 4 nodes, node-1 for one," in answers(folder)["verify"][1]
    assert unknown(folder) == {"verify"}


def test_rows_with_values_that_cannot_be(folder):
    """A node that there is not, and a value that is none."""

    def foreign(table):
        rows = table.to_pylist()
        rows[50]["node"], rows[60]["node"] = 77, 5
        return pa.Table.from_pylist(rows, h.SAMPLES)

    rewrite(folder, "samples.arrow", h.SAMPLES, foreign)
    assert "2 rows of samples have values that cannot be" in answers(folder)["memory"][1]


def test_a_life_that_nobody_sampled_before_the_harness_ended_it(folder):
    """It ran for 0.9 s between two looks: whatever memory it took, the most was of the others."""
    edges = [T0 + round(at_s * SECOND) for at_s in (8.12, 8.15, 9.05, 9.08)]
    happened(
        folder,
        NodeChanged(at_ns=edges[0], node="node-3", condition="killed"),
        NodeStarted(at_ns=edges[1], node="node-3"),
        NodeChanged(at_ns=edges[2], node="node-3", condition="killed"),
        NodeStarted(at_ns=edges[3], node="node-3"),
    )
    at_ns = reader.read(folder).samples["at_ns"].to_pylist()
    assert not any(edges[1] <= at < edges[2] for at in at_ns)
    assert "memory" in unknown(folder)
    assert answers(folder)["memory"][1] == "node-3 ran for 0.9 s and was not sampled"
    assert answers(folder)["memory of one"][0] is Answer.PASS  # of another node
    rewrite(folder, "samples.arrow", h.SAMPLES, lambda table: taken(table, edges[2] - 1, 1))
    assert unknown(folder) == {"verify"}


def test_samples_before_ends_make_up_for_none_of_each_second(folder):
    """A node that was killed four times was sampled before each, and not for three seconds."""
    ends = [T0 + round(at_s * SECOND) for at_s in (12.3, 13.4, 14.6, 15.8)]
    events = [
        one
        for at in ends
        for one in (
            NodeChanged(at_ns=at, since_ns=at - SECOND // 50, node="node-3", condition="killed"),
            NodeStarted(at_ns=at + 1, node="node-3"),
        )
    ]
    happened(folder, *events)
    rewrite(folder, "samples.arrow", h.SAMPLES, without(5.5, 8.2))
    gone = unknown(folder)
    assert "memory" in gone
    for at in ends:
        rewrite(folder, "samples.arrow", h.SAMPLES, lambda table, at=at: taken(table, at - MS, 1))
    assert unknown(folder) == gone


def taken(table: pa.Table, at_ns: int, count: int) -> pa.Table:
    """The table, and as many more samples of node-3 taken then."""
    at = pa.array([at_ns] * count, pa.int64())
    last = table.filter(pc.equal(table["node"], 3)).slice(0, count)
    return pa.concat_tables([table, last.set_column(0, h.SAMPLES.field("at_ns"), at)])
