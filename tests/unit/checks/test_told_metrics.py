"""What a system tells itself is judged by its own names, and not believed where it cannot be."""

from __future__ import annotations

import math

import pytest
from kit.histories import SECOND, sample
from kit.told import judged, telling

from harness.checks import rows
from harness.checks.verdict import Answer, Cause
from harness.errors import BadFileError
from harness.history import metrics
from harness.history.events import NodeChanged, NodeEnded, NodeStarted, RunEnded
from harness.history.gaps import END_NS, Gap, Life, Part
from harness.scenario.budget import Conditions, Row

TEN = [3.0] * 10
LINKS, SENT = ("links", "gauge"), ("sent_total", "counter")
GROWING = [float(10 * at) for at in range(10)]


def stopped(node: int = 0, at_s: float = 5.5, back_s: float = 5.9):
    """A node that the harness stopped, and started again."""
    name = f"node-{node}"
    down = NodeChanged(at_ns=int(at_s * SECOND), node=name, condition="stopped")
    up = NodeStarted(at_ns=int(back_s * SECOND), node=name, journals_ns=0)
    return {"events": (down, up, RunEnded())}


def test_a_gauge_is_judged_at_its_worst_node():
    run = telling({LINKS: TEN}, {LINKS: [*TEN[:-1], 9.0]})
    found = judged(run, "gauge.links", 5)
    assert (found.answer, found.measured) == (Answer.FAIL, "9 at node-1")
    assert judged(run, "gauge.links", 5, node="node-0").answer is Answer.PASS


def test_a_name_says_its_unit():
    run = telling({("lag_seconds", "gauge"): [0.25] * 10, ("heap_bytes", "gauge"): [2e6] * 10})
    assert judged(run, "gauge.lag_seconds", 300, unit="ms").measured == "250 ms at node-0"
    assert judged(run, "gauge.heap_bytes", 3, unit="MB").measured == "2 MB at node-0"
    with pytest.raises(BadFileError, match=r"gauge\.lag_seconds is a time, '1' measures a number"):
        judged(run, "gauge.lag_seconds", 300)


def test_a_rate_is_what_a_counter_gained():
    run = telling({SENT: GROWING, ("cpu_seconds_total", "counter"): [at / 4 for at in range(10)]})
    assert judged(run, "rate.sent_total", 11, unit="1/s").measured == "10 1/s at node-0"
    assert judged(run, "rate.cpu_seconds_total", 30, unit="%").measured == "25 % at node-0"


def test_a_counter_that_begins_anew_with_its_node_gains_what_it_counts_since():
    """And never last minus first. What it counted before its end and nobody saw may be more: that
    the rate is at least so much is known, that it is less is not.
    """
    anew = [0.0, 10, 20, 30, 40, 5, 15, 25, 35, 45]
    run = telling({SENT: anew}, **stopped())
    found = judged(run, "rate.sent_total", 100, unit="1/s")
    assert (found.answer, found.measured) == (Answer.UNKNOWN, "at least 9.44 1/s at node-0")
    assert "nobody saw what a node counted last before its end" in found.sentence
    assert judged(run, "rate.sent_total", 9, unit="1/s").answer is Answer.FAIL
    more = judged(run, "rate.sent_total", 9, unit="1/s", comparison=">", statistic="min")
    assert more.answer is Answer.PASS


def test_a_counter_that_falls_while_its_node_runs_is_not_believed():
    run = telling({SENT: [*GROWING[:5], 1.0, 2, 3, 4, 5]})
    for bound in (0.1, 1e9):
        found = judged(run, "rate.sent_total", bound, unit="1/s")
        assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_BELIEVED)
        assert "sent_total at node-0 fell from 40 to 1 5.2 s into the run" in found.sentence


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ([*GROWING[:5], math.nan, *GROWING[6:]], "was nan, which is no count"),
        ([*GROWING[:5], math.inf, *GROWING[6:]], "was inf, which is no count"),
        ([-1.0, *GROWING[1:]], "was -1, and a count is not below 0"),
        ([*GROWING[:5], None, *GROWING[6:]], "was told no more 5.2 s into the run"),
    ],
)
def test_what_is_no_count_is_not_believed(told, why):
    found = judged(telling({SENT: told}), "rate.sent_total", 100, unit="1/s")
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_BELIEVED)
    assert why in found.sentence


def test_a_gauge_that_is_no_number_is_not_believed():
    found = judged(telling({LINKS: [*TEN[:9], math.nan]}), "gauge.links", 5)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_BELIEVED)


def test_a_counter_that_comes_later_counts_from_zero():
    errors = ('errors_total{code="500"}', "counter")
    run = telling({errors: [None] * 5 + [3.0] * 5})
    found = judged(run, 'rate.errors_total{code="500"}', 0, unit="1/s", comparison="==")
    assert (found.answer, found.value) == (Answer.FAIL, pytest.approx(3 / 9))


def test_what_nobody_tells_is_unknown_with_what_is_told():
    run = telling({LINKS: TEN, ('x{a="1"}', ""): TEN, ('x{a="2"}', ""): TEN})
    for metric, why in (
        (
            "gauge.linkz",
            "this system does not tell linkz; did you mean 'links'?; told were links, x",
        ),
        ('gauge.x{a="3"}', 'no node told x{a="3"}; of that name were told: x{a="1"}; x{a="2"}'),
        ("gauge.x", 'node-0 tells 2 series of x: name one by its labels: x{a="1"}; x{a="2"}'),
    ):
        found = judged(run, metric, 5)
        assert (found.answer, found.sentence) == (Answer.UNKNOWN, why)
    assert judged(run, 'gauge.x{a="2"}', 5).answer is Answer.PASS
    some = judged(telling({LINKS: TEN}, {}), "gauge.links", 5)
    assert some.sentence == "1 of 2 nodes did not tell links in this phase, node-1 for one"


def test_a_word_is_not_about_the_other_sort():
    run = telling({LINKS: TEN, SENT: GROWING})
    assert "rate.sent_total is about it" in judged(run, "gauge.sent_total", 5).sentence
    rate = judged(run, "rate.links", 5, unit="1/s")
    assert "links is told as no counter (gauge): gauge.links is about it" in rate.sentence


def buckets(name: str, *counts: tuple[str, int], **more: float):
    """What a node tells whose histogram has counted this at the phase's end, and nothing before."""
    told = {(f'{name}_bucket{{le="{le}"}}', "histogram"): [0] * 9 + [n] for le, n in counts}
    return told | {(f"{name}_{part}", "histogram"): [0] * 9 + [n] for part, n in more.items()}


TOOK = buckets("took_seconds", ("0.1", 50), ("0.5", 99), ("+Inf", 100), count=100, sum=20.0)


def test_a_quantile_is_known_to_its_buckets_width():
    run = telling(TOOK)

    def p50(bound: float, **more: str):
        return judged(
            run, "histogram.took_seconds", bound, **{"statistic": "p90", "unit": "ms"} | more
        )

    inside = p50(200)
    assert (inside.answer, inside.measured) == (Answer.UNKNOWN, "100 ms to 500 ms at node-0")
    assert "the bound lies inside a bucket" in inside.sentence
    assert [p50(501).answer, p50(99).answer] == [Answer.PASS, Answer.FAIL]
    assert p50(99, comparison=">").answer is Answer.PASS
    assert p50(501, comparison=">").answer is Answer.FAIL
    assert p50(200, comparison="==").answer is Answer.UNKNOWN
    highest = p50(400, statistic="max")
    assert (highest.answer, highest.measured) == (Answer.FAIL, "at least 500 ms at node-0")
    assert p50(600, statistic="max").answer is Answer.UNKNOWN
    assert p50(201, statistic="mean").measured == "200 ms at node-0"
    assert p50(99, statistic="count", comparison=">", unit="1").answer is Answer.PASS
    assert p50(600, statistic="p99.9").cause is Cause.TOO_FEW


@pytest.mark.parametrize(
    "told",
    [
        buckets("took_seconds", ("0.1", 50), ("0.5", 40), ("+Inf", 100)),
        buckets("took_seconds", ("0.1", 50), ("0.5", 99)),
        buckets("took_seconds", ("0.1", 50), ("+Inf", 100), count=99),
        buckets("took_seconds", ("much", 50), ("+Inf", 100)),
    ],
)
def test_a_histogram_that_cannot_be_is_not_believed(told):
    found = judged(telling(told), "histogram.took_seconds", 9, unit="s", statistic="p50")
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_BELIEVED)


def test_a_node_that_measured_nothing_has_no_quantile_and_is_not_missed():
    quiet = buckets("took_seconds", ("0.1", 0), ("0.5", 0), ("+Inf", 0))
    found = judged(telling(TOOK, quiet), "histogram.took_seconds", 9, unit="s", statistic="p50")
    assert (found.answer, found.measured) == (Answer.PASS, "0 s to 0.1 s at node-0")
    count = {"statistic": "count", "comparison": ">"}
    assert judged(telling(TOOK), "histogram.took_seconds", 9, **count).answer is Answer.PASS
    fewest = judged(telling(TOOK, quiet), "histogram.took_seconds", 9, **count)
    assert (fewest.answer, fewest.measured) == (Answer.FAIL, "0 at node-1")
    none = judged(telling(quiet), "histogram.took_seconds", 9, unit="s", statistic="p50")
    assert (none.answer, none.sentence) == (
        Answer.UNKNOWN,
        "nothing of this was measured in the phase",
    )


def test_what_a_node_measured_before_its_end_is_not_known():
    found = judged(
        telling(TOOK, **stopped()), "histogram.took_seconds", 9, unit="s", statistic="p50"
    )
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.GAP)


def test_pages_that_did_not_come_are_a_gap():
    """So are those that were late. Of a node that did not run none is missed."""
    run = telling({LINKS: TEN}, lost=range(3, 8))
    always = {"node-0": [Life(from_ns=0, to_ns=END_NS)]}
    [gap] = metrics.gaps(run, always)
    assert gap.why == "node-0 had 5 pages of metrics in 10 s of phase load"
    assert metrics.gaps(run, {"node-0": [Life(from_ns=0, to_ns=4 * SECOND)]}) == []
    found = judged(run.with_gaps((gap,)), "gauge.links", 5)
    assert (found.answer, found.cause, found.sentence) == (Answer.UNKNOWN, Cause.GAP, gap.why)


def test_what_health_and_a_drivers_histograms_tell_is_judged_by_the_same_words():
    run = telling(
        {},
        {},
        gauges={("load", 0, "queue"): 4.0, ("load", 1, "queue"): 7.0},
        histograms={("load", 0, "took_seconds"): {100: 40}},
    )
    assert judged(run, "gauge.queue", 5).measured == "7 at node-1"
    took = judged(run, "histogram.took_seconds", 1, unit="us", statistic="p50")
    assert (took.answer, took.measured) == (Answer.PASS, "0.1 us at node-0")
    silent = Gap(what=frozenset({Part.GAUGES}), why="node-1 told nothing of itself")
    assert judged(run.with_gaps((silent,)), "gauge.queue", 9).cause is Cause.GAP


def test_a_system_that_does_not_tell_is_said_not_to():
    assert judged(telling({}), "node.links", 3).sentence == "this system does not tell links"
    some = telling({}, {}, gauges={("load", 0, "links"): 4.0})
    found = judged(some, "node.links", 9)
    assert found.sentence == "1 of 2 nodes did not tell links in this phase, node-1 for one"


@pytest.mark.parametrize(
    ("metric", "why"),
    [
        ("gauge.", "expected a name behind gauge."),
        ('gauge.x{a=~"1"}', 'expected label="value"'),
        ('gauge.x{a="1"', "expected a } at its end"),
        ('gauge.x{a="1" b="2"}', "expected a comma"),
        (
            "gauges.x",
            r"expected one of .* tells itself gauge\.NAME or rate\.NAME or histogram\.NAME",
        ),
    ],
)
def test_a_name_that_is_none_is_refused(metric, why):
    row = Row(
        name="r",
        metric=metric,
        statistic="max",
        unit="1",
        bound=1,
        conditions=Conditions(phase="load"),
    )
    with pytest.raises(BadFileError, match=why):
        rows.validate([row])


def test_a_node_that_ended_by_itself_has_counted_what_nobody_saw():
    ended = NodeEnded(at_ns=int(10.5 * SECOND), node="node-0", code=1, signal=None)
    run = telling({SENT: GROWING}, events=(ended, RunEnded()))
    assert judged(run, "rate.sent_total", 100, unit="1/s").answer is Answer.UNKNOWN


def test_a_row_about_a_node_is_not_doubted_for_what_another_tells():
    lies = [*GROWING[:5], 1.0, 2, 3, 4, 5]
    run = telling({SENT: GROWING, LINKS: TEN}, {SENT: lies, LINKS: [*TEN[:9], math.nan]})
    assert judged(run, "rate.sent_total", 11, unit="1/s", node="node-0").answer is Answer.PASS
    assert judged(run, "gauge.links", 5, node="node-0").answer is Answer.PASS
    for node in ("node-1", None):
        assert judged(run, "rate.sent_total", 11, unit="1/s", node=node).cause is Cause.NOT_BELIEVED
        assert judged(run, "gauge.links", 5, node=node).cause is Cause.NOT_BELIEVED


def test_a_gauge_that_comes_and_goes_is_not_known_meanwhile():
    run = telling({LINKS: [3.0] * 4 + [None] * 6})
    found = judged(run, "gauge.links", 5)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NOT_MEASURED)
    assert found.sentence == "node-0 told links on 4 of 10 pages of phase load"


def test_a_sum_that_falls_says_nothing_of_quantiles():
    """Values may be below 0: the buckets count on."""
    told = buckets("change", ("0", 50), ("5", 100), ("+Inf", 100)) | {
        ("change_sum", "histogram"): [-float(at) for at in range(10)]
    }
    run = telling(told)
    assert judged(run, "histogram.change", 6, statistic="p90").answer is Answer.PASS
    assert judged(run, "histogram.change", 0, statistic="p50").measured == "at most 0 at node-0"
    assert judged(run, "histogram.change", 6, statistic="mean").cause is Cause.NOT_MEASURED


def test_a_node_that_calls_a_counter_a_gauge_is_alone_with_it():
    run = telling({SENT: GROWING}, {("sent_total", "gauge"): GROWING})
    assert judged(run, "rate.sent_total", 11, unit="1/s", node="node-0").answer is Answer.PASS
    other = judged(run, "rate.sent_total", 11, unit="1/s", node="node-1")
    assert (other.answer, other.cause) == (Answer.UNKNOWN, Cause.CONDITIONS)
    assert judged(run, "rate.sent_total", 11, unit="1/s").answer is Answer.UNKNOWN


@pytest.mark.parametrize(
    ("metric", "type_", "told", "why"),
    [
        (
            "gauge.process_open_fds",
            "gauge",
            [2.0] * 10,
            "node-0 told 2 descriptors at the end of phase load, and had 60: fds is measured",
        ),
        (
            "rate.process_cpu_seconds_total",
            "counter",
            [100.0 * at for at in range(10)],
            "told 900.0 s of CPU time at the end of phase load, and had 5.0 s: cpu is measured",
        ),
        ("gauge.process_open_fds", "gauge", [61.0] * 10, ""),
        ("gauge.queue_depth", "gauge", [2.0] * 10, ""),
    ],
)
def test_what_is_measured_too_and_is_another_is_not_believed(metric, type_, told, why):
    """A program on netns may read it of another process; the row was judged by that."""
    series = (metric.partition(".")[2], type_)
    seen = {"fds": 60, "cpu_ns": 5 * SECOND, "processes": 1, "pid": 7}
    samples = [sample(at, 0, **seen) for at in range(1, 13)]
    words = {"gauge": {}, "counter": {"statistic": "mean", "unit": "%"}}[type_]
    finding = judged(telling({series: told}, samples=samples), metric, 1e9, **words)
    assert (finding.answer is Answer.UNKNOWN, why in finding.sentence) == (bool(why), True)
