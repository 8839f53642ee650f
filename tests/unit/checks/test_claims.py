"""What nodes tell of themselves against what was measured of them."""

from __future__ import annotations

import pytest
from kit.histories import SECOND, history, sample

from harness import checks
from harness.checks import claims
from harness.checks.verdict import Answer
from harness.history.gaps import Gap, Part

MB = 1_000_000
SEEN = {
    "rss_bytes": 20 * MB,
    "cpu_ns": 5 * SECOND,
    "fds": 60,
    "threads": 20,
    "connections": 4,
    "processes": 1,
    "pid": 7,
}


def told(seen=(), **numbers):
    """A run of one node that tells these numbers at the end of the phase "load", at 11 s."""
    samples = [sample(at, 0, **{**SEEN, **dict(seen)}) for at in (9, 10, 11, 12)]
    gauges = {("load", 0, name): value for name, value in numbers.items()}
    return history(samples=samples, nodes=1, gauges=gauges, ports=(7000,))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("rss_bytes", 1_000, "node-0 told 1,000 bytes of resident memory at the end of phase load"),
        ("process_resident_memory_bytes", 90 * MB, "and had 20,000,000"),
        ("process_cpu_seconds_total", 40, "told 40.0 s of CPU time at the end of phase load, and "),
        ("process_open_fds", 2, "told 2 descriptors at the end of phase load, and had 60"),
        ("process_threads", 100, "told 100 threads"),
        ("links", 99, "told 99 links at the end of phase load, and had 4 TCP connections"),
    ],
)
def test_a_number_that_is_not_so_is_a_failure(name, value, said):
    [found] = claims.check(told(**{name: value}))
    assert (found.name, found.answer, found.measured) == (claims.NAME, Answer.FAIL, "1 number")
    assert said in found.sentence


def test_what_is_so_or_is_not_measured_is_no_finding():
    honest = {"process_cpu_seconds_total": 4.8, "process_open_fds": 61, "process_threads": 20}
    assert claims.check(told(rss_bytes=22 * MB, links=4, routes=900, **honest)) == []
    assert claims.check(told(threads=3, fds=4)) == []  # of its own pool, and by its own counting
    assert claims.check(told(links=0)) == []


def test_too_little_of_a_node_with_several_processes_may_be_of_one():
    assert claims.check(told({"processes": 3}, rss_bytes=2 * MB)) == []
    assert claims.check(told({"processes": 3}, rss_bytes=90 * MB))
    assert claims.check(told({"processes": None}, rss_bytes=2 * MB)) == []


def test_cpu_time_of_children_that_ended_is_not_missed_in_a_node_s_own():
    assert claims.check(told(process_cpu_seconds_total=0.5)) == []


def test_links_of_a_system_that_has_none_over_tcp_are_not_counted():
    assert claims.check(history(samples=[], gauges={("load", 0, "links"): 99.0})) == []
    by_udp = told(links=99)
    assert claims.check(history(samples=[], nodes=1, gauges=by_udp.gauges)) == []


def test_a_node_that_started_anew_then_is_not_held_to_it():
    samples = [sample(at, 0, **{**SEEN, "pid": at}) for at in (10, 11, 12)]
    gauges = {("load", 0, "rss_bytes"): 1.0}
    assert claims.check(history(samples=samples, nodes=1, gauges=gauges)) == []


def test_a_gap_of_the_node_itself_leaves_nothing_to_say():
    """One of another node leaves what is known of this one: it was UNKNOWN."""
    for of, count in (((), 0), (("node-0",), 0), (("node-1",), 1)):
        lacking = Gap(what=frozenset({Part.SAMPLES}), of=of, why="it was not sampled")
        verdict = checks.judge(told(rss_bytes=1).with_gaps((lacking,)), [])
        found = [one.answer for one in verdict.findings if one.name == claims.NAME]
        assert found == [Answer.FAIL] * count, of
