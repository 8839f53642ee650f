"""A calibration: the search for what a worker can send, and the whole of it, quickly, for real."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from kit.schedules import messages, recorded, run

from harness.checks import doubts
from harness.cli import main
from harness.experiments import calibrate
from harness.experiments.trial import Measured
from harness.host import calibration
from harness.host.facts import host_facts


def measured(rate_per_s, *, lag_us, lost=0):
    asked = int(rate_per_s)
    return Measured(
        rate_per_s=rate_per_s,
        asked=asked,
        ok=asked - lost,
        cpu_s=1.0,
        lag_p50_us=lag_us / 2,
        lag_p99_us=lag_us,
        p50_us=1.0,
        p99_us=2.0,
        p999_us=3.0,
    )


def search(limit):
    """The search on a machine that sends so many messages a second in time, and what it tried."""
    tried = []

    def attempt(rate):
        tried.append(rate)
        return measured(rate, lag_us=900 if rate <= limit else 1_100)

    return (*calibrate._search(attempt), tried)


@pytest.mark.parametrize("limit", [12_000, 47_000, 150_000])
def test_the_search_ends_between_what_holds_and_what_does_not(limit):
    held, failed, tried = search(limit)
    assert held.rate_per_s <= limit < failed
    assert failed - held.rate_per_s <= limit / 4
    assert len(tried) <= 9


def test_a_machine_that_holds_all_or_nothing_says_so():
    held, failed, _ = search(10**9)
    assert (held.rate_per_s, failed) == (640_000, None)
    held, failed, tried = search(0)
    assert (held, failed) == (None, min(tried))


def test_what_was_lost_does_not_hold():
    assert calibrate.holds(measured(100, lag_us=1))
    assert not calibrate.holds(measured(100, lag_us=1, lost=1))
    assert not calibrate.holds(measured(0, lag_us=1))


@pytest.fixture
def quick(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path / "state"))
    for name, value in {"SECONDS": 0.2, "FIRST_PER_S": 100, "MOST_PER_S": 200, "NODES": 3}.items():
        monkeypatch.setattr(calibrate, name, value)


def test_the_command_prints_keeps_and_hands_it_to_runs(quick):
    done = CliRunner().invoke(main, ["calibrate", "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert json.loads(calibration.path().read_text()) == said
    assert host_facts()["calibration"] == said
    assert calibration.read("another kernel", said["cpu"], said["cores"]) is None
    told = CliRunner().invoke(main, ["calibrate"])
    assert told.exit_code == 0
    assert "one load worker" in told.stdout


def test_a_torn_calibration_is_none(quick):
    calibration.path().parent.mkdir()
    calibration.path().write_text('{"version": 1')
    assert "calibration" not in host_facts()


def test_a_run_says_how_much_it_used():
    stream = messages(20)
    operations = recorded(stream, workers=2)
    assert doubts.check(run(operations, stream, workers=2)) == []
    (finding,) = doubts.check(run(operations, stream, workers=2, can_send_per_s=40.0))
    assert finding.measured == "25% used"
    assert "10 operations a second were asked of a load worker at most" in finding.sentence
