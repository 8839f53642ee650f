"""What nodes tell of themselves once a second, from real exporters in their namespaces to rows."""

from __future__ import annotations

import json
import shutil

import pytest
from kit.desk import ROOT, Desk

from harness.history import reader

pytestmark = [pytest.mark.root, pytest.mark.systems]
TOLD = ROOT / "tests" / "systems" / "told"
SCENARIO = """
topology = "top.toml"
system = "{system}"
budget = "budget.toml"
[[phase]]
name = "load"
duration_s = 7
"""
ROW = """
[[row]]
name = "{name}"
metric = '{metric}'
statistic = "{statistic}"
comparison = "{comparison}"
bound = {bound}
unit = "{unit}"
phase = "load"
"""
WHY = {  # of a row about each node that lies
    "falls": "node-1 fell from 20 to 0",
    "no-number": "links was nan at node-2",
    "endless": "no whole page within 0.9 s",
    "much": "tells more than 2,097,152 bytes",
    "twice": "its page is not believed: it tells links twice",
    "html": "expected text/plain, found text/html",
    "refuses": "answered 503",
    "packed": "expected identity, found gzip",
    "binary": "expected UTF-8, found the bytes ff",
}


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "told")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def played(desk: Desk, system: object, nodes: int, *rows: tuple[object, ...], code: int) -> dict:
    desk.write("top.toml", f"[nodes]\ncount = {nodes}\n[shape]\nkind = 'full-mesh'\n")
    keys = ("name", "metric", "statistic", "comparison", "bound", "unit")
    made = [ROW.format(**dict(zip(keys, row[:6], strict=True))) + "".join(row[6:]) for row in rows]
    desk.write("budget.toml", "".join(made))
    scenario = desk.write("told.toml", SCENARIO.format(system=system))
    done = desk.harness("run", str(scenario), "--runtime", "netns")
    assert done.returncode == code, done.stdout + done.stderr
    findings = json.loads((desk.runs / "latest" / "verdict.json").read_text())["findings"]
    return {one["name"]: one for one in findings}


@pytest.mark.quiet
def test_a_liar_is_named_and_never_believed(desk):
    """A node a lie; of the one that tells the truth all is judged."""
    rows = [
        ("links", "gauge.links", "max", "<", 4, "1", 'node = "node-0"'),
        ("sent", 'rate.sent_total{to="a \\"b\\""}', "max", ">", 1, "1/s", 'node = "node-0"'),
        ("took", "histogram.took_seconds", "p50", "<", 101, "ms", 'node = "node-0"'),
        ("inside", "histogram.took_seconds", "p50", "<", 50, "ms", 'node = "node-0"'),
    ]
    for number, lie in enumerate(WHY, 1):
        metric, unit = ("rate.sent_total", "1/s") if lie == "falls" else ("gauge.links", "1")
        rows.append((lie, metric, "max", "<", 1e9, unit, f'node = "node-{number}"'))
    found = played(desk, TOLD / "toldnode.toml", len(WHY) + 1, *rows, code=2)
    answers = {name: found[name]["answer"] for name in ("links", "sent", "took", "inside")}
    assert answers == {"links": "PASS", "sent": "PASS", "took": "PASS", "inside": "UNKNOWN"}
    for lie, why in WHY.items():
        assert (found[lie]["answer"], why in found[lie]["sentence"]) == ("UNKNOWN", True), found[
            lie
        ]
    history = reader.read(desk.runs / "latest")
    assert history.metrics.is_asked
    assert history.sealed
    assert 'id="told-gauge-links"' in (desk.runs / "latest" / "report.html").read_text()


@pytest.mark.quiet
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="needs prometheus")
def test_a_real_exporter_is_judged_by_its_own_names(desk):
    """Debian's prometheus in each node."""
    folder = desk.write("prometheus.yml", "global: {}\n").parent
    (folder / "prom.toml").write_text(
        (TOLD / "toldnode.toml")
        .read_text()
        .replace('"python3", "{directory}/toldnode.py", "{index}"', ARGV)
        .replace("toldnode.py", "prometheus.yml")
        .replace("7000/ready", "7000/-/ready")
    )
    asked = 'rate.prometheus_http_requests_total{handler="/metrics"}'
    took = 'histogram.prometheus_http_request_duration_seconds{handler="/metrics"}'
    found = played(
        desk,
        "prom.toml",
        2,
        ("threads", "gauge.go_goroutines", "max", "<", 10_000, "1"),
        ("asked", asked, "min", ">", 0.5, "1/s"),
        ("took", took, "p50", "<", 9, "s"),
        ("typo", "gauge.go_gorutines", "max", "<", 1, "1"),
        code=2,
    )
    assert [found[name]["answer"] for name in ("threads", "asked", "took")] == ["PASS"] * 3
    assert "did you mean 'go_goroutines'?" in found["typo"]["sentence"]


ARGV = (
    '"prometheus", "--config.file={directory}/prometheus.yml", '
    '"--storage.tsdb.path={directory}/data", "--web.listen-address=127.0.0.1:7000"'
)
