"""Suites: every row of the budget is answered by the part it names, and one that nobody measured is
UNKNOWN.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from harness.checks.verdict import Answer, Cause, Finding, Verdict
from harness.errors import BadFileError
from harness.experiments import suite
from harness.scenario import files
from harness.scenario.budget import Conditions, Row

ROOT = Path(__file__).parents[3]


def row(name, scenario, phase="load"):
    return Row(
        name=name,
        metric="rss",
        statistic="max",
        unit="MB",
        bound=50.0,
        conditions=Conditions(phase=phase, scenario=scenario),
    )


def finding(name, answer=Answer.PASS, phase="load"):
    return Finding(
        name=name, answer=answer, promised="< 50 MB", measured="1 MB", sentence="kept", phase=phase
    )


def test_every_row_is_answered_once_by_the_part_that_it_names():
    parts = {
        "a": Verdict(findings=(finding("x"), finding("load: dht_get"))),
        "b": Verdict(findings=(finding("x", Answer.FAIL), finding("y"))),
    }
    found = suite.findings(
        (row("x", "a"), row("y", "b"), row("x", "b", "idle"), row("z", "c")),
        parts,
        {"c": "NodeStartError: no"},
    )
    answers = [(one.name, one.phase, one.answer) for one in found]
    assert answers[:4] == [
        ("x", "a/load", Answer.PASS),
        ("y", "b/load", Answer.PASS),
        ("x", "b/idle", Answer.UNKNOWN),
        ("z", "c/load", Answer.UNKNOWN),
    ]
    # Nothing a part found is lost.
    assert answers[4:] == [
        ("load: dht_get", "a/load", Answer.PASS),
        ("x", "b/load", Answer.FAIL),
    ]
    assert (found[3].cause, found[3].sentence) == (Cause.NOT_MEASURED, "NodeStartError: no")


def test_a_suite_that_names_a_row_of_no_part_is_refused(tmp_path):
    (tmp_path / "s.toml").write_text('budget = "b.toml"\nparts = ["meshara-mesh"]\n')
    (tmp_path / "meshara-mesh.toml").write_text(
        (ROOT / "scenarios/meshara-mesh.toml")
        .read_text()
        .replace('"mesh-100"', f'"{ROOT}/topologies/mesh-100.toml"')
        .replace('"meshara"', '"b.toml"')
    )
    (tmp_path / "b.toml").write_text(
        '[[row]]\nname = "r"\nmetric = "rss"\nstatistic = "max"\nbound = 1\nunit = "MB"\nphase = '
        '"connected"\nscenario = "other"\n'
    )
    with pytest.raises(
        BadFileError, match="row r: scenario: expected one of meshara-mesh; found 'other'"
    ):
        suite.check(files.read_suite(tmp_path / "s.toml"))
    with pytest.raises(BadFileError, match="'meshara-mesh' stands twice"):
        (tmp_path / "s.toml").write_text(
            'budget = "b.toml"\nparts = ["meshara-mesh", "meshara-mesh"]\n'
        )
        files.read_suite(tmp_path / "s.toml")


def test_a_scenario_is_no_suite():
    assert files.read_suite(ROOT / "scenarios/demo.toml") is None


def test_the_tables_rows_all_have_a_phase_that_is_played():
    planned = files.read_suite(ROOT / "scenarios/meshara.toml")
    suite.check(planned)
    played = {
        part.stem: {phase.name for phase in files.read_scenario(part).phases}
        for part in planned.parts
    }
    for one in files.read_budget(planned.budget).rows:
        assert one.conditions.phase in played[one.conditions.scenario], one.name


def test_the_tables_bounds_are_those_of_the_source():
    """The issue's table, once more and by hand: a bound that somebody loosened is seen here."""
    rows = {
        one["name"]: one.get("bound")
        for one in tomllib.loads((ROOT / "budgets/meshara.toml").read_text())["row"]
    }
    latency = {
        "message creation (sign + encrypt)": (1, 2, 5, 10),
        "message verification (decrypt + verify)": (1, 2, 5, 10),
        "end-to-end private message": (10, 20, 50, 100),
        "broadcast propagation (10 nodes)": (50, 100, 200, 500),
        "routing table lookup": (100, 200, 500, 1000),
        "TLS handshake": (20, 50, 100, 200),
        "DHT lookup (1000 nodes)": (100, 200, 500, 1000),
    }
    for name, bounds in latency.items():
        assert tuple(rows[f"{name} {which}"] for which in ("p50", "p95", "p99", "p99.9")) == bounds
    resources = {
        "RSS": (50, 200, 500),
        "CPU of one core": (1, 30, 80),
        "file descriptors": (100, 1000, 10000),
        "network": (1, 10, 100),
    }
    for name, bounds in resources.items():
        assert tuple(rows[f"{name}, {phase}"] for phase in ("idle", "active", "peak")) == bounds
    assert rows["message operations p99"] == 50
    assert [
        rows[name]
        for name in (
            "messages per second, one node",
            "network throughput, one node",
            "concurrent connections",
            "routing table entries",
            "gossip fanout",
        )
    ] == [10_000, 100, 1_000, 100_000, 10]
    assert (
        rows["1000 private messages between two nodes"]
        == rows["1000 private messages between two nodes, average"]
        == 1
    )
    assert rows["1 node broadcasting to 100"] == 200
