"""Conditions that end a phase: what is one, and where it may stand."""

from __future__ import annotations

import pytest

from harness.errors import BadFileError
from harness.operations import Operation
from harness.scenario import files, until
from harness.scenario.until import Quantity


@pytest.mark.parametrize(
    ("text", "quantity", "operation", "bound"),
    [
        ("coverage of the last second >= 100 %", Quantity.COVERAGE, Operation.BROADCAST, 1.0),
        ("coverage of the last second >= 99.5%", Quantity.COVERAGE, Operation.BROADCAST, 0.995),
        (
            "success of dht_put in the last second >= 90 %",
            Quantity.SUCCESS,
            Operation.DHT_PUT,
            0.9,
        ),
        (
            "p95 of private_message in the last second < 50 ms",
            Quantity.P95,
            Operation.PRIVATE_MESSAGE,
            50.0,
        ),
    ],
)
def test_each_form_is_read(text, quantity, operation, bound):
    found = until.parse(text)
    assert (found.quantity, found.operation) == (quantity, operation)
    assert found.bound == pytest.approx(bound)
    assert found.text == text


def test_the_nodes_need_no_stream():
    found = until.parse("all nodes ready")
    assert (found.quantity, found.operation) == (Quantity.READY, None)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "expected one of 'all nodes ready', 'coverage of the last second"),
        ("coverage of the last second > 100 %", "expected one of"),
        ("coverage of the last second >= 101 %", "above 0 and at most 100"),
        ("coverage of the last second >= 0 %", "above 0"),
        ("coverage of the last second >= 1.2.3 %", "expected one of"),
        ("p95 of private_message in the last second < 50 %", "expected one of"),
        ("p95 of private_message in the last second < 1001 ms", "at most 1000"),
        ("success of private_mesage in the last second >= 9 %", "did you mean 'private_message'"),
    ],
)
def test_what_is_none_is_refused(text, says):
    with pytest.raises(BadFileError, match="until: ") as raised:
        until.parse(text)
    assert says in str(raised.value)


PHASE = """
topology = "cluster-10"
[[phase]]
name = "converge"
kind = "converge"
until = "coverage of the last second >= 100 %"
at_most_s = 30
[[phase.stream]]
operation = "broadcast"
rate_per_s = 5
"""


def read(folder, text):
    (folder / "s.toml").write_text(text)
    return files.read_scenario(folder / "s.toml").phases[0]


def test_a_phase_may_wait_for_its_nodes_alone(tmp_path):
    quiet = PHASE.split("[[phase.stream]]", maxsplit=1)[0]
    phase = read(tmp_path, quiet.replace("coverage of the last second >= 100 %", until.READY))
    assert (phase.until, phase.streams) == ("all nodes ready", ())


def test_a_phase_with_a_condition_has_its_longest_time(tmp_path):
    phase = read(tmp_path, PHASE)
    assert (phase.duration_s, phase.until) == (30, "coverage of the last second >= 100 %")


@pytest.mark.parametrize(
    ("was", "is_", "says"),
    [
        ("at_most_s = 30", "duration_s = 30", "phase[1].at_most_s: expected a number"),
        ("at_most_s = 30", "at_most_s = 30\nduration_s = 3", "duration_s: unknown key"),
        ('until = "coverage of the last second >= 100 %"', "", "at_most_s: expected until"),
        ('kind = "converge"', "", "it is of a phase of the kind converge, found none"),
        ('kind = "converge"', 'kind = "chaos"', "kind converge, found chaos"),
        ("100 %", "100 dB", "until: expected one of"),
        ("rate_per_s = 5", "rate_per_s = 0.5", "wants at least 1 broadcast a second, found 0.5"),
        (
            "coverage of the last second >= 100 %",
            "p95 of broadcast in the last second < 9 ms",
            "p95 wants at least 20 broadcast a second, found 5",
        ),
        ('"broadcast"', '"dht_put"', "wants at least 1 broadcast a second, found 0"),
        (
            "rate_per_s = 5",
            'rate_per_s = 5\n[[phase.fault]]\ncut = "halves"',
            "no fault, no churn, no iperf3 beside it",
        ),
        (
            "at_most_s",
            'iperf3 = ["node-0", "node-1"]\nat_most_s',
            "no fault, no churn, no iperf3 beside it",
        ),
    ],
)
def test_a_phase_that_no_condition_can_end_is_refused(tmp_path, was, is_, says):
    assert was in PHASE
    with pytest.raises(BadFileError) as raised:
        read(tmp_path, PHASE.replace(was, is_))
    assert says in str(raised.value)
    assert "s.toml" in str(raised.value)
