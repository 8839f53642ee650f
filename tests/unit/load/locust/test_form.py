"""What the start form means, and what the page says when there is no cluster or no verdict."""

from __future__ import annotations

import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kit.verdicts import FACTS, VERDICT
from werkzeug.datastructures import MultiDict

from harness.errors import BadFileError, HarnessError, NameTakenError, UnavailableError, UsageError
from harness.experiments.judge import Judged
from harness.load import request as requests
from harness.load.locust.tabs import banner, form, verdict
from harness.operations import Operation
from harness.scenario import shipped
from harness.scenario.files import read_topology
from harness.scenario.stream import Stream

GONE = UnavailableError("no cluster 'main' is up")


def status(topology: str = "cluster-10", **changes: Any) -> dict[str, Any]:
    built = read_topology(shipped.find(topology, "topologies"))
    built = replace(built, adapter=changes.get("adapter", built.adapter))
    said = {
        "cluster": "main",
        "adapter": "meshnode",
        "runtime": "netns",
        "topology": built.name,
        "topology_digest": built.digest(),
        "nodes": [{}] * len(built.nodes),
    }
    return said | changes


def given(**changes: Any) -> Namespace:
    plain = {"scenario": "", "system": "", "runs": "runs", "budget": "auto", "seed": 1}
    return Namespace(**{**plain, **changes})


def backends() -> dict[str, str]:
    return {"cut": "nftables", "loss": "nftables", "delay": "none"}


class Messages:
    @staticmethod
    def stream(_: Any) -> Stream:
        return Stream(operation=Operation.PRIVATE_MESSAGE, rate_per_s=1.0)


def test_beside_a_scenario_no_field_counts_that_it_says_itself():
    asked = MultiDict({"scenario": " demo ", "seed": "x", "runs": "there", "run_time": "5s"})
    assert dict(form.meant(asked)) == {"scenario": "demo", "runs": "there"}
    asked["scenario"] = " "
    assert form.meant(asked)["seed"] == "x"


@pytest.mark.parametrize(("was", "kind"), [(1, "a whole number"), (1.0, "a number")])
def test_a_number_that_is_none_is_said_to_be_of_its_kind(was, kind):
    with pytest.raises(UsageError, match=f"seed: expected {kind}, found '1,5'"):
        form.filled(Namespace(seed=was), {"seed": "1,5"})


def test_a_folder_that_no_run_can_be_written_to_is_refused_on_the_form(tmp_path):
    (taken := tmp_path / "file").touch()
    environment: Any = SimpleNamespace(
        parsed_options=given(runs="runs"), available_user_classes={"Messages": Messages}
    )
    seen: Any = SimpleNamespace(ask=lambda _: status())
    for folder in (taken, taken / "below"):
        with pytest.raises(HarnessError, match="no run can be written there"):
            form.streams(environment, seen, MultiDict({"runs": str(folder)}))
    fresh = tmp_path / "new" / "runs"
    assert form.streams(environment, seen, MultiDict({"runs": str(fresh)})) == ["Messages"]
    assert not fresh.parent.exists()  # nothing has begun
    with pytest.raises(UsageError, match="runs: expected a folder, found none"):
        form.streams(environment, seen, MultiDict({"runs": " "}))


def test_a_run_time_is_locusts_to_read_also_after_a_run_that_had_one():
    assert form.filled(Namespace(run_time=60), {"run_time": "3m"}).run_time == 60


def test_a_scenario_is_compiled_as_harness_run_does():
    made = requests.made(given(scenario="first-budget"), [], status(), backends)
    assert made.begin["scenario"] == "first-budget"
    assert made.begin["budget"].endswith("budgets/first-budget.toml")
    assert made.begin["timeline"]["phases"][0]["name"] == made.phases[0].name
    assert made.left_out == ()


def test_another_system_is_asked_for_the_part_that_it_can_do():
    asked = given(scenario="first-budget", system="serf")
    made = requests.made(asked, [], status(adapter="serf"), backends)
    sent = {one.operation for phase in made.phases for one in phase.streams}
    assert (sent, made.left_out) == ({Operation.BROADCAST}, ("private_message",))
    assert made.other_system is not None
    facts = made.facts(["worker"], 1)
    assert facts["other_system"] == made.other_system.as_json()
    assert facts["left_out"] == ["private_message"]


def test_the_load_of_a_run_that_has_begun_is_of_its_cluster(monkeypatch, tmp_path):
    """`harness run --system serf` has begun it, and its generator reads the same file."""
    monkeypatch.setenv("HARNESS_RUN", str(tmp_path))
    made = requests.made(given(scenario="first-budget"), [], status(adapter="serf"), backends)
    assert "private_message" in made.left_out
    assert all(
        one.operation is Operation.BROADCAST for phase in made.phases for one in phase.streams
    )


def test_a_scenario_that_was_changed_while_its_run_began_is_not_sent(monkeypatch, tmp_path):
    """By the timeline of one file and the streams of another, and the run folder kept the first."""
    file = tmp_path / "mine.toml"
    text = shipped.find("first-budget", "scenarios").read_text()
    file.write_text(text)
    (tmp_path / "scenario.toml").write_text(text)
    monkeypatch.setenv("HARNESS_RUN", str(tmp_path))
    requests.made(given(scenario=str(file)), [], status(), backends)
    file.write_text(text.replace("rate_per_s = ", "rate_per_s = 1"))
    with pytest.raises(BadFileError, match="changed while the run began"):
        requests.made(given(scenario=str(file)), [], status(), backends)


def test_what_was_not_picked_by_hand_is_left_out():
    made = requests.made(given(), [Messages], status(), backends)
    assert set(made.left_out) == {one.word for one in Operation} - {"private_message"}


@pytest.mark.parametrize(
    ("scenario", "cluster", "error", "sentence"),
    [
        ("demo", status(), NameTakenError, "`harness down`, `harness up cluster-100`, and start"),
        ("first-budget", status(adapter="serf"), NameTakenError, "up with serf"),
        ("first-budget", status(topology_digest="0"), NameTakenError, "differs from the file's"),
        ("opendht", status(), NameTakenError, "--system opendht"),
        ("meshara", status(), UsageError, "`harness run meshara` plays it"),
        ("faults-tour", status("three-regions-10"), UnavailableError, "fault .*: delay"),
        ("first-budge", status(), HarnessError, "did you mean"),
    ],
)
def test_a_scenario_that_this_cluster_cannot_play_is_refused(scenario, cluster, error, sentence):
    with pytest.raises(error, match=sentence):
        requests.made(given(scenario=scenario), [], cluster, backends)


def desk(*, broken: HarnessError | None = None, down: bool = False, **changes: Any) -> Any:
    def faults() -> list[dict[str, Any]]:
        if down:
            raise GONE
        return []

    master = SimpleNamespace(broken=broken, plan=None, tallies=dict)
    return SimpleNamespace(
        **{"master": master, "faults": faults, "refusal": "", "run": None} | changes
    )


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (desk(), []),
        (desk(down=True), [str(GONE)]),
        (
            desk(down=True, broken=UnavailableError("it is gone")),
            [f"the run was cut short: {GONE}"],
        ),
        (desk(broken=UnavailableError("it is gone")), ["the run was cut short: it is gone"]),
        (
            desk(down=True, broken=HarnessError("the disk is full")),
            ["the run was cut short: the disk is full", str(GONE)],
        ),
        (desk(refusal="no such budget"), ["the run did not start: no such budget"]),
    ],
)
def test_the_banner_says_once_what_is_wrong(seen, said):
    assert [line["text"] for line in banner.lines(seen)] == said


def test_the_verdict_tab_lists_what_was_not_asked_and_counts_the_rows(tmp_path: Path):
    judged = Judged(run=tmp_path, verdict=VERDICT, facts=FACTS)
    (tmp_path / "verdict.json").write_text(json.dumps(judged.as_json()))
    told, table = verdict.view(desk(run=tmp_path), "")[-2:]
    assert told["text"].startswith("0 of 1 rows of the budget judged; 5 findings: ")
    assert [row["cells"][1]["text"] for row in table["rows"]] == [
        "FAIL", "UNKNOWN", "PASS", "MEASURED", "NOT ASKED",
    ]  # fmt: skip


def test_a_run_that_is_over_without_a_verdict_is_not_said_to_go_on(tmp_path: Path):
    [said] = verdict.view(desk(run=tmp_path), "")
    assert said["text"].startswith("UNKNOWN: the run is over and has no verdict")


@pytest.mark.parametrize(
    ("plan", "is_over", "is_judged", "said"),
    [
        ("a run", False, False, []),
        ("a run", True, False, ["the run is over, and is being judged"]),
        (None, False, False, []),
        (None, False, True, ["FAIL: the verdict of"]),
    ],
)
def test_a_stop_shows_the_verdict(tmp_path: Path, plan, is_over, is_judged, said):
    seen = desk(run=tmp_path)
    seen.master.plan, seen.master.is_over = plan, is_over
    if is_judged:
        Judged(run=tmp_path, verdict=VERDICT, facts=FACTS).write()
    lines = banner.lines(seen)
    assert [line["text"][: len(start)] for line, start in zip(lines, said, strict=True)] == said
    if is_judged:
        assert "missed: " in lines[0]["text"]
        assert (lines[0]["level"], lines[0]["href"]) == ("bad", "./p2p/report")


def test_of_many_faults_the_banner_names_the_worst_proven():
    """Each node of a churn that is away has a fault of its own."""
    fault = {"does": "killed", "in_force": "1 s", "left_s": None, "paths": 0}
    levels = ["good", "warn", "good", "bad", "good", "good"]
    rows = [
        fault | {"name": f"churn node-{at}", "nodes": [f"node-{at}"], "proof": ("…", level)}
        for at, level in enumerate(levels)
    ]
    *named, rest = banner.lines(desk(faults=lambda: rows))
    assert [line["text"].split(" ")[1] for line in named] == [
        "node-3", "node-1", "node-0", "node-2",
    ]  # fmt: skip
    assert [line["level"] for line in named] == ["bad", "warn", "", ""]
    assert rest == {"text": "2 more faults are in force: the tab Faults has them", "level": ""}
    assert len(banner.lines(desk(faults=lambda: rows[:4]))) == 4
