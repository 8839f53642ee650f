"""Rows about slopes, and the check of leaks, on literal histories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from kit.budget_rows import judged, row
from kit.histories import SECOND, gap, history

from harness.checks import leak_check, rows
from harness.checks.verdict import Answer, Cause
from harness.checks.watched import of_nodes, of_own, watched
from harness.errors import BadFileError
from harness.faults.fault import Condition
from harness.history import history as h
from harness.history.events import NodeChanged, RunEnded
from harness.history.gaps import Part

MINUTE = 60
PLAIN = {"metric": "fds", "statistic": "slope", "unit": "fds/h", "bound": 10.0}


def sampled(seconds: int, nodes: int = 3, **columns: dict[int, np.ndarray]) -> pa.Table:
    """Samples of nodes once a second, of 20 descriptors and nothing else; `columns`: what else, by
    node.
    """
    at = np.arange(seconds)
    made = {name: np.zeros(nodes * seconds, np.int64) for name in h.SAMPLES.names}
    made["at_ns"] = np.tile(SECOND + at * SECOND, nodes)
    made["node"] = np.repeat(np.arange(nodes), seconds)
    made["fds"] += 20
    made["pid"] += 100 + made["node"]
    made["fds_limit"] += 1000
    for name, by_node in columns.items():
        for node, values in by_node.items():
            made[name][node * seconds : (node + 1) * seconds] = values
    if "memory_bytes" not in columns:
        made["memory_bytes"] = pa.nulls(nodes * seconds, pa.int64())
    return pa.table({name: pa.array(made[name]) for name in h.SAMPLES.names}).cast(h.SAMPLES)


def own(seconds: int, **fds: np.ndarray) -> pa.Table:
    """Samples of the host with these processes of the harness."""
    listed = [
        {
            "at_ns": SECOND + at * SECOND,
            "cpu_busy_ns": 0,
            "cpu_steal_ns": 0,
            "memory_available_bytes": 10**9,
            "load_cpu_ns": [],
            "own": [
                {
                    "name": name.replace("_", " "),
                    "pid": 7,
                    "rss_bytes": 10**8,
                    "fds": int(values[at]),
                    "threads": 3,
                    "sockets": 4 if at % 30 == 0 else None,
                    "fds_limit": 5000 if at % 30 == 0 else None,
                }
                for name, values in fds.items()
            ],
        }
        for at in range(seconds)
    ]
    return pa.Table.from_pylist(listed, h.HOST)


def run(samples: pa.Table, **changes):
    return replace(history(**changes), samples=samples)


def leaking(seconds: int, per_h: float, **changes):
    """Three nodes of which node-1 leaks descriptors."""
    rises = 20 + np.floor(np.arange(seconds) * per_h / 3600)
    return run(samples=sampled(seconds, fds={1: rises}), seconds=seconds, **changes)


def test_a_slope_that_is_missed_and_one_that_is_kept():
    found = leaking(30 * MINUTE, 60)
    missed = judged(found, **PLAIN)
    assert (missed.answer, missed.statistic, missed.unit) == (Answer.FAIL, "slope", "fds/h")
    assert missed.value == pytest.approx(60, rel=0.02)
    assert missed.measured.startswith("60")
    assert missed.measured.endswith("at node-1")
    assert "missed: node-1: fds +1.0/min [" in missed.sentence
    assert "reaches its limit of 1,000 in 16 h" in missed.sentence
    kept = judged(found, **{**PLAIN, "bound": 100.0})
    assert (kept.answer, kept.sentence) == (Answer.PASS, "kept")
    assert judged(found, **PLAIN, node="node-0").answer is Answer.PASS


def test_a_bound_inside_of_the_interval_is_unknown():
    """Nothing grew, and in ten minutes one an hour would not have shown."""
    found = judged(leaking(10 * MINUTE, 0), **{**PLAIN, "bound": 1.0})
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.TOO_FEW)
    assert "too short to tell: node-" in found.sentence
    assert judged(leaking(10 * MINUTE, 0), **PLAIN).answer is Answer.PASS
    at_it = judged(leaking(30 * MINUTE, 60), **{**PLAIN, "bound": 60.0})
    assert at_it.answer is Answer.UNKNOWN


def test_a_phase_that_is_too_short_is_unknown():
    assert judged(leaking(90, 3600), **PLAIN).cause is Cause.TOO_FEW


def test_nothing_promised_is_measured():
    found = judged(leaking(30 * MINUTE, 60), **{**PLAIN, "bound": None})
    assert found.answer is Answer.MEASURED
    assert found.value == pytest.approx(60, rel=0.02)


def test_a_gap_is_unknown():
    found = leaking(30 * MINUTE, 60, gaps=(gap(Part.SAMPLES, of=("node-1",)),))
    assert judged(found, **PLAIN).cause is Cause.GAP
    assert judged(found, **PLAIN, node="node-0").answer is Answer.PASS


def test_a_node_that_was_not_sampled_is_unknown():
    found = leaking(30 * MINUTE, 0, nodes=4)
    assert judged(found, **PLAIN).cause is Cause.NOT_MEASURED
    assert "1 of 4 nodes were not sampled in this phase, node-3" in judged(found, **PLAIN).sentence


def test_what_an_older_folder_does_not_tell_is_unknown():
    samples = sampled(30 * MINUTE)
    for name in ("pid", "disk_bytes", "fds_limit"):
        at = samples.schema.get_field_index(name)
        nulls = pa.nulls(len(samples), samples.schema.field(name).type)
        samples = samples.set_column(at, samples.schema.field(name), nulls)
    found = run(samples=samples, seconds=30 * MINUTE)
    assert judged(found, **PLAIN).answer is Answer.PASS
    disk = judged(found, **{**PLAIN, "metric": "disk", "unit": "MB/h"})
    assert disk.cause is Cause.NOT_MEASURED
    most = judged(found, metric="disk", statistic="max", unit="MB", bound=1.0)
    assert most.cause is Cause.NOT_MEASURED
    process = judged(found, **PLAIN, process="supervisor")
    assert process.cause is Cause.NOT_MEASURED
    assert not of_own(found)


def test_memory_and_resident_memory_are_rows_of_their_own():
    """A row about `rss` is about that, whatever of it is of files."""
    seconds = 30 * MINUTE
    rises = 50e6 + np.arange(seconds) * 20e6 / 3600
    found = run(
        samples=sampled(seconds, rss_bytes={0: rises}, memory_bytes={0: np.full(seconds, 40e6)}),
        seconds=seconds,
    )
    of = {"statistic": "slope", "unit": "MB/h", "bound": 5.0}
    assert judged(found, metric="rss", **of).answer is Answer.FAIL
    assert judged(found, metric="memory", **of).answer is Answer.PASS
    assert "leaks: rss" not in {one.name for one in leak_check.check(found)}


def test_a_bound_that_an_uneven_series_keeps_is_kept_and_one_inside_is_unknown():
    """By the interval of a walk: it says something of what has none by order."""
    seconds = 60 * MINUTE
    turns = np.interp(np.arange(seconds), np.array([0.2, 0.5, 1]) * seconds, [182e6, 147e6, 150e6])
    found = run(samples=sampled(seconds, rss_bytes={0: turns}), seconds=seconds)
    of = {"metric": "rss", "statistic": "slope", "unit": "MB/h", "node": "node-0"}
    inside = judged(found, **of, bound=5.0)
    assert (inside.answer, inside.cause) == (Answer.UNKNOWN, Cause.TOO_FEW)
    assert "too uneven to tell: 180 MB, 147 MB after" in inside.sentence
    assert "too short" not in inside.sentence
    assert judged(found, **of, bound=5000.0).answer is Answer.PASS


def test_a_warm_up_that_goes_on_is_unknown():
    seconds = 30 * MINUTE
    fills = 50e6 + 20e6 * (1 - np.exp(-np.arange(seconds) / 500))
    found = run(samples=sampled(seconds, rss_bytes={0: fills}), seconds=seconds)
    finding = judged(found, metric="rss", statistic="slope", unit="MB/h", bound=1.0)
    assert finding.answer is Answer.UNKNOWN
    assert "ever more slowly" in finding.sentence


def test_the_harness_own_processes():
    seconds = 30 * MINUTE
    rises, flat = np.arange(seconds) // 30, np.full(seconds, 9)
    found = run(
        samples=sampled(seconds),
        host=own(seconds, supervisor=rises, load=flat, load_1=flat),
        seconds=seconds,
    )
    one = judged(found, **PLAIN, process="supervisor")
    assert one.answer is Answer.FAIL
    assert "supervisor: fds +2.0/min" in one.sentence
    assert "its limit of 5,000" in one.sentence
    assert judged(found, **PLAIN, process="load").answer is Answer.PASS
    assert judged(found, **PLAIN, process="harness").answer is Answer.FAIL
    assert judged(found, **PLAIN, process="gateway").cause is Cause.NOT_MEASURED
    assert judged(found, **PLAIN).answer is Answer.PASS  # nodes
    sockets = {"metric": "connections", "unit": "connections/h"}
    assert judged(found, **{**PLAIN, **sockets}, process="load").answer is Answer.PASS
    nobody_saw = replace(found, gaps=(gap(Part.HOST),))
    assert judged(nobody_saw, **PLAIN, process="load").cause is Cause.GAP


def test_lives_begin_anew_with_a_process():
    """By its pid, by an end that was told, or by CPU time that fell."""
    seconds = 10 * MINUTE
    halves = np.repeat([7, 8], seconds // 2)
    by_pid = run(samples=sampled(seconds, 1, pid={0: halves}), nodes=1)
    (one,) = (one for one in of_nodes(by_pid) if one.resource == "fds")
    assert [(life.process, len(life.at_s)) for life in one.lives] == [(7, 300), (8, 300)]
    stop = NodeChanged(at_ns=SECOND + 200 * SECOND, node="node-0", condition=Condition.STOPPED)
    told = run(samples=sampled(seconds, 1), nodes=1, events=(stop, RunEnded()))
    assert {len(one.lives) for one in of_nodes(told)} == {2}
    fell = np.concatenate([np.arange(400), np.arange(200)])
    by_cpu = run(samples=sampled(seconds, 1, cpu_ns={0: fell}), nodes=1)
    assert {len(one.lives) for one in of_nodes(by_cpu)} == {2}


def test_the_check_of_leaks():
    found = leaking(40 * MINUTE, 60, host=own(40 * MINUTE, supervisor=np.full(40 * MINUTE, 9)))
    findings = {one.name: one for one in leak_check.check(found)}
    assert list(findings) == [
        f"leaks: {x}" for x in ("rss", "fds", "threads", "connections", "disk")
    ]
    assert findings["leaks: fds"].answer is Answer.FAIL
    assert findings["leaks: fds"].measured == "2 of 5 grow"  # node-1, and with it the mean
    assert findings["leaks: threads"].answer is Answer.PASS
    assert "would have shown" in findings["leaks: threads"].sentence
    short = {one.name: one for one in leak_check.check(leaking(60, 0))}
    assert short["leaks: fds"].cause is Cause.TOO_FEW
    assert leak_check.check(history()) == []


def test_a_history_of_nothing_has_nothing_to_watch():
    assert watched(history()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"unit": "MB/h"}, "fds grows in fds an hour, 'MB/h' measures a growth in bytes"),
        ({"unit": "1"}, "fds grows in fds an hour"),
        ({"metric": "cpu", "unit": "%"}, "of a slope expected one of"),
        ({"comparison": ">"}, "of a slope expected < or <=, found '>'"),
        ({"under": "cut"}, "under: expected none of a slope"),
        ({"received_per_s": 5.0}, "received_per_s: expected none of a slope"),
        ({"process": "nobody"}, "process: expected one of"),
        ({"process": "load", "node": "node-0"}, "expected no node beside it"),
        ({"process": "load", "metric": "disk", "unit": "MB/h"}, "metric: of a process expected"),
        ({"statistic": "max"}, "'fds/h' is of statistic 'slope', found 'max'"),
        ({"statistic": "count"}, "'fds/h' is of statistic 'slope', found 'count'"),
        ({"statistic": "max", "unit": "1", "process": "load"}, "process: expected none but with"),
        ({"statistic": "slop"}, "slope"),
    ],
)
def test_nonsense_is_refused(changes, says):
    with pytest.raises(BadFileError, match="row r: ") as refused:
        rows.validate([row(**{**PLAIN, **changes})])
    assert says in str(refused.value)
