"""Writes docker/monitoring/dashboards/*.json, Grafana's dashboards, from the tables below by
Grafana's own library (grafana-foundation-sdk, Apache-2.0).

``python scripts/make_dashboards.py`` writes; a unit test compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common as options
from grafana_foundation_sdk.builders import dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import (
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TARGET = Path(__file__).parent.parent / "docker" / "monitoring" / "dashboards"
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")
ALL = '{cluster=~"$cluster"}'
WIDTH, HEIGHT = 12, 8  # of 24 columns; a row is some 30 pixels


@dataclass(frozen=True, slots=True)
class Chart:
    """A panel: lines over time of one query or several, each with its legend."""

    title: str
    queries: tuple[tuple[str, str], ...]  # PromQL, in which ALL stands for @; legend
    unit: str = "short"
    says: str = ""


@dataclass(frozen=True, slots=True)
class Now(Chart):
    """A panel: values as they are now, as tiles."""


@dataclass(frozen=True, slots=True)
class Table(Chart):
    """A panel: values as they are now, a row each, with their labels."""


RATE = "[$__rate_interval]"
OK = 'outcome="ok"'
FAILED = 'outcome!="ok"'
RESPONSE = f"sum by (operation, le) (rate(harness_load_response_seconds_bucket@{RATE}))"
ENDED = f"sum by (operation) (rate(harness_load_operations_total@{RATE}))"
ENDED_OK = f"sum by (operation) (rate(harness_load_operations_total@|{OK}|{RATE}))"
ENDED_BADLY = f"sum by (operation) (rate(harness_load_operations_total@|{FAILED}|{RATE}))"
BY_OUTCOME = ENDED_BADLY.replace("(operation)", "(operation, outcome)")
OF_BUCKETS = "From the intended send. Quantiles of buckets; the verdict has those of all values."
OF_PROMISED = (
    "harness_verdict_row_value@ / on (cluster, row, phase) harness_verdict_row_bound@ < +Inf"
)
LAG = f"sum by (operation, le) (rate(harness_load_lag_seconds_bucket@{RATE}))"
DASHBOARDS: dict[str, tuple[str, tuple[Chart, ...]]] = {
    "cluster": (
        "Cluster: nodes, what they use, and the host",
        (
            Now("Supervisor answers", (("harness_up@", "up"),)),
            Now("Nodes now", (("sum by (condition) (harness_nodes@)", "{{condition}}"),)),
            Chart("Nodes by condition", (("harness_nodes@", "{{condition}}"),)),
            Chart(
                "Nodes that ended by themselves",
                (("harness_nodes_ended@", "ended"), ("sum(harness_node_running@)", "running")),
            ),
            Chart(
                "Memory: the ten largest",
                (("topk(10, harness_node_resident_memory_bytes@)", "{{node}}"),),
                "bytes",
            ),
            Chart(
                "Memory of all nodes",
                (
                    ("max(harness_node_resident_memory_bytes@)", "largest"),
                    ("quantile(0.5, harness_node_resident_memory_bytes@)", "median"),
                    ("sum(harness_node_resident_memory_bytes@)", "sum"),
                ),
                "bytes",
            ),
            Chart(
                "CPU: the ten busiest, of one core",
                ((f"topk(10, rate(harness_node_cpu_seconds_total@{RATE}))", "{{node}}"),),
                "percentunit",
            ),
            Chart(
                "Open descriptors: the ten with most",
                (("topk(10, harness_node_open_fds@)", "{{node}}"),),
            ),
            Chart(
                "Data plane, all nodes",
                (
                    (f"sum(rate(harness_node_network_receive_bytes_total@{RATE}))", "received"),
                    (f"sum(rate(harness_node_network_transmit_bytes_total@{RATE}))", "sent"),
                ),
                "Bps",
            ),
            Chart(
                "CPU of the host, of all cores",
                (
                    (
                        f"rate(harness_host_cpu_busy_seconds_total@{RATE}) / harness_host_cores@",
                        "busy",
                    ),
                    (
                        f"rate(harness_host_cpu_steal_seconds_total@{RATE}) / harness_host_cores@",
                        "stolen",
                    ),
                    (f"rate(harness_host_cpu_pressure_seconds_total@{RATE})", "some task waited"),
                ),
                "percentunit",
                "A host that is full decides times: the verdict says where it did.",
            ),
            Chart(
                "Memory that the host can give",
                (("harness_host_memory_available_bytes@", "available"),),
                "bytes",
            ),
            Chart(
                "The harness itself, of one core",
                (
                    (f"rate(harness_process_cpu_seconds_total@{RATE})", "{{process}}"),
                    (f"rate(process_cpu_seconds_total@{RATE})", "harness metrics"),
                ),
                "percentunit",
            ),
        ),
    ),
    "load": (
        "Load: what was sent, and what became of it",
        (
            Now("Phase", (("harness_run_phase@", "{{phase}}"),)),
            Now(
                "Operations so far",
                (("sum by (outcome) (harness_load_operations_total@)", "{{outcome}}"),),
            ),
            Chart(
                "Operations that ended",
                ((ENDED, "{{operation}}"),),
                "ops",
            ),
            Chart(
                "Failed or unknown",
                ((BY_OUTCOME, "{{operation}} {{outcome}}"),),
                "ops",
            ),
            Chart(
                "In flight",
                (("harness_load_operations_in_flight@", "{{operation}}"),),
                says="Due, and without an end in the record, as of the newest look of the judge.",
            ),
            Chart(
                "Share that ended well",
                ((f"{ENDED_OK} / {ENDED}", "{{operation}}"),),
                "percentunit",
            ),
            Chart(
                "Response time, p50",
                ((f"histogram_quantile(0.5, {RESPONSE})", "{{operation}}"),),
                "s",
                OF_BUCKETS,
            ),
            Chart(
                "Response time, p99",
                ((f"histogram_quantile(0.99, {RESPONSE})", "{{operation}}"),),
                "s",
                OF_BUCKETS,
            ),
            Chart(
                "How late the generator sent, p99",
                ((f"histogram_quantile(0.99, {LAG})", "{{operation}}"),),
                "s",
            ),
            Chart(
                "Sent",
                ((f"rate(harness_load_operations_sent_total@{RATE})", "{{operation}}"),),
                "ops",
            ),
        ),
    ),
    "faults": (
        "Faults: what is in force, and how well it is proven",
        (
            Now("In force", (("sum(harness_faults_in_force@)", "faults"),)),
            Now(
                "Proven",
                (("harness_faults_in_force@", "{{proof}}"),),
                says="Contradicted: a look showed that it is not what was asked.",
            ),
            Table("Faults in force, for how long", (("harness_fault_in_force_seconds@", ""),), "s"),
            Table("How well each is proven", (("harness_fault_proof@ == 1", ""),)),
            Chart("Faults in force", (("harness_faults_in_force@", "{{proof}}"),)),
            Chart(
                "Looks at faults",
                ((f"rate(harness_fault_looks_total@{RATE})", "{{answer}}"),),
                "ops",
            ),
            Chart(
                "Operations that failed or are unknown",
                ((ENDED_BADLY, "{{operation}}"),),
                "ops",
            ),
            Chart("Nodes by condition", (("harness_nodes@", "{{condition}}"),)),
        ),
    ),
    "verdict": (
        "Verdict: every row so far",
        (
            Now("Answer", (("harness_verdict_answer@ == 1", "{{answer}}"),)),
            Now("Final (1), or so far (0)", (("harness_verdict_final@", "final"),)),
            Table(
                "Rows of the budget",
                (('harness_verdict_row_answer@|metric!=""| == 1', ""),),
            ),
            Table(
                "What every run is held to", (('harness_verdict_row_answer@|metric=""| == 1', ""),)
            ),
            Table("Why a finding is UNKNOWN", (("harness_verdict_row_cause@", ""),)),
            Chart("Findings by answer", (("harness_verdict_findings@", "{{answer}}"),)),
            Chart(
                "Times: measured and promised",
                (
                    ('harness_verdict_row_value@|unit="seconds"|', "{{row}}"),
                    ('harness_verdict_row_bound@|unit="seconds"|', "{{row}}: promised"),
                ),
                "s",
            ),
            Chart(
                "Shares: measured and promised",
                (
                    ('harness_verdict_row_value@|unit="ratio"|', "{{row}}"),
                    ('harness_verdict_row_bound@|unit="ratio"|', "{{row}}: promised"),
                ),
                "percentunit",
            ),
            Chart(
                "Sizes: measured and promised",
                (
                    ('harness_verdict_row_value@|unit="bytes"|', "{{row}}"),
                    ('harness_verdict_row_bound@|unit="bytes"|', "{{row}}: promised"),
                ),
                "bytes",
            ),
            Chart(
                "Measured, of what is promised",
                ((OF_PROMISED, "{{row}}"),),
                "percentunit",
            ),
        ),
    ),
}


def expression(text: str) -> str:
    """PromQL of a query of the tables: ``@`` becomes the cluster, ``@|more|`` that and more."""
    first, *parts = text.split("@")
    said = first
    for part in parts:
        if part.startswith("|"):
            more, _, rest = part[1:].partition("|")
            said += f"{ALL[:-1]}, {more}}}{rest}"
        else:
            said += ALL + part
    return said


def panel(chart: Chart, at: int) -> object:
    """Grafana's panel of a chart."""
    made = {Chart: timeseries.Panel, Now: stat.Panel, Table: table.Panel}[type(chart)]()
    made.title(chart.title).description(chart.says).datasource(SOURCE).unit(chart.unit)
    made.span(WIDTH).height(HEIGHT).id(at + 1)
    if isinstance(chart, Now):
        made.height(4).color_mode(common.BigValueColorMode.VALUE).reduce_options(
            options.ReduceDataOptions().calcs(["lastNotNull"]).values(values=False)
        )
    elif isinstance(chart, Table):
        drop = {"Time": True, "__name__": True, "instance": True, "job": True}
        made.filterable(filterable=True).with_transformation(
            DataTransformerConfig(id_val="organize", options={"excludeByName": drop})
        )
    else:
        made.line_width(1).fill_opacity(5).legend(
            options.VizLegendOptions()
            .display_mode(common.LegendDisplayMode.LIST)
            .placement(common.LegendPlacement.BOTTOM)
            .show_legend(show_legend=True)
        )
    for number, (query, legend) in enumerate(chart.queries):
        asked = prometheus.Dataquery().expr(expression(query)).ref_id(chr(ord("A") + number))
        asked.datasource(SOURCE)
        if isinstance(chart, Table):
            asked.instant().format(PromQueryFormat.TABLE)
        elif isinstance(chart, Now):  # over a range, the last value of what is no longer so stays
            asked.instant().legend_format(legend)
        else:
            asked.range().legend_format(legend)
        made.with_target(asked)
    return made


def made(name: str) -> str:
    """A dashboard as JSON."""
    title, charts = DASHBOARDS[name]
    board = (
        dashboard.Dashboard(title)
        .uid(f"harness-{name}")
        .tags(["harness"])
        .editable()
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("browser")
        .link(
            dashboard.DashboardLink("harness")
            .type(DashboardLinkType.DASHBOARDS)
            .tags(["harness"])
            .include_vars(include_vars=True)
            .keep_time(keep_time=True)
        )
        .with_variable(dashboard.DatasourceVariable("source").label("Source").type("prometheus"))
        .with_variable(
            dashboard.QueryVariable("cluster")
            .label("Cluster")
            .query("label_values(harness_up, cluster)")
            .datasource(SOURCE)
            .include_all(include_all=True)
            .all_value(".*")
        )
    )
    for at, chart in enumerate(charts):
        board.with_panel(panel(chart, at))
    return JSONEncoder(sort_keys=True, indent=1).encode(board.build()) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        (TARGET / f"{each}.json").write_text(made(each))
