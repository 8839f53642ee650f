"""Whether every node lived: who ended by itself is said, with when and how."""

from __future__ import annotations

import pytest
from kit.histories import SECOND, history

from harness import checks
from harness.checks import nodes
from harness.checks.verdict import Answer, Cause
from harness.history import events
from harness.history.events import NodeChanged, NodeEnded, NodeReadiness, NodeStarted, RunEnded


def judged(*happened):
    (finding,) = nodes.check(history(events=(*happened, RunEnded())))
    return finding


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"signal": 9}, "by signal 9 (SIGKILL)"),
        ({"code": 3}, "with exit code 3"),
        ({"code": 137}, "with exit code 137, as a signal 9 (SIGKILL) gives"),
        ({}, "how is not known"),
        (
            {"code": 0, "left": ("serve --all",)},
            "with exit code 0, and left 1 process (serve --all) behind, which the harness ended",
        ),
        (
            {"signal": 9, "left": ("a", "b")},
            "by signal 9 (SIGKILL), and left 2 processes (a, …) behind, which the harness ended",
        ),
    ],
)
def test_a_node_that_ended_is_fail_with_name_time_and_how(how, said):
    """Holes 8 and 18: its death was in no finding."""
    found = judged(NodeEnded(node="node-1", at_ns=3 * SECOND + SECOND // 10, **how))
    assert (found.answer, found.measured) == (Answer.FAIL, "2 of 3")
    assert found.sentence == f"node-1 ended 2.1 s into the run (phase load), {said}"


def test_a_node_that_ended_before_the_load_is_fail_too():
    assert (
        "node-1 ended 0.5 s before the load"
        in judged(NodeEnded(node="node-1", at_ns=SECOND // 2)).sentence
    )


@pytest.mark.parametrize("condition", ["stopped", "killed", "crashed"])
def test_a_node_that_the_harness_stopped_is_no_failure(condition):
    stopped = NodeChanged(node="node-1", condition=condition, at_ns=2 * SECOND)
    found = judged(stopped, NodeStarted(node="node-1", at_ns=3 * SECOND))
    assert (found.answer, found.measured) == (Answer.PASS, "3 of 3")
    assert "but for 1 that the harness stopped" in found.sentence
    # That it was stopped once is no excuse for a later end.
    later = NodeEnded(node="node-1", at_ns=4 * SECOND, code=1)
    assert (
        judged(stopped, NodeStarted(node="node-1", at_ns=3 * SECOND), later).answer is Answer.FAIL
    )


STOPPED = NodeChanged(node="node-1", condition="killed", at_ns=2 * SECOND)


@pytest.mark.parametrize(
    "happened",
    [
        # It was ready only when the run was over, and was away until then.
        [NodeStarted(node="node-1", at_ns=90 * SECOND, since_ns=3 * SECOND)],
        # It said nothing new for long, or nobody waited.
        [
            NodeStarted(node="node-1", at_ns=3 * SECOND, since_ns=3 * SECOND),
            NodeReadiness(node="node-1", at_ns=3 * SECOND, ready=False),
        ],
    ],
)
def test_a_node_that_never_came_back_is_unknown(happened):
    """It was "stopped by the harness" to the end, which excused all that it lost: PASS."""
    found = judged(STOPPED, *happened)
    assert (found.answer, found.cause) == (Answer.UNKNOWN, Cause.NODE_STOPPED)
    over_s = history().phases[-1].end_ns / SECOND
    says = f"node-1 was started {over_s - 3:.1f} s before the end, and not ready by then"
    assert (found.sentence, found.measured) == (says, "2 of 3")
    ended = NodeEnded(node="node-2", at_ns=2 * SECOND, code=1)
    assert judged(STOPPED, *happened, ended).answer is Answer.FAIL


def test_a_node_that_had_no_time_to_come_back_is_nobodys_fault():
    """Nor one that was started when the run was closed."""
    over_ns = history().phases[-1].end_ns
    for since_ns in (over_ns - SECOND // 2, over_ns + 7):
        late = NodeStarted(node="node-1", at_ns=over_ns + SECOND, since_ns=since_ns)
        assert judged(STOPPED, late).answer is Answer.PASS


def test_many_ends_are_counted():
    ends = [NodeEnded(node=f"node-{n}", at_ns=2 * SECOND, signal=13) for n in range(190)]
    (finding,) = nodes.check(history(nodes=200, events=(*ends, RunEnded())))
    assert finding.measured == "10 of 200"
    assert finding.sentence.count("SIGPIPE") == 3
    assert finding.sentence.endswith("; and 187 more")


def test_a_bench_has_no_nodes():
    assert nodes.check(history(nodes=0)) == []


def test_an_end_of_an_older_folder_is_read_and_said():
    assert events.read({"at_ns": 5, "event": "node-ended", "node": "node-0"}) == NodeEnded(
        at_ns=5, node="node-0"
    )
    verdict = checks.judge(history(events=(NodeEnded(node="node-0", at_ns=5), RunEnded())), [])
    assert verdict.answer is Answer.FAIL
