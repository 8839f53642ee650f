"""Dashboards and what is beside them: what the tables say, of Grafana's own types, about metrics
that there are. Whether each query is answered: tests/root/test_metrics.py.
"""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from kit.seen import largest, series

ROOT = Path(__file__).parents[3]
MONITORING = ROOT / "docker" / "monitoring"
BOARDS = sorted((MONITORING / "dashboards").glob("*.json"))
boards = pytest.mark.parametrize("board", BOARDS, ids=lambda file: file.stem)


def generator():
    path = ROOT / "scripts" / "make_dashboards.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@boards
def test_a_dashboard_is_what_the_tables_say(board):
    assert generator().made(board.stem) == board.read_text(), (
        "run: python scripts/make_dashboards.py"
    )


def test_there_is_one_of_each_part():
    assert {board.stem for board in BOARDS} == {"cluster", "load", "faults", "verdict"}
    assert len({json.loads(board.read_text())["uid"] for board in BOARDS}) == len(BOARDS)


@boards
def test_grafana_knows_all_that_is_in_it(board):
    """What its types do not know would be lost on the way through them."""
    plugins.register_default_plugins()
    said = json.loads(board.read_text())
    through = json.loads(JSONEncoder().encode(Dashboard.from_json(said)))
    assert through == said


def test_what_grafana_does_not_know_is_found():
    plugins.register_default_plugins()
    said = json.loads(BOARDS[0].read_text())
    said["panels"][0]["gridPosition"] = {}
    assert json.loads(JSONEncoder().encode(Dashboard.from_json(said))) != said


@boards
def test_panels_do_not_lie_on_each_other(board):
    taken = set()
    for panel in json.loads(board.read_text())["panels"]:
        at = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells


def test_every_metric_that_a_query_or_an_alert_names_is_told():
    told = {key[0] for key in series(largest(1))} | {"process_cpu_seconds_total"}
    texts = [board.read_text() for board in BOARDS]
    texts += [file.read_text() for file in (MONITORING / "rules").glob("*.yml")]
    named = {name for text in texts for name in re.findall(r"\b(?:harness|process)_\w+", text)}
    assert named
    assert named <= told


@pytest.mark.prometheus
@pytest.mark.parametrize(
    ("what", "file"), [("config", "prometheus.yml"), ("rules", "rules/harness.yml")]
)
def test_prometheus_accepts_what_is_shipped(what, file):
    done = subprocess.run(
        ["promtool", "check", what, str(MONITORING / file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "lint error" not in done.stdout + done.stderr
