"""What a profile that was taken during a run leaves open of its rows, and what it does not."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import row
from kit.histories import MS, SECOND, history, host, operation, sample

from harness import checks
from harness.checks import profiled
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import ProfileBegan, ProfileEnded, RunEnded
from harness.operations import Operation

SLOW_MS = 40  # the bound is 10 ms
HOST = [host(at, at * 0.1, at * 0.1) for at in range(14)]


def profile(from_s: float, until_s: float | None, who: str = "node-0", **changes):
    began = ProfileBegan(
        at_ns=int(from_s * SECOND), number=1, who=who, tool="py-spy", processes=1, why="by hand"
    )
    ended = ProfileEnded(
        at_ns=int((until_s or 0) * SECOND),
        number=1,
        who=who,
        tool="py-spy",
        file="profiles/1.folded",
        graph="profiles/1.svg",
        count=10,
        unit="samples",
        hottest={"hot (a.py)": 0.9},
        cpu_ns=SECOND // 5,
    )
    return [began] if until_s is None else [began, replace(ended, **changes)]


def run(*events, slow: range = range(0), **changes):
    """A run of 10 s from 1 s on, an operation each 10 ms; those whose number is in `slow` are."""
    operations = [
        operation(
            at, Operation.DHT_LOOKUP, done_ns=SECOND + at * MS + (SLOW_MS if at in slow else 2) * MS
        )
        for at in range(0, 10_000, 10)
    ]
    return history(
        operations,
        events=(*events, RunEnded()),
        host=pa.Table.from_pylist(HOST, h.HOST),
        **changes,
    )


def judged(found, **changes):
    (finding,) = profiled.rows(found, [row(**changes)])
    return finding


TIME = "dht_lookup.response"


def test_a_missed_time_that_is_kept_without_the_profile_is_unknown():
    found = judged(run(*profile(3, 5), slow=range(2_000, 4_000)), statistic="p99", metric=TIME)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.PROFILED)
    assert "node-0 (by py-spy) profiled meanwhile" in found.sentence


def test_a_time_that_is_missed_without_the_profile_too_is_fail_and_says_it():
    found = judged(run(*profile(3, 5), slow=range(10_000)), statistic="p99", metric=TIME)
    assert found.answer is Answer.FAIL
    assert "node-0 (by py-spy) profiled meanwhile" in found.sentence


def test_a_time_that_is_kept_is_pass_and_says_it():
    found = judged(run(*profile(3, 5)), statistic="p99", metric=TIME)
    assert found.answer is Answer.PASS
    assert "profiled meanwhile" in found.sentence


def test_a_profile_before_or_after_the_phase_touches_nothing():
    for events in (profile(-3, -0.5), profile(12, 13)):
        found = judged(run(*events, slow=range(10_000)), statistic="p99", metric=TIME)
        assert found.answer is Answer.FAIL
        assert "profiled" not in found.sentence


def test_one_that_never_ended_lasts_until_the_end():
    found = judged(run(*profile(3, None), slow=range(6_000, 10_000)), statistic="p99", metric=TIME)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.PROFILED)


def test_a_promise_that_something_is_slow_is_not_kept_by_a_profiler():
    slow = {"statistic": "p99", "metric": TIME, "comparison": ">"}
    kept = judged(run(*profile(3, 5), slow=range(2_000, 4_000)), **slow)
    assert (kept.answer, kept.cause) == (Answer.UNKNOWN, Cause.PROFILED)
    assert judged(run(*profile(3, 5), slow=range(10_000)), **slow).answer is Answer.PASS


def resource(*events, used, from_s=3):
    """What each node uses from a moment on; before it is little."""
    samples = [
        sample(at, node, rss_bytes=used[node] if at >= from_s else SMALL)
        for at in range(1, 11)
        for node in range(3)
    ]
    return history(
        samples=samples,
        events=(*events, RunEnded()),
        host=pa.Table.from_pylist(HOST, h.HOST),
    )


RSS = {"metric": "rss", "statistic": "max", "unit": "MB", "bound": 100.0}
SMALL, LARGE = 50_000_000, 200_000_000


@pytest.mark.parametrize(
    ("used", "node", "answer"),
    [
        ((LARGE, SMALL, SMALL), None, Answer.UNKNOWN),  # only the one that was profiled
        ((LARGE, LARGE, SMALL), None, Answer.FAIL),  # another one too
        ((SMALL, LARGE, SMALL), None, Answer.FAIL),
        ((LARGE, SMALL, SMALL), "node-0", Answer.UNKNOWN),
        ((SMALL, LARGE, SMALL), "node-1", Answer.FAIL),
        ((SMALL, SMALL, SMALL), None, Answer.PASS),
    ],
)
def test_of_what_nodes_use_only_the_profiled_node_is_in_doubt(used, node, answer):
    changes = RSS if node is None else {**RSS, "node": node}
    assert judged(resource(*profile(3, 5), used=used), **changes).answer is answer


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"statistic": "max"}, Answer.FAIL),
        ({"statistic": "mean"}, Answer.UNKNOWN),  # what came later may have made it so
        ({"statistic": "max", "node": "node-1"}, Answer.PASS),
    ],
)
def test_what_was_missed_before_the_profile_began_stays_so(changes, answer):
    """As where a scenario asks for a profile when a row fails."""
    found = resource(*profile(5, 7), used=(LARGE, SMALL, SMALL), from_s=4)
    assert judged(found, **{**RSS, **changes}).answer is answer


@pytest.mark.parametrize(("is_inside", "answer"), [(True, Answer.UNKNOWN), (False, Answer.FAIL)])
def test_what_works_inside_a_node_leaves_something_there_for_later_phases(is_inside, answer):
    """heaptrack stays loaded, and memory that was taken is not always given back."""
    began, ended = profile(-3, -1)
    events = (replace(began, is_inside=is_inside), ended)
    found = judged(resource(*events, used=(LARGE, SMALL, SMALL)), **RSS)
    assert found.answer is answer
    assert ("profiled meanwhile or before" in found.sentence) is is_inside
    elsewhere = resource(*events, used=(SMALL, LARGE, SMALL))
    assert judged(elsewhere, **RSS).answer is Answer.FAIL


def test_of_what_nodes_use_a_profiled_worker_touches_none():
    found = resource(*profile(3, 5, who="worker"), used=(LARGE, SMALL, SMALL))
    assert judged(found, **RSS).answer is Answer.FAIL


def test_each_profile_is_a_finding_with_its_cost():
    (found,) = profiled.check(run(*profile(3, 5)))
    assert (found.answer, found.measured) == (Answer.MEASURED, "10 samples")
    for said in ("from 2.0 s to 4.0 s", "used 0.20 s of CPU itself", "hot (a.py) 90%", "1.svg"):
        assert said in found.sentence


def test_one_that_was_not_taken_says_why():
    (found,) = profiled.check(run(*profile(3, 5, file="", error="no py-spy")))
    assert (found.measured, "no py-spy" in found.sentence) == ("not taken", True)
    never = ProfileEnded(at_ns=4 * SECOND, number=2, who="node-1", tool="perf", error="gone")
    (found,) = profiled.check(run(never))
    assert (found.name, found.measured) == ("profile of node-1, by perf", "not taken")


def test_a_run_without_a_profile_has_no_such_finding():
    assert profiled.check(run()) == []
    names = {one.name for one in checks.judge(run(), [row()]).findings}
    assert not any("profile" in name for name in names)
