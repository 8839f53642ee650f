"""The watcher sees the condition of a phase hold late, and never early."""

from __future__ import annotations

from dataclasses import replace

from kit.histories import MS, SECOND, history
from kit.schedules import messages, recorded, run

from harness.checks import convergence
from harness.history.live import Look
from harness.load import watcher

STREAM = messages(50)
UNTIL = "success of private_message in the last second >= 100 %"


def look(at_s, operations):
    """A look at a run as of a moment, in which these operations are recorded."""
    seen = run(operations, STREAM, ended_s=at_s)
    window = replace(seen.phases[0], until=UNTIL)
    at_ns = SECOND + round(at_s * SECOND)
    seen = replace(seen, phases=(window,))
    return Look(history=seen, t0_ns=SECOND, at_ns=at_ns, later=(), has_ended=False)


def until(seconds, rows):
    return [row for row in rows if row["intended_ns"] < SECOND + seconds * SECOND]


def test_a_second_is_seen_when_its_operations_had_theirs():
    rows = recorded(STREAM)
    assert watcher.seen_to_hold(look(1.9, until(1.9, rows)), "load") is None
    assert watcher.seen_to_hold(look(2.0, until(2.0, rows)), "load") == 2 * SECOND


def test_what_is_not_in_the_record_yet_has_not_come_true():
    """Nine of ten are recorded, the others under way: of what is there, all came true."""
    rows = [row for number, row in enumerate(until(4, recorded(STREAM))) if number % 10]
    seen = look(4.0, rows)
    [window] = seen.history.phases
    assert convergence.held_ns(seen.history, window) is not None
    assert watcher.seen_to_hold(seen, "load") is None


def test_it_sees_no_earlier_than_the_judge():
    """From 2.3 s on they come true within the second, before in one and a half."""
    rows = recorded(STREAM)
    for row in rows:
        late = 1500 if row["intended_ns"] < SECOND + 2300 * MS else 5
        row["done_ns"] = row["intended_ns"] + late * MS
    whole = look(10.0, rows)
    judged_ns = convergence.held_ns(whole.history, whole.history.phases[0])
    for tenth in range(20, 80):
        at_s = tenth / 10
        known = [row for row in rows if row["done_ns"] < SECOND + at_s * SECOND]
        seen_ns = watcher.seen_to_hold(look(at_s, known), "load")
        assert seen_ns is None or judged_ns <= seen_ns <= SECOND + at_s * SECOND - SECOND
    assert seen_ns == judged_ns


def test_a_phase_that_has_not_begun_is_not_looked_at():
    seen = replace(look(3.0, []), history=history(phases=()))
    assert watcher.seen_to_hold(seen, "load") is None
