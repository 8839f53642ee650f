"""What a report shows, as numbers: no failure is drawn as quick, and no extreme is lost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import MS, SECOND, history, operation, record, sample
from kit.verdicts import finding, full

from harness.faults.fault import Fault
from harness.history.events import (
    FaultChanged,
    Iperf3Failed,
    NodeChanged,
    NodeEnded,
    NodeStarted,
    RunEnded,
)
from harness.history.gaps import Gap, Part
from harness.history.history import PhaseWindow
from harness.history.proof import Proof, ProofAnswer
from harness.operations import Operation, Outcome
from harness.reports.series import bands, chart, errors, graph, links, operations, resources
from harness.reports.series.chart import Chart, Line


def lost(number, **changes):
    """Sent, and never answered."""
    return operation(number, outcome=int(Outcome.UNKNOWN), done_ns=0, **changes)


def change(verb, at_s, does="delay 50 ms", fault="wan", **more):
    at_ns = round(at_s * SECOND)
    return FaultChanged(verb=verb, fault=fault, does=does, set_ns=at_ns, at_ns=at_ns, **more)


def values(of, name):
    return next(line.values for line in of.lines if line.name == name).tolist()


def test_each_second_has_what_ended_in_it_and_what_was_under_way_at_its_end():
    found = history(
        [
            operation(0),
            operation(1500, outcome=int(Outcome.FAILED), done_ns=SECOND + 2500 * MS),
            lost(2100),
        ],
        seconds=5,
    )
    [sent] = operations.sent(found)
    drawn = operations.outcomes(found, sent)
    assert values(drawn, "ok") == [1, 0, 0, 0, 0]
    assert values(drawn, "failed") == [0, 0, 1, 0, 0]
    assert values(drawn, "unknown") == [0, 0, 0, 0, 0]  # its ten seconds were not over
    assert values(drawn, "in flight") == [0, 1, 1, 1, 1]
    assert "2 of 3 did not come true" in drawn.note


def test_what_was_never_sent_was_never_in_flight():
    never = operation(500, outcome=int(Outcome.FAILED), sent_ns=0, done_ns=0)
    [sent] = operations.sent(history([never], seconds=2))
    drawn = operations.outcomes(history([never], seconds=2), sent)
    assert values(drawn, "failed") == [1, 0]
    assert values(drawn, "in flight") == [0, 0]


def test_seconds_with_failures_are_marked_and_never_drawn_as_quick():
    found = history([operation(0), lost(3100), lost(3200), operation(3300), operation(4100)])
    [sent] = operations.sent(found)
    drawn = operations.latency(found, sent)
    assert [(one.from_s, one.until_s, one.says) for one in drawn.marks] == [
        (3.0, 4.0, "2 of 3 did not come true")
    ]
    drawn_at = {at for at, value in enumerate(values(drawn, "p99")) if np.isfinite(value)}
    assert drawn_at == {0, 3, 4}
    assert drawn.note.endswith(
        "in the marked seconds. Of fewer than 100 in a second p99 is the slowest"
    )


def test_a_latency_ends_with_its_witness_as_the_verdict_has_it():
    found = history([operation(0)], [record(0, at_ns=SECOND + 7 * MS)])
    [sent] = operations.sent(found)
    assert values(operations.latency(found, sent), "p50")[0] == 7.0


def test_the_summary_counts_what_never_came_true_as_for_ever():
    ops = [operation(number) for number in range(99)] + [lost(100)]
    found = history(ops, planned_per_s={("load", int(Operation.PRIVATE_MESSAGE)): 10.0})
    [one] = operations.summaries(found, operations.sent(found))
    assert (one.due, one.failed, one.unknown, one.rate_per_s) == (100, 0, 1, 10.0)
    assert one.percentiles == (2.0, 2.0, 2.0, 2.0, None)  # p99.9 wants a thousand
    assert one.max_ms == 2.0
    worse = history([*ops[:-2], lost(99), lost(100)])
    assert operations.summaries(worse, operations.sent(worse))[0].percentiles[3] == float("inf")


def test_the_summary_has_a_row_for_each_phase_of_several():
    phases = (
        PhaseWindow(name="a", begin_ns=SECOND, end_ns=2 * SECOND),
        PhaseWindow(name="b", begin_ns=2 * SECOND, end_ns=4 * SECOND),
    )
    found = history(
        [operation(0), operation(1100), operation(1200)],
        phases=phases,
        planned_per_s={("b", int(Operation.PRIVATE_MESSAGE)): 1.0},
    )
    rows = operations.summaries(found, operations.sent(found))
    assert [(row.phase, row.due, row.rate_per_s, row.asked_per_s) for row in rows] == [
        ("", 3, 1.0, None),
        ("a", 1, 1.0, None),
        ("b", 2, 1.0, 1.0),
    ]


def test_errors_are_counted_by_what_was_said_with_their_times_and_nodes():
    bad = {"outcome": int(Outcome.FAILED), "error": "no route"}
    found = history(
        [
            operation(0),
            operation(1000, **bad),
            operation(3000, **bad, target=2),
            operation(5000, **bad),
            lost(2000),
        ],
        events=(
            NodeEnded(at_ns=4 * SECOND, node="node-2", signal=11),
            Iperf3Failed(at_ns=5 * SECOND, error="no port"),
            RunEnded(at_ns=11 * SECOND, failures=("disk",)),
        ),
    )
    rows = {row.what: row for row in errors.errors(found)}
    assert next(iter(rows)) == "no route"
    route = rows["no route"]
    assert (route.operation, route.count, route.first_s, route.last_s) == (
        "private_message",
        3,
        1.0,
        5.0,
    )
    assert route.nodes == "to node-0 (2), node-2 (1); from node-1 (3)"
    assert rows[f"outcome unknown: {errors.UNTOLD}"].count == 1
    assert rows["the node ended by itself by signal 11"].nodes == "node-2"
    assert {"iperf3 failed: no port", "disk"} <= rows.keys()


def test_a_fault_is_a_band_with_what_was_seen_of_it():
    proof = Proof(
        at_ns=3 * SECOND,
        fault="wan",
        what="delay",
        asked=50.0,
        achieved=51.0,
        backend="netem",
        answer=ProofAnswer.IN_FORCE,
    )
    found = history(
        [operation(0)],
        events=(change("set", 2), change("clear", 4), change("set", 5)),
        proofs=(proof,),
    )
    first, last = bands.bands(found)
    assert (first.from_s, first.until_s, last.until_s) == (1.0, 3.0, 10.0)
    assert first.shown == "delay: 51 ms (50 ms asked); 1 × in force"
    assert last.shown == "no look at it"


@pytest.mark.parametrize(
    ("does", "kind"),
    [
        ("cut", "cut"),
        ("delay 50 ms, loss 1 %", "loss"),
        ("delay 50 ms, up 5 Mbit/s", "rate"),
        ("toxic slicer", "stream"),
        ("half-open new", "cut"),
        ("stopped", "stopped"),
        ("duplicate 1 %", "mixed"),
    ],
)
def test_the_kind_of_a_fault_is_its_colour(does, kind):
    assert bands.kind_of(does) == kind


def test_nodes_that_changed_together_are_one_band_and_those_of_a_fault_are_the_faults():
    by_fault = NodeChanged(at_ns=2 * SECOND, node="node-0", condition="stopped")
    found = history(
        events=(
            change("set", 2, "stopped", "gone", nodes=("node-0",)),
            by_fault,
            NodeChanged(at_ns=4 * SECOND, node="node-1", condition="paused"),
            NodeChanged(at_ns=4 * SECOND + MS, node="node-2", condition="paused"),
            NodeChanged(at_ns=6 * SECOND, node="node-1", condition="running"),
            NodeChanged(at_ns=6 * SECOND, node="node-2", condition="running"),
            NodeEnded(at_ns=7 * SECOND, node="node-1"),
            NodeStarted(at_ns=8 * SECOND, node="node-1"),
        )
    )
    assert [(one.name, one.kind, one.from_s, one.until_s) for one in bands.bands(found)] == [
        ("gone", "stopped", 1.0, 10.0),
        ("2 nodes paused", "paused", 3.0, 5.0),
        ("node-1 ended by itself", "ended", 6.0, 7.0),
    ]


def test_a_gap_of_the_record_is_a_band():
    gap = Gap(what=frozenset({Part.SAMPLES}), from_ns=3 * SECOND, to_ns=5 * SECOND, why="torn")
    [band] = bands.bands(history(gaps=(gap, replace(gap, why="torn too"))))
    assert (band.name, band.from_s, band.until_s) == ("gap: samples", 2.0, 4.0)
    assert band.does == "torn (and 1 more)"
    assert band.is_drawn
    of_nothing_drawn = replace(gap, what=frozenset({Part.HISTOGRAMS}))
    assert not bands.bands(history(gaps=(of_nothing_drawn,)))[0].is_drawn


@given(st.lists(st.floats(0, 1e6) | st.just(float("nan")), min_size=1, max_size=400))
def test_a_smaller_chart_keeps_the_lowest_and_the_highest_value(numbers):
    drawn = np.array(numbers)
    lines = (Line(name="x", values=drawn), Line(name="band", values=drawn, upper=drawn + 1))
    whole = Chart(key="k", title="t", unit="", at_s=np.arange(len(drawn)) + 0.5, lines=lines)
    small = chart.thin(whole, 20)
    assert len(small.at_s) <= 20
    assert np.all(np.diff(small.at_s) > 0)
    if np.isfinite(drawn).any():
        line, band = small.lines
        assert np.nanmin(line.values) == np.nanmin(band.values) == np.nanmin(drawn)
        assert np.nanmax(line.values) == np.nanmax(drawn)
        assert np.nanmax(band.upper) == np.nanmax(drawn) + 1


def test_smaller_areas_still_add_up():
    parts = [np.arange(1000.0), np.ones(1000)]
    lines = tuple(Line(name=str(number), values=part) for number, part in enumerate(parts))
    whole = Chart(
        key="k", title="t", unit="", at_s=np.arange(1000) + 0.5, lines=lines, stacked=True
    )
    small = chart.thin(whole)
    assert small.seconds == 5
    assert np.allclose(small.lines[0].values, np.arange(2, 1000, 5))
    assert np.allclose(small.lines[1].values, 1)


def test_a_logarithmic_axis_is_taken_where_values_span_much():
    assert chart.wants_log((Line(name="x", values=np.array([1.0, np.nan, 100.0])),))
    assert not chart.wants_log((Line(name="x", values=np.array([1.0, 99.0])),))
    assert not chart.wants_log((Line(name="x", values=np.array([0.0, 99.0])),))


def node_series(of):
    return resources.of_nodes(of)[1]


def test_percentiles_of_the_nodes_are_by_nearest_rank_and_of_what_was_sampled():
    table = np.array([[1.0, np.nan], [3.0, np.nan], [2.0, np.nan], [np.nan, np.nan]])
    low, middle, most = resources.ranked(table, (10, 50, 100))
    assert (low[0], middle[0], most[0]) == (1, 2, 3)
    assert np.isnan([low[1], middle[1], most[1]]).all()


def test_worst_nodes_are_named_worst_first():
    by_title = {one.title: one for one in node_series(full())}
    assert by_title["Resident memory"].worst == (2, 1, 0)
    assert by_title["CPU of one core"].ranked[2] == pytest.approx(3.0)
    assert by_title["Not come true, sent by the node"].worst[0] == 1


def test_the_series_of_a_node_keep_its_extremes():
    samples = [
        sample(1.5 + at, 0, rss_bytes=10**6 * (99 if at == 333 else 10)) for at in range(600)
    ]
    found = history(samples=samples, seconds=600, nodes=1)
    one = next(each for each in node_series(found) if each.title == "Resident memory")
    assert one.seconds == 5
    assert one.low.shape == (1, 120)
    assert (np.nanmax(one.high), np.nanmin(one.low)) == (99, 10)


def test_a_counter_that_began_anew_is_no_gain():
    gained = [sample(1 + at, 0, bytes_in=value) for at, value in enumerate([0, 10**6, 0, 10**6])]
    network_in = next(one for one in resources.RESOURCES if one.column == "bytes_in")
    table = resources.matrix(history(samples=gained, seconds=4), network_in)
    assert np.array_equal(table[0], [np.nan, 1, np.nan, 1], equal_nan=True)


@pytest.mark.parametrize(
    ("metric", "name", "chart_key", "files"),
    [
        ("private_message.end_to_end", "x", "latency-private_message", ("journal/", "load/")),
        ("private_message.delivered", "x", "outcomes-private_message", ("load/",)),
        ("rss", "x", "resource-rss-bytes", ("samples.arrow",)),
        ("pacer.lag", "x", "lag", ("load/",)),
        ("node.verify", "x", "", ("histograms.jsonl",)),
        ("", "load: broadcast", "outcomes-broadcast", ("load/", "journal/")),
        ("", "private messages: acknowledged and delivered", "outcomes-private_message", None),
        ("", "operations that came true: dht_get", "outcomes-dht_get", None),
        ("", "faults: proven in force, and gone", "bands", ("proofs.jsonl", "events.jsonl")),
        ("", "converged", "phases", None),
        ("", "isolation: nothing crossed a cut while it held", "bands", None),
        ("", "non-vacuity: every fault met traffic", "bands", None),
        ("", "register: no value that nobody wrote", "outcomes-dht_get", ("load/",)),
        ("", "linearizability: each key of the DHT", "outcomes-dht_get", ("load/",)),
        ("", "coverage: each side, while the cuts stood", "outcomes-broadcast", None),
        ("", "coverage-by-side: something to check", "outcomes-broadcast", None),
        ("", "ordered: private messages of each pair", "outcomes-private_message", None),
        ("", "load generator: headroom", "lag", ("load/",)),
        ("private_message.return_to_baseline", "x", "latency-private_message", None),
        ("membership.failure_seen", "x", "bands", ("journal/",)),
        ("", "budget", "", ()),
    ],
)
def test_a_finding_leads_to_its_chart_and_its_files(metric, name, chart_key, files):
    one = finding(name, metric=metric)
    assert links.chart_of(one) == chart_key
    assert files is None or links.files_of(one) == files


def test_a_bound_is_a_line_in_the_unit_of_its_chart():
    row = finding(
        "memory", metric="rss", statistic="max", unit="MiB", bound=100.0, promised="< 100 MiB"
    )
    count = replace(row, statistic="count")
    both = replace(row, metric="network", unit="KB/s")  # in and out: of no one chart
    drawn = links.with_bounds(full(), resources.of_nodes(full())[0], [row, count, both])
    [bound] = [bound for one in drawn for bound in one.bounds]
    assert bound.value == pytest.approx(104.8576)
    assert (bound.from_s, bound.until_s) == (0.0, 10.0)
    assert bound.says == "memory: max < 100 MiB"


def test_a_cut_parts_the_picture_into_its_sides():
    found = history(
        links=frozenset({(0, 1), (1, 2)}),
        events=(change("set", 2, "cut", sides={"node-0": 0, "node-1": 0, "node-2": 1}),),
    )
    [picture] = graph.graphs(found, ["eu"] * 3)
    assert [group.name for group in picture.groups] == ["side A", "alone"]
    assert (picture.links, picture.cut) == (((0, 1),), ((1, 2),))
    assert "1 cross the cut" in picture.note


def test_a_link_to_who_is_on_no_side_of_a_cut_was_not_cut():
    sides = {"node-0": 0, "node-1": 1}
    found = history(
        links=frozenset({(0, 1), (0, 2), (1, 2)}), events=(change("set", 2, "cut", sides=sides),)
    )
    [picture] = graph.graphs(found, ["eu"] * 3)
    assert picture.cut == ((0, 1),)
    assert {group.name for group in picture.groups} == {"each alone", "not in the cut"}


def test_of_many_cuts_the_first_are_drawn_and_the_others_counted():
    sides = {"node-0": 0, "node-1": 1}
    cuts = [change("set", at, "cut", f"cut-{at}", sides=sides) for at in range(1, 7)]
    drawn = graph.graphs(history(events=cuts), ["eu"] * 3)
    assert [one.title for one in drawn] == ["Cut cut-1", "Cut cut-2", "Cut cut-3"]
    assert drawn[-1].note.endswith("3 more cuts are not drawn")


def test_without_a_cut_the_picture_has_the_regions():
    ended = NodeEnded(at_ns=2 * SECOND, node="node-2")
    found = history([lost(1)], links=frozenset({(0, 2)}), events=(ended,))
    [picture] = graph.graphs(found, ["eu", "eu", "us"])
    assert [group.name for group in picture.groups] == ["eu", "us"]
    assert picture.cut == ()
    assert [dot.kind for dot in picture.dots] == ["bad", "bad", "ended"]


def far(**of):
    return {node.replace("_", "-"): frozenset(nodes) for node, nodes in of.items()}


@pytest.mark.parametrize(
    ("of", "sides"),
    [
        (far(a="cd", b="cd", c="ab", d="ab"), {"a": 0, "b": 0, "c": 1, "d": 1}),
        (far(a="bc", b="ac", c="ab"), {"a": 0, "b": 1, "c": 2}),
        (far(a="b"), {}),  # one direction only
        (far(a="b", b="ac", c="b"), {"a": 0, "c": 0, "b": 1}),
        (far(a="b", b="c", c="a"), {}),
    ],
)
def test_only_a_cut_that_parts_the_nodes_has_sides(of, sides):
    assert Fault(name="x", far=of).sides == sides
