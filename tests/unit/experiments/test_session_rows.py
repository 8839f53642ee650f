"""A row that names no scenario is about each part that has its phase and sends what it is about."""

from __future__ import annotations

from harness.experiments import session_rows
from harness.scenario.budget import Conditions, Row


def row(metric="private_message.delivered", phase="load", scenario=None):
    return Row(
        name=metric,
        metric=metric,
        statistic="mean",
        unit="%",
        bound=50.0,
        conditions=Conditions(phase=phase, scenario=scenario),
    )


def part(phase, *words):
    streams = [{"phase": phase, "operation": word} for word in words]
    return {"plan": [{"name": phase}], "load": {"streams": streams}}


PARTS = {
    "load-1": part("load", "private_message"),
    "load-2": part("load", "private_message", "broadcast"),
    "wait-3": part("wait", "broadcast"),
}


def bound(*rows):
    return [(one.metric, one.conditions.scenario) for one in session_rows.bound(rows, PARTS)]


def test_a_row_is_held_against_each_part_that_it_is_about():
    assert bound(row()) == [(row().metric, "load-1"), (row().metric, "load-2")]
    assert bound(row("broadcast.coverage")) == [("broadcast.coverage", "load-2")]
    assert bound(row("rss", "wait")) == [("rss", "wait-3")]


def test_a_row_that_names_a_scenario_is_about_that():
    assert bound(row(scenario="load-2")) == [(row().metric, "load-2")]
    assert bound(row(scenario="other")) == [(row().metric, "other")]


def test_a_row_about_no_part_stays_and_says_why():
    for one, why in (
        (row(phase="laod"), "has a phase 'laod' in which private_message was sent"),
        (row(phase="wait"), "has a phase 'wait' in which private_message was sent"),
        (row("rss", "idle"), "has a phase 'idle'"),
    ):
        assert bound(one) == [(one.metric, None)]
        assert session_rows.why_unbound(one, PARTS) == f"none of load-1, load-2, wait-3 {why}"
