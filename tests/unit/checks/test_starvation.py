"""Nodes that hardly got a core, for others had them: what they gave up is not the system's own."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
import pytest
from kit.budget_rows import judged
from kit.histories import MS, SECOND, history, host, operation, record, sample

from harness.checks import starvation
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history.events import FaultChanged, RunEnded
from harness.history.gaps import Gap, Part
from harness.operations import Operation, Outcome

STORED = {
    "metric": "dht_put.stored",
    "statistic": "mean",
    "unit": "%",
    "comparison": ">=",
    "bound": 100.0,
}


def puts(refused=range(400, 450)):
    """A put each ten ms; of some, no other node answered in the node's own time."""
    failed = {"outcome": int(Outcome.FAILED), "error": "none of the 3 nodes asked answered"}
    return [
        operation(
            n * 10,
            Operation.DHT_PUT,
            target=-1,
            done_ns=SECOND + n * 10 * MS + 500 * MS,
            **(failed if n in refused else {}),
        )
        for n in range(900)
    ]


def run(waited, own, refused=range(400, 450)):
    """From the fifth second to the seventh, node 1 waited for a core for a share of the time, and
    the run used so many of the two.
    """
    seconds = range(1, 12)
    rows = [host(at, at * 1.98, at * own) for at in seconds]
    samples = [
        sample(at, node, run_delay_ns=int(min(max(at - 4, 0), 3) * waited * SECOND * (node == 1)))
        for at in seconds
        for node in range(3)
    ]
    made = {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2}
    return history(puts(refused), samples=samples, **made)


@pytest.mark.parametrize(
    ("waited", "own", "refused", "answer"),
    [
        (0.9, 0.1, range(400, 450), Answer.UNKNOWN),  # seen: 100 % of 30 s, at a load of 72
        (0.2, 0.1, range(400, 450), Answer.FAIL),  # it had a core most of the time
        (0.9, 1.5, range(400, 450), Answer.FAIL),  # it was the run itself that had them
        # Others had a third of a full host, which the run alone would have left free.
        (0.9, 1.3, range(400, 450), Answer.UNKNOWN),
        (0.9, 0.1, range(400, 451, 50), Answer.UNKNOWN),
        (0.9, 0.1, (10, 420), Answer.FAIL),  # one was refused while nobody waited
    ],
)
def test_what_a_starved_node_gave_up_is_not_the_systems(waited, own, refused, answer):
    """It was FAIL: "values stored 0 %" beside what wanted all cores."""
    finding = judged(run(waited, own, refused), **STORED)
    assert finding.answer is answer, finding
    assert (finding.cause is Cause.HOST_LIMITED) == (answer is Answer.UNKNOWN)
    if answer is Answer.UNKNOWN:
        assert "a node waited for a core for 90% of the time" in finding.sentence


def test_threads_that_waited_together_did_not_wait_more_than_all_the_time():
    """It said "for 143% of the time"."""
    finding = judged(run(1.43, 0.1), **STORED)
    assert "the threads of a node waited for a core for 1.4 s a second in all" in finding.sentence


@pytest.mark.parametrize(
    ("waited", "own", "answer"),
    [(0.9, 0.1, Answer.UNKNOWN), (0.0, 0.0, Answer.FAIL), (0.9, 1.5, Answer.FAIL)],
    ids=["starved", "free", "by the run itself"],
)
def test_a_put_that_its_starved_sender_gave_up_is_not_lost(waited, own, answer):
    """A sender tries until its time is over, as of a get. Seen: "values stored 79 %" beside a load
    of 400; of 21 puts without an answer 16 were stored later.
    """
    found = run(waited, own, refused=())
    silent = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    sent = puts(refused=())
    for n in range(400, 450):
        sent[n] = operation(n * 10, Operation.DHT_PUT, target=-1, **silent)
    kept = replace(history(sent), **parts(found))
    finding = judged(kept, **STORED)
    assert finding.answer is answer, finding


def test_what_had_no_answer_and_never_came_is_lost_on_a_starved_host_too():
    lost = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    sent = [operation(n * 10, **(lost if n in range(400, 450) else {})) for n in range(900)]
    arrived = [record(n * 10) for n in range(900) if n not in range(400, 450)]
    found = replace(history(sent, arrived), **parts(run(0.9, 0.1)))
    share = {**STORED, "metric": "private_message.delivered"}
    assert judged(found, **share).answer is Answer.FAIL


def test_how_much_of_a_missed_share_is_lost_on_any_host_is_said():
    """It was "68 % … missed: 68 is not >= 99.9 %", and 12 of 8,700 were lost."""
    lost, refused = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}, {"outcome": 1}
    wrong = dict.fromkeys(range(400, 440), refused) | dict.fromkeys(range(440, 450), lost)
    sent = [operation(n * 10, **wrong.get(n, {})) for n in range(900)]
    arrived = [record(n * 10) for n in range(900) if n not in wrong]
    share = {**STORED, "metric": "private_message.delivered"}
    finding = judged(replace(history(sent, arrived), **parts(run(0.9, 0.1))), **share)
    assert finding.answer is Answer.FAIL
    assert finding.sentence.endswith(
        "of 50 that did not come true 40 came late or were given up while nodes hardly got a core, "
        "and 10 would be lost on any host"
    )
    finding = judged(replace(history(sent, arrived), **parts(run(0.0, 0.0))), **share)
    assert "came late" not in finding.sentence


@pytest.mark.parametrize(
    ("waited", "own", "answer"),
    [(0.9, 0.1, Answer.UNKNOWN), (0.0, 0.0, Answer.FAIL), (0.9, 1.5, Answer.FAIL)],
    ids=["starved", "free", "by the run itself"],
)
def test_what_the_system_itself_gives_up_ends_with_its_starved_sender(waited, own, answer):
    """A request that its node ends after 10 s was lost: "messages delivered 59.6 %"."""
    lost = {"outcome": int(Outcome.UNKNOWN), "done_ns": 0}
    sent = [operation(n * 10, **(lost if n in range(400, 450) else {})) for n in range(900)]
    arrived = [record(n * 10) for n in range(900) if n not in range(400, 450)]
    told = {"given_up": frozenset({"private_message"})}
    found = replace(history(sent, arrived, **told), **parts(run(waited, own)))
    share = {**STORED, "metric": "private_message.delivered"}
    assert judged(found, **share).answer is answer


def parts(found):
    return {"host": found.host, "samples": found.samples, "cores": found.cores}


def test_a_node_that_a_fault_of_the_run_slows_waits_for_that():
    slow = FaultChanged(
        verb="set",
        fault="slow",
        words="node-1 --cpu 10%",
        does="cpu 10 %",
        paths=0,
        nodes=("node-1",),
        set_ns=SECOND,
        took_ms=0.0,
    )
    found = replace(run(0.9, 0.1), events=(slow, RunEnded()))
    assert judged(found, **STORED).answer is Answer.FAIL


def test_where_nobody_can_say_whether_it_starved_it_is_unknown():
    found = run(0.2, 0.1)
    torn = replace(found, gaps=(Gap(what=frozenset({Part.SAMPLES}), why="torn"),))
    assert judged(torn, **STORED).cause is Cause.GAP
    starved = run(0.9, 0.1)
    untold = replace(starved, gaps=(Gap(what=frozenset({Part.HOST}), why="torn"),))
    no_host = replace(untold, host=untold.host.slice(0, 0))
    assert judged(no_host, **STORED).cause is Cause.GAP
    assert judged(replace(no_host, samples=found.samples), **STORED).answer is Answer.FAIL


def test_how_long_it_starved_is_told():
    found = run(0.9, 0.1)
    assert starvation.between(found, SECOND, 3 * SECOND) == ""
    assert starvation.between(found, 3 * SECOND, 9 * SECOND).startswith("for 3 of 6 s, ")
