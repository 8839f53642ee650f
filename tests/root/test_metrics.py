"""`harness metrics` beside a real cluster under load, scraped by a real Prometheus."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.desk import TEN, Desk, wait_for
from kit.prometheus import Prometheus, free_port
from prometheus_client.parser import text_string_to_metric_families

from harness.monitoring import families

pytestmark = [pytest.mark.root, pytest.mark.slow]
needs_prometheus = pytest.mark.prometheus
MONITORING = Path(__file__).parents[2] / "docker" / "monitoring"
SCENARIO = """
topology = "ten.toml"
budget = "promises.toml"
[[phase]]
name = "load"
duration_s = 600
[[phase.stream]]
operation = "private_message"
rate_per_s = 50
[[phase.stream]]
operation = "dht_put"
rate_per_s = 10
[[phase.fault]]
at_s = 1
for_s = 590
name = "slow"
where = "node-1 -> node-2"
delay = "40ms"
"""
ROW = """
[[row]]
name = "{name}"
metric = "{metric}"
statistic = "{statistic}"
comparison = "{comparison}"
bound = {bound}
unit = "{unit}"
phase = "load"
"""
PROMISES = "".join(
    ROW.format(name=name, metric=metric, statistic=statistic, comparison=comparison, bound=bound,
               unit=unit)
    for name, metric, statistic, comparison, bound, unit in (
        ("too small", "rss", "max", "<", 1, "MB"),  # missed anywhere
        ("delivered", "private_message.delivered", "mean", ">=", 1, "%"),  # kept anywhere
        ("time", "private_message.end_to_end", "p50", "<", 60, "s"),
        ("never asked", "broadcast.coverage", "min", ">=", 100, "%"),  # nothing is sent
    )
)  # fmt: skip


class Metrics:
    """`harness metrics` of a desk, while it serves."""

    def __init__(self, desk: Desk, *words: str) -> None:
        self.process = desk.start("metrics", "--port", "0", *words)
        said = self.process.stderr.readline()
        self.at = re.search(r"http://(\S+)/metrics", said).group(1)

    def get(self) -> str:
        with urllib.request.urlopen(f"http://{self.at}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def series(self) -> dict[tuple, float]:
        return {
            (one.name, *sorted(one.labels.items())): one.value
            for family in text_string_to_metric_families(self.get())
            for one in family.samples
        }

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def interrupt(run) -> None:
    run.send_signal(signal.SIGINT)
    run.communicate(timeout=120)


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A desk with a run under way, its metrics, and a Prometheus that has a few scrapes."""
    desk = Desk(tmp_path_factory.mktemp("metrics"))
    metrics = prometheus = None
    try:
        for name, text in (("ten", TEN), ("promises", PROMISES), ("long", SCENARIO)):
            desk.write(f"{name}.toml", text)
        rules = desk.write("rules.yml", desk.ok("metrics", "--rules", "promises.toml"))
        metrics = Metrics(desk)
        shipped = sorted((MONITORING / "rules").glob("*.yml"))
        prometheus = Prometheus(desk.folder / "prometheus", metrics.at, [rules, *shipped])
        before = prometheus.query("harness_up"), metrics.series()
        run = desk.start("run", "long.toml")
        yield desk, metrics, prometheus, run, before
    finally:
        if prometheus is not None:
            prometheus.close()
        if metrics is not None:
            metrics.end()
        desk.close()


def queries():
    for board in sorted((MONITORING / "dashboards").glob("*.json")):
        for panel in json.loads(board.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{board.stem}: {panel['title']} {target['refId']}", target["expr"]


def now(expression: str) -> str:
    """A panel's query as Grafana asks it: all clusters, a range of a few scrapes."""
    return expression.replace("$cluster", ".*").replace("$__rate_interval", "10s")


@needs_prometheus
def test_before_a_cluster_it_says_up_0_and_nothing_else(watched):
    _, _, _, _, (_, series) = watched
    assert series["harness_up",] == 0.0
    assert {key[0] for key in series if key[0].startswith("harness")} == {
        "harness_up",
        "harness_look_seconds",
    }


@needs_prometheus
def test_every_panel_is_answered_with_data(watched):
    prometheus = watched[2]
    asked = dict(queries())
    assert len(asked) > 40

    def without_data() -> Iterator[str]:
        return (name for name, one in asked.items() if not prometheus.query(now(one)))

    wait_for(lambda: next(without_data(), None) is None, lambda: [*without_data()], 180)


@needs_prometheus
def test_a_missed_row_fires_an_alert_and_a_kept_one_does_not(watched):
    prometheus = watched[2]
    wait_for(
        lambda: (
            {
                ("HarnessBudgetRowFails", "too small"),
                ("HarnessVerdictFails", ""),
            }
            <= prometheus.firing()
        ),
        prometheus.firing,
        120,
    )
    rows = {row for name, row in prometheus.firing() if name.startswith("HarnessBudget")}
    assert rows == {"too small"}
    value = prometheus.value('harness_verdict_row_value{row="too small"}')
    assert value > prometheus.value('harness_verdict_row_bound{row="too small"}') == 1e6


@needs_prometheus
def test_the_fault_is_told_with_its_proof(watched):
    prometheus = watched[2]
    proven = 'harness_fault_proof{fault="slow", proof="proven"} == 1'
    wait_for(lambda: prometheus.query(proven), lambda: prometheus.query("harness_fault_proof"), 120)
    assert prometheus.value("sum(harness_faults_in_force)") == 1.0


@needs_prometheus
def test_what_nodes_use_is_what_the_kernel_says(watched):
    desk, metrics, *_ = watched
    told = metrics.series()
    for node in desk.status()["nodes"]:
        rss = told["harness_node_resident_memory_bytes", ("node", node["name"])]
        pages = int(Path(f"/proc/{node['pid']}/statm").read_text().split()[1])
        assert rss == pytest.approx(pages * os.sysconf("SC_PAGE_SIZE"), rel=0.3)
        stat = Path(f"/proc/{node['pid']}/stat").read_text().rpartition(")")[2].split()
        used_s = (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK")
        cpu = told["harness_node_cpu_seconds_total", ("node", node["name"])]
        assert 0 < cpu <= used_s + 0.05


@needs_prometheus
def test_a_node_that_stops_uses_nothing_and_totals_never_fall(watched):
    desk, metrics, *_ = watched
    before = metrics.series()
    desk.ok("condition", "node-9", "stopped")
    wait_for(lambda: metrics.series()["harness_nodes", ("condition", "stopped")] == 1.0)
    told = metrics.series()
    assert told["harness_node_running", ("node", "node-9")] == 0.0
    assert ("harness_node_open_fds", ("node", "node-9")) not in told
    assert ("harness_node_cpu_seconds_total", ("node", "node-9")) not in told
    desk.ok("condition", "node-9", "running")
    wait_for(lambda: metrics.series()["harness_nodes", ("condition", "running")] == 10.0)
    after = metrics.series()
    for key, value in before.items():
        if key[0].endswith(("_total", "_bucket", "_count")) and ("node", "node-9") not in key:
            assert after[key] >= value, key
    assert len(after) <= families.SERIES_MOST + 10 * families.SERIES_A_NODE


@needs_prometheus
def test_it_goes_on_when_the_cluster_ends_and_comes_again(watched):
    desk, metrics, prometheus, run, _ = watched
    interrupt(run)
    wait_for(lambda: prometheus.value("harness_up") == 0.0, prometheus.firing)
    folder = (desk.runs / "latest").resolve()
    counts = json.loads((folder / "metadata.json").read_text())["load"]["operations"]
    told = metrics.series()
    for word, facts in counts.items():
        for outcome in ("ok", "failed", "unknown"):
            key = ("harness_load_operations_total", ("operation", word), ("outcome", outcome))
            assert told[key] == facts[outcome]
    assert told["harness_run_info", ("run", str(folder))] == 1.0
    assert not {key[0] for key in told if key[0].startswith(("harness_node", "harness_host"))}
    desk.harness("judge", str(folder))
    final = json.loads((folder / "verdict.json").read_text())
    told = metrics.series()
    assert told["harness_verdict_final",] == 1.0
    assert told["harness_verdict_answer", ("answer", final["answer"])] == 1.0
    desk.ok("up", "ten.toml")
    wait_for(lambda: prometheus.value("harness_up") == 1.0)
    assert metrics.series()["harness_run_in_progress",] == 0.0
    os.kill(desk.supervisor(), signal.SIGKILL)
    wait_for(lambda: prometheus.value("harness_up") == 0.0)
    desk.harness("doctor")


def test_a_cluster_without_a_run_is_told_and_leaves_nothing(tmp_path):
    desk = Desk(tmp_path)
    try:
        desk.write("ten.toml", TEN)
        desk.ok("up", "ten.toml")
        first = json.loads(desk.ok("metrics", "--once", "--json"))
        assert first["version"] == 1
        by_name = {family["name"]: family for family in first["families"]}
        assert len(by_name["harness_node_cpu_seconds"]["samples"]) == 10
        assert "harness_verdict_answer" not in by_name
        metrics = Metrics(desk)
        supervisor = desk.supervisor()
        held = len(os.listdir(f"/proc/{supervisor}/fd"))
        for _ in range(5):
            metrics.series()
            time.sleep(0.2)
        assert len(os.listdir(f"/proc/{supervisor}/fd")) <= held + 5
        assert metrics.end(signal.SIGINT) == 130
        desk.ok("down")
        desk.assert_nothing_left()
    finally:
        desk.close()


def test_a_port_in_use_is_refused_with_a_sentence(tmp_path):
    desk = Desk(tmp_path)
    try:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = desk.harness("metrics", "--port", str(port))
        assert done.returncode == 69
        assert f"127.0.0.1:{port} is in use" in done.stderr
        assert len(done.stderr.splitlines()) == 1
        assert free_port() > 0
    finally:
        desk.close()


def test_what_looks_at_the_verdict_ends_with_it(tmp_path):
    """Also where it is killed."""
    desk = Desk(tmp_path)
    try:
        for name, text in (("ten", TEN), ("promises", PROMISES), ("long", SCENARIO)):
            desk.write(f"{name}.toml", text)
        run, metrics = desk.start("run", "long.toml"), Metrics(desk)

        def lookers() -> list[int]:
            return [pid for pid, line in desk.processes().items() if "experiments.looks" in line]

        def looks() -> list[int]:
            metrics.get()
            return lookers()

        wait_for(looks)
        assert metrics.end(signal.SIGKILL) == -signal.SIGKILL
        wait_for(lambda: not lookers())
        interrupt(run)
        desk.assert_nothing_left()
    finally:
        desk.close()
