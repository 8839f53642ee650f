"""What can be waited for becomes a condition that the scenario's own language reads."""

from __future__ import annotations

import pytest

from harness.errors import BadFileError, UsageError
from harness.experiments.session import waits
from harness.history.plan import PhaseKind
from harness.scenario import until

NOTHING = {"name": "wait", "at_least": None, "below_ms": None, "rate_per_s": None}


def made(what, seconds=20.0, **words):
    return waits.phase(what, seconds=seconds, **{**NOTHING, **words})


@pytest.mark.parametrize(
    ("what", "words", "condition"),
    [
        ("nodes.ready", {}, "all nodes ready"),
        ("broadcast.coverage", {"at_least": 1.0}, "coverage of the last second >= 100 %"),
        ("broadcast.coverage", {"at_least": 0.99999}, "coverage of the last second >= 99.999 %"),
        ("broadcast.coverage", {"at_least": 1e-7}, "coverage of the last second >= 0.00001 %"),
        (
            "private_message.delivered",
            {"at_least": 0.95},
            "success of private_message in the last second >= 95 %",
        ),
        (
            "private_message.end_to_end",
            {"below_ms": 2.5},
            "p95 of private_message in the last second < 2.5 ms",
        ),
    ],
)
def test_a_wait_is_a_phase_that_its_condition_ends(what, words, condition):
    phase = made(what, **words)
    assert (phase.kind, phase.until, phase.duration_s) == (PhaseKind.CONVERGE, condition, 20.0)
    parsed = until.parse(condition)
    assert parsed.operation is waits.WAITS[what].operation
    assert [one.operation for one in phase.streams] == [*filter(None, [parsed.operation])]


def test_every_wait_can_be_asked_for():
    for what, awaited in waits.WAITS.items():
        words = {"below_ms": 50.0} if awaited.is_time else {"at_least": 1}
        assert made(what, **words).until


@pytest.mark.parametrize(
    ("what", "words", "said"),
    [
        ("broadcast.coverge", {}, "did you mean 'broadcast.coverage'"),
        ("broadcast.coverage", {"at_least": 100}, "at most 1 .* found 100"),
        ("broadcast.coverage", {"at_least": True}, "found True"),
        ("broadcast.coverage", {"at_least": float("nan")}, "found nan"),
        ("broadcast.coverage", {"below_ms": 5}, "expected at_least"),
        ("broadcast.coverage", {"seconds": 1}, "at least 3"),
        ("broadcast.coverage", {"seconds": float("inf")}, "found inf"),
        ("nodes.ready", {"at_least": 0.5}, "of all nodes"),
        ("nodes.ready", {"rate_per_s": 5}, "nothing is sent"),
        ("nodes.ready", {"seconds": 0}, "above 0"),
        ("private_message.end_to_end", {}, "below_ms: expected .* found None"),
        ("private_message.end_to_end", {"at_least": 1}, "expected below_ms"),
    ],
)
def test_what_nobody_can_wait_for_is_refused(what, words, said):
    with pytest.raises(UsageError, match=said):
        made(what, **words)


def test_a_rate_that_shows_nothing_is_refused():
    with pytest.raises(BadFileError, match="at least 20 private_message a second, found 5"):
        made("private_message.end_to_end", below_ms=5.0, rate_per_s=5.0)
