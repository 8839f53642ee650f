"""What a node used between the last look at its process and the end of that is nobody's to leave
out: an answer that it could change is none.
"""

from __future__ import annotations

import pyarrow as pa
import pytest
from kit.budget_rows import judged
from kit.histories import SECOND, history, host, sample

from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import NodeChanged, NodeStarted, RunEnded

CPU = {"metric": "cpu", "statistic": "max", "unit": "%", "node": "node-0"}


def spinning(last_s=None, share=1.0, restarted_s=(3, 6), cores=1, told=True):
    """A node that uses this share of a core in a phase from 1 s to 11 s, restarted just before it
    is sampled; `last_s`: so long before each end it is sampled once more.
    """
    began_s, samples, events = 0.0, [], []
    for at_s in range(1, 11):
        if at_s in restarted_s:
            ended_s = at_s - 0.05
            if last_s is not None:
                samples.append((ended_s - last_s, ended_s - last_s - began_s))
            events.append(
                NodeChanged(at_ns=round(ended_s * SECOND), node="node-0", condition="killed")
            )
            events.append(NodeStarted(at_ns=round(ended_s * SECOND) + 1, node="node-0"))
            began_s = ended_s
        samples.append((at_s, at_s - began_s))
    return history(
        samples=[
            sample(at_s, 0, cpu_ns=round(share * used_s * SECOND)) for at_s, used_s in samples
        ],
        events=(*(events if told else ()), RunEnded()),
        cores=cores,
        nodes=1,
    )


@pytest.mark.parametrize(
    ("last_s", "bound", "answer"),
    [
        (None, 95.0, Answer.UNKNOWN),  # 79 % was seen of the 100 % that it used: PASS
        (None, 78.0, Answer.FAIL),  # more than that was seen
        (None, 101.0, Answer.PASS),  # whatever it did
        (0.01, 95.0, Answer.FAIL),
        (0.01, 101.0, Answer.PASS),
    ],
)
def test_a_restart_just_before_a_sample_hides_nothing(last_s, bound, answer):
    finding = judged(spinning(last_s), bound=bound, **CPU)
    assert finding.answer is answer, finding
    if answer is Answer.UNKNOWN:
        assert (finding.cause, finding.measured) == (Cause.GAP, "78.9 % at node-0")
        assert finding.sentence == (
            "up to 100 % at node-0: for 1.9 s nobody saw what was used by a process that was ended "
            "then"
        )


def test_what_was_not_seen_is_said_of_what_holds_and_of_what_is_measured():
    held = judged(spinning(), bound=101.0, **CPU)
    assert held.sentence.startswith("kept; up to 100 % at node-0: for 1.9 s nobody saw")
    told = judged(spinning(), bound=None, **CPU)
    assert (told.answer, told.measured) == (Answer.MEASURED, "78.9 % at node-0")
    assert told.sentence.startswith("measured, not promised; up to 100 % at node-0")
    assert judged(spinning(restarted_s=()), bound=101.0, **CPU).sentence == "kept"


@pytest.mark.parametrize(("cores", "answer"), [(1, Answer.PASS), (4, Answer.UNKNOWN)])
def test_a_process_may_have_used_every_core_of_the_host(cores, answer):
    finding = judged(spinning(share=0.5, cores=cores), bound=65.0, **CPU)
    assert finding.answer is answer, finding


@pytest.mark.parametrize(("bound", "answer"), [(70.0, Answer.PASS), (90.0, Answer.UNKNOWN)])
def test_a_promise_to_use_much_may_have_been_kept_unseen(bound, answer):
    assert judged(spinning(), bound=bound, comparison=">=", **CPU).answer is answer


def test_of_a_process_whose_end_nobody_tells_nothing_is_known_until_the_next_is_seen():
    finding = judged(spinning(told=False), bound=95.0, **CPU)
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.GAP)
    assert "for 2 s nobody saw" in finding.sentence


def unaccounted(others_s, names=("node-0",)):
    """A node that was seen to use a tenth of a core for 10 s, of a host of one core, of which
    others used so much in that time.
    """
    return history(
        samples=[sample(at_s, 0, cpu_ns=at_s * SECOND // 10) for at_s in range(1, 12)],
        cores=1,
        nodes=1,
        host=pa.Table.from_pylist([host(1, 0.0), host(10.9, others_s + 1.0)], h.HOST),
        uncounted=frozenset(names),
    )


@pytest.mark.parametrize(
    ("others_s", "names", "answer"),
    [
        (5.0, (), Answer.PASS),  # its control group counts all that it started
        (5.0, ("node-0",), Answer.UNKNOWN),  # it was PASS, whatever came and went
        (0.1, ("node-0",), Answer.PASS),  # nobody used what it could have used
    ],
)
def test_what_came_and_went_without_a_control_group_may_be_what_others_used(
    others_s, names, answer
):
    finding = judged(unaccounted(others_s, names), bound=40.0, **CPU)
    assert (finding.answer, finding.measured) == (answer, "10 % at node-0"), finding
    if names:
        assert "up to 1" in finding.sentence or "up to 6" in finding.sentence
        assert "it has no control group (none can be made here)" in finding.sentence
    else:
        assert finding.sentence == "kept"


def test_what_was_seen_of_a_node_without_a_control_group_misses_its_promise():
    assert judged(unaccounted(5.0), bound=5.0, **CPU).answer is Answer.FAIL
