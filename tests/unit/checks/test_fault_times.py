"""Faults of one name are held against what was planned of each, in order and by their moments."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.histories import SECOND, history, host, sample

from harness.checks import fault_times, faults
from harness.checks.verdict import Answer, Cause
from harness.history import history as h
from harness.history import plan
from harness.history.events import FaultChanged, RunEnded
from harness.history.proof import READ_BACK, Proof, ProofAnswer


def run(planned, made, **more):
    """A run from 1 s to 11 s; stands of the fault "slow" as they were planned, and as they were."""
    timeline = {
        "faults": [{"name": "slow"}],
        "changes": [
            {"at_s": at_s - 1, "verb": verb, "fault": 0}
            for stand in planned
            for verb, at_s in zip(("set", "clear"), stand, strict=False)
        ],
    }
    facts = {"t0_ns": SECOND, "load": {}, "plan": [{"name": "load", "begin_s": 0, "end_s": 10.0}]}
    changes = [
        FaultChanged(at_ns=1, verb=verb, fault="slow", set_ns=round(at_s * SECOND))
        for stand in made
        for verb, at_s in zip(("set", "clear"), stand, strict=False)
    ]
    looks = [
        Proof(
            at_ns=round(at_s * SECOND) + 1,
            fault="slow",
            what=READ_BACK,
            backend="nftables",
            answer=ProofAnswer.IN_FORCE,
        )
        for stand in made
        for at_s in stand
    ]
    events = (*changes, RunEnded())
    return history(events=events, plan=plan.read(facts, timeline), proofs=tuple(looks), **more)


TWO = [(1, 4), (6, 9)]


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([(1, 4), (6, 9)], []),
        ([(1, 2.5), (6, 10.5)], ["1 of 2", "2 of 2"]),  # all together it is as long as planned
        ([(1, 4), (6, 7.5)], ["2 of 2"]),
        ([(1, 2), (2.2, 4.1), (6, 9)], []),  # away for a moment, and not by the plan
        ([(1, 2), (3.5, 4), (6, 9)], ["1 of 2"]),
        ([(1, 9)], ["1 of 2", "2 of 2"]),  # it was not away in between
        ([(6, 9)], ["1 of 2"]),
    ],
)
def test_each_stand_of_a_name_is_held_against_its_own(made, said):
    """What the one lacked the other made up for: PASS."""
    found = run(TWO, made)
    told = list(map(str, fault_times.misplayed(found, fault_times.changes_of(found))))
    assert [one.partition("(")[2][:6] for one in told] == said, told
    (finding,) = faults.check(found)
    assert finding.answer is (Answer.UNKNOWN if said else Answer.PASS), finding
    if len(made) == len(TWO) and said:
        assert finding.sentence.startswith(f"slow ({said[0]} of this name) stood for 1.5 s")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ([(3.5, 6.5)], "slow came 2.5 s late"),  # it stood for as long as planned: PASS
        ([(3.5, 4)], "slow came 2.5 s late and stood for 0.5 s, planned were 3.0 s"),
        ([(1.9, 4.9)], None),
    ],
)
def test_a_fault_that_came_late_is_told(made, said):
    (finding,) = faults.check(run(TWO[:1], made))
    assert finding.answer is (Answer.UNKNOWN if said else Answer.PASS), finding
    assert said is None or finding.sentence == said


def test_what_waited_for_another_change_did_not_come_late():
    """The network is changed by one thread: what is due meanwhile waits."""
    found = run(TWO[:1], [(3.5, 6.5)])
    set_ns = round(3.4 * SECOND)
    other = FaultChanged(at_ns=1, verb="set", fault="other", set_ns=set_ns, took_ms=2400.0)
    for events, count in ((found.events, 1), ((other, *found.events), 0)):
        held = replace(found, events=events)
        assert len(list(fault_times.misplayed(held, fault_times.changes_of(held)))) == count


@pytest.mark.parametrize(
    ("made", "missed"),
    [
        ([(1, 4)], [("set", 6)]),
        ([(6, 9)], [("set", 1)]),  # it was taken for the first, and the second was missed
        ([], [("set", 1), ("set", 6)]),
        ([(1,), (6, 9)], [("clear", 4)]),
        ([(1, 4), (6,)], [("clear", 9)]),
        ([(1, 1.5), (6, 9)], []),
    ],
)
def test_what_was_not_played_is_the_one_that_nothing_was_near_to(made, missed):
    found = run(TWO, made)
    unplayed = fault_times.not_played(found, fault_times.changes_of(found))
    assert [(one.verb, one.at_ns / SECOND) for one in unplayed] == missed


MOMENTS = st.lists(st.integers(0, 50), max_size=7).map(sorted)


@given(MOMENTS, MOMENTS)
def test_moments_are_matched_in_order_and_as_near_as_can_be(planned, made):
    found = sorted(fault_times.matched(planned, made))
    assert len(found) == min(len(planned), len(made)) or len(made) > len(planned)
    if 0 < len(made) < len(planned):

        def far(places):
            return sum(abs(planned[a] - b) for a, b in zip(places, made, strict=True))

        assert far(found) == min(map(far, combinations(range(len(planned)), len(made))))


def test_ten_thousand_flaps_of_which_one_was_missed_are_matched_at_once():
    planned = list(range(0, 20_000, 2))
    made = planned[:5000] + planned[5001:]
    assert sorted(set(range(10_000)) - set(fault_times.matched(planned, made))) == [5000]


def used(busy_s, waited=0.0, psi=None):
    """A host of two cores that is all busy from 3 s to 9 s, by others, or by this share of the
    run's own nodes; nodes wait for a core for a share of the time.
    """
    rows = [host(at, 2 * max(min(at, 9) - 3, 0) if busy_s else 0.02 * at) for at in range(13)]
    if psi is not None:
        rows = [{**row, "psi_cpu_some_us": int(at * psi * 1e6)} for at, row in enumerate(rows)]
    samples = [
        sample(at, node, run_delay_ns=round(waited * at * SECOND))
        for at in range(13)
        for node in range(3)
    ]
    return {"host": pa.Table.from_pylist(rows, h.HOST), "cores": 2, "samples": samples}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (used(busy_s=6, waited=0.8), "; meanwhile for 6 of 6 s, processes that are none of this"),
        (used(busy_s=6), "; meanwhile processes that are none of this run's took 100% of the host"),
        (used(busy_s=0, psi=0.7), "; meanwhile something waited for a core of this host for 70%"),
        (used(busy_s=0, psi=0.1), ""),
        ({}, ""),
    ],
    ids=["starved", "others had it", "pressure", "free", "nothing is recorded"],
)
def test_the_host_is_named_that_kept_a_fault_from_its_time(more, said):
    """Churn beside six other runs: all that was said was that it stood for 4.2 s instead of 6."""
    (finding,) = faults.check(run([(3, 9)], [(4.8, 9)], **more))
    assert (finding.answer, finding.cause) == (Answer.UNKNOWN, Cause.FAULT_NOT_PROVEN)
    begun = f"slow came 1.8 s late and stood for 4.2 s, planned were 6.0 s{said}"
    assert finding.sentence.startswith(begun)
    assert said or finding.sentence == begun
