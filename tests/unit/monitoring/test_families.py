"""Families of metrics: what is unknown is absent, units are base units, and there are only so many
series.
"""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import pytest
from kit.seen import answer, finding, host, largest, look, made, series
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from harness.history.shown import Standing
from harness.monitoring import families
from harness.monitoring.families.faults import FAULTS_MOST
from harness.monitoring.families.verdict import ROWS_MOST
from harness.monitoring.seen import Seen, SeenFault
from harness.scenario.budget import UNITS


class Fixed:
    """A collector of what was seen once."""

    def __init__(self, seen: Seen) -> None:
        self._seen = seen

    def collect(self):
        return families.make(self._seen)


def exposed(seen: Seen) -> str:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Fixed(seen))
    return generate_latest(registry).decode()


def names(seen: Seen) -> set[str]:
    return {key[0] for key in series(seen)}


@pytest.mark.parametrize("nodes", [10, 1000])
def test_the_number_of_series_is_bounded(nodes):
    count = len(series(largest(nodes)))
    assert count <= families.SERIES_MOST + families.SERIES_A_NODE * nodes
    assert len(series(largest(nodes + 1))) - count == families.SERIES_A_NODE


def test_without_a_cluster_nothing_is_known_but_that():
    assert series(Seen()) == {("harness_up",): 0.0, ("harness_look_seconds",): 0.0}


def test_what_is_unknown_is_absent_and_not_zero():
    used = answer()["used"]
    used["nodes"] = [[0, 5, 7, 9, None, None]]  # node-1 and node-2 have no process
    used["host"] = host(psi_cpu_some_us=None, packets_dropped=None, cpu_throttled_us=None)
    told = series(Seen(cluster=answer(used=used, up_since=None)))
    assert {key[1][1] for key in told if key[0] == "harness_node_open_fds"} == {"node-0"}
    found = {key[0] for key in told}
    assert not {one for one in found if "network" in one or "pressure" in one or "dropped" in one}
    assert "harness_cluster_start_time_seconds" not in found
    assert "harness_host_cpu_busy_seconds_total" in found
    assert not {one for one in found if one.startswith(("harness_load", "harness_verdict"))}


def test_a_cluster_that_is_starting_uses_nothing_yet():
    starting = answer(stage="starting", used={}, up_since=None)
    told = series(Seen(cluster=starting))
    assert told["harness_cluster_stage", ("stage", "starting")] == 1.0
    assert told["harness_cluster_stage", ("stage", "up")] == 0.0
    found = {key[0] for key in told}
    assert not {one for one in found if one.startswith(("harness_host", "harness_faults"))}
    assert not {one for one in found if one.startswith("harness_node_") and "running" not in one}


def test_every_condition_is_counted_also_one_that_is_new():
    nodes = [["a", "running"], ["b", "paused"], ["c", "asleep"]]
    told = series(Seen(cluster=answer(nodes=nodes)))
    counts = {key[1][1]: value for key, value in told.items() if key[0] == "harness_nodes"}
    zero = dict.fromkeys(("stopped", "killed", "crashed"), 0.0)
    assert counts == {"running": 1.0, "paused": 1.0, "asleep": 1.0, **zero}
    assert told["harness_node_running", ("node", "b")] == 0.0


def test_values_are_in_base_units():
    rows = [
        finding("time", value=12.5, bound=50.0, unit="ms"),
        finding("size", value=30.0, bound=20.0, unit="MB", said="FAIL"),
        finding("share", value=99.9, bound=100.0, unit="%"),
        finding("measured", "MEASURED", value=3.0, bound=None, unit="MiB"),
        finding("nothing", "UNKNOWN", value=None),
        finding("growth", "UNKNOWN", value=7.2, bound=3.6, unit="KB/h"),
        finding("a check", metric="", unit="", value=None, bound=None, phase=""),
    ]
    told = series(Seen(look=look(*rows)))
    values = {
        (key[2][1], key[3][1]): value
        for key, value in told.items()
        if key[0] == "harness_verdict_row_value"
    }
    assert values == {
        ("time", "seconds"): 0.0125,
        ("size", "bytes"): 30e6,
        ("share", "ratio"): pytest.approx(0.999),
        ("measured", "bytes"): 3 * 2**20,
        ("growth", "bytes_per_second"): 2.0,
    }
    bounds = {key[2][1] for key in told if key[0] == "harness_verdict_row_bound"}
    assert bounds == {"time", "size", "share", "nothing", "growth"}


@pytest.mark.parametrize("unit", UNITS)
def test_a_row_of_each_unit_has_series(unit):
    """A slope, in MB/h, left the exporter without an answer."""
    told = names(Seen(look=look(finding("row", value=1.0, unit=unit))))
    assert {"harness_verdict_row_value", "harness_verdict_row_bound"} <= told


def answers(told, row: str) -> dict[str, float]:
    return {
        dict(key[1:])["answer"]: value
        for key, value in told.items()
        if key[0] == "harness_verdict_row_answer" and dict(key[1:])["row"] == row
    }


def test_an_answer_is_a_state_set_and_measured_is_not_pass():
    told = series(Seen(look=look(finding("row", "MEASURED", bound=None))))
    assert answers(told, "row") == {
        "PASS": 0.0, "FAIL": 0.0, "UNKNOWN": 0.0, "NOT ASKED": 0.0, "MEASURED": 1.0,
    }  # fmt: skip


def test_of_two_findings_of_one_name_the_worse_is_told():
    told = series(Seen(look=look(finding("row"), finding("row", "FAIL"), finding("row"))))
    assert answers(told, "row")["FAIL"] == 1.0
    assert answers(told, "row")["PASS"] == 0.0


def test_the_worst_have_series_and_the_others_are_counted():
    rows = [finding(f"row {number}") for number in range(ROWS_MOST)]
    told = series(Seen(look=look(*rows, finding("last", "FAIL"))))
    assert answers(told, "last")["FAIL"] == 1.0
    assert told["harness_verdict_rows_without_series",] == 1.0
    faults = [
        SeenFault(name=f"f{number:03}", does="cut", in_force_s=1, standing=Standing.PROVEN)
        for number in range(FAULTS_MOST)
    ]
    bad = SeenFault(name="z", does="cut", in_force_s=1, standing=Standing.CONTRADICTED)
    told = series(Seen(cluster=answer(), faults=(*faults, bad)))
    assert told["harness_fault_proof", ("fault", "z"), ("proof", "contradicted")] == 1.0
    assert told["harness_faults_without_series",] == 1.0
    assert told["harness_faults_in_force", ("proof", "proven")] == FAULTS_MOST


@pytest.mark.parametrize("name", ['a"b', "a\\b", "line\nline", "{{ .Value }}", "é ☃", "\x7f\x00"])
def test_a_row_may_be_named_anything(name):
    said = exposed(Seen(look=look(finding(name, "FAIL"))))
    found = [
        one.labels["row"]
        for family in text_string_to_metric_families(said)
        for one in family.samples
        if one.name == "harness_verdict_row_answer"
    ]
    assert set(found) == {name}


def test_every_value_is_a_number():
    for family in made(largest(2)):
        assert all(math.isfinite(one.value) for one in family.samples), family


@pytest.mark.prometheus
@pytest.mark.parametrize("seen", [Seen(), largest(3)], ids=["none", "largest"])
def test_promtool_finds_nothing_to_say(seen):
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=exposed(seen),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_the_page_names_every_family():
    page = (Path(__file__).parents[3] / "docs" / "monitoring.md").read_text()
    for family in made(largest(1)):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        assert f"`{name}`" in page, name
