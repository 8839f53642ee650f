"""Whoever misspells a word is told which one is close, whatever kind of word it is."""

from __future__ import annotations

import pytest

from harness import plugin
from harness.checks import rows
from harness.checks.metrics import METRICS
from harness.choices import LISTED_MOST, any_of, did_you_mean, listed, one_of
from harness.control import state
from harness.control.client import Client
from harness.errors import BadFileError, HarnessError, UnavailableError
from harness.faults.spec import parse
from harness.reports import render
from harness.scenario import files, shipped
from harness.scenario.budget import Budget
from harness.systems.adapters import TABLE, command_fields
from harness.topology import impairment
from harness.topology.topology import Node

NODES = tuple(Node(name=f"node-{index}", region="europe") for index in range(300))
TOPOLOGY = "[nodes]\ncount = 4\nregions = ['europe']\n"
LOADED = "topology = 'cluster-10'\n[[phase]]\nname = 'load'\nduration_s = 1\n"
CHURN = "[[phase.churn]]\nrate_per_s = 0.1\ndown_s = 5\nfloor = 2\n"
ROW = {
    "name": "r",
    "metric": "rss",
    "statistic": "max",
    "unit": "MB",
    "phase": "load",
    "bound": 1,
}


def test_a_word_that_nothing_is_like_has_no_hint():
    assert did_you_mean("zzz", ["count", "prefix"]) == ""
    assert one_of("zzz", []) == "expected one of none; found 'zzz'"


def test_upper_case_and_few_words():
    assert one_of("Halves", ["halves", "ring"]) == (
        "expected one of halves, ring; found 'Halves'; did you mean 'halves'?"
    )


def test_of_many_words_the_closest_are_listed_and_sorted():
    many = [f"word-{number}" for number in range(LISTED_MOST + 1)]
    said = listed(many, "word-17x")
    assert said.startswith(f"{len(many)}, such as ")
    some = said.split("such as ")[1].split(", ")
    assert some == sorted(some)
    assert "word-17" in some
    assert len(some) < len(many)


def read(reader, text, tmp_path):
    file = tmp_path / "file.toml"
    file.write_text(text)
    return reader(file)


def budget(**changes):
    return files.budget_from({"row": [{**ROW, **changes}]}, "b.toml", "b")


def metric(**changes):
    built: Budget = budget(**changes)
    rows.validate(built.rows)


TOLD = {
    "key": (lambda at: read(files.read_topology, "[nodes]\ncuont = 3", at), "count"),
    "key of a fault": (lambda _: parse({"where": "a", "dealy": "1ms"}), "delay"),
    "shape": (
        lambda at: read(files.read_topology, f"{TOPOLOGY}[shape]\nkind = 'rnig'", at),
        "ring",
    ),
    "number of a shape": (
        lambda at: read(
            files.read_topology, f"{TOPOLOGY}[shape]\nkind = 'random-regular'\ndegre = 3", at
        ),
        "degree",
    ),
    "region of a link": (
        lambda at: read(
            files.read_topology,
            f"{TOPOLOGY}[[region_link]]\nbetween = ['europe', 'eurpoe']\ndelay = '1ms'",
            at,
        ),
        "europe",
    ),
    "end of a link": (
        lambda at: read(
            files.read_topology, f"{TOPOLOGY}[[link]]\nbetween = ['node-0', 'nod-1']", at
        ),
        "node-1",
    ),
    "topology of a scenario": (
        lambda at: read(files.read_scenario, LOADED.replace("-10", "-1O"), at),
        "cluster-10",
    ),
    "budget of a scenario": (
        lambda at: read(files.read_scenario, f"budget = 'first-bugdet'\n{LOADED}", at),
        "first-budget",
    ),
    "operation": (
        lambda at: read(
            files.read_scenario,
            f"{LOADED}[[phase.stream]]\noperation = 'brodcast'\nrate_per_s = 1",
            at,
        ),
        "broadcast",
    ),
    "source of a stream": (
        lambda at: read(
            files.read_scenario,
            f"{LOADED}[[phase.stream]]\noperation = 'broadcast'\nrate_per_s = 1\n"
            "sources = ['nodee-3']",
            at,
        ),
        "node-3",
    ),
    "metric": (lambda _: metric(metric="private_mesage.end_to_end"), "private_message.end_to_end"),
    "statistic": (lambda _: metric(statistic="p90.9"), "p99.9"),
    "unit": (lambda _: budget(unit="mb"), "MB"),
    "pattern of a cut": (
        lambda _: parse({"cut": "halfs"}).resolve(NODES, 1),
        "halves",
    ),
    "condition": (lambda _: parse({"where": "node-1", "condition": "stoped"}), "stopped"),
    "way of churn": (
        lambda at: read(files.read_scenario, f"{LOADED}{CHURN}how = 'killled'", at),
        "killed",
    ),
    "state of churn": (
        lambda at: read(files.read_scenario, f"{LOADED}{CHURN}state = 'wiped'", at),
        "wipe",
    ),
    "sessions of churn": (
        lambda at: read(files.read_scenario, f"{LOADED}{CHURN}sessions = 'weibul'", at),
        "weibull",
    ),
    "half-open": (lambda _: parse({"where": "node-1", "half_open": "establish"}), "established"),
    "node of a fault": (
        lambda _: parse({"where": "nod-7", "delay": "1ms"}).resolve(NODES, 1),
        "node-7",
    ),
    "region of a fault": (
        lambda _: parse({"where": "region:eurpe", "delay": "1ms"}).resolve(NODES, 1),
        "europe",
    ),
    "toxic": (lambda _: impairment.Toxic("latncy"), "latency"),
    "attribute of a toxic": (
        lambda _: impairment.Toxic("latency", attributes=(("latncy", 1),)),
        "latency",
    ),
    "stream of a toxic": (lambda _: impairment.Toxic("latency", "upsteam"), "upstream"),
    "system": (lambda _: plugin.load("system", TABLE, "mehsnode"), "meshnode"),
    "field of a command file": (
        lambda _: command_fields.fields("{adress}", ["address"], "f"),
        "{address}",
    ),
    "scenario": (lambda _: shipped.find("fist-budget", "scenarios"), "first-budget"),
    "format": (lambda _: render("htlm", None, {}, ""), "html"),
}


@pytest.mark.parametrize("kind", TOLD)
def test_did_you_mean(kind, tmp_path):
    misspell, meant = TOLD[kind]
    with pytest.raises(HarnessError) as raised:
        misspell(tmp_path)
    assert f"did you mean {meant!r}?" in str(raised.value)


def test_the_error_of_a_metric_lists_some_of_many():
    with pytest.raises(BadFileError) as raised:
        metric(metric="dht_get.respons")
    said = str(raised.value)
    assert f"expected one of {len(METRICS)}, such as " in said
    assert "micro.x25519" not in said
    assert len(said) < 400


def test_a_name_of_a_cluster(tmp_path, monkeypatch):
    monkeypatch.setenv("HARNESS_STATE", str(tmp_path))
    lock = state.Lock("blue-team")
    try:
        with pytest.raises(UnavailableError, match="did you mean 'blue-team'"):
            Client.connect("bleu-team")
    finally:
        lock.remove()


def test_any_of():
    assert any_of(["a"]) == "a"
    assert any_of(["a", "b"]) == "a or b"
    assert any_of(["a", "b", "c"]) == "a, b or c"
