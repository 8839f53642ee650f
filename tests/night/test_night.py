"""The night as it is played everywhere, in five minutes: `make nightly DURATION=5m`.

What fits into that time is played, what does not is skipped and said. The suite of tests is one of
the criteria: it takes longer than is left, so it is never played inside itself. Where the host was
busy a time may be UNKNOWN, for a cause that says so; nothing may be NOT MET.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import tomllib
from html import unescape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from kit.desk import ROOT, Desk

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1500)]

SKIPPED = re.compile(r"skipped: (a run takes about [\d,]+ s, )?[\d,]+ s of [\d,]+ were left")
# Why something of a run may be UNKNOWN: others had the host, or it lived too short. Nothing that
# was lost is among them, nor a check that broke.
EXCUSES = {
    "host limited",
    "generator fell behind",
    "load not delivered",
    "fault not proven",
    "a fault stood too long",
    "others may have sent it",
    "too few samples",
}
SMALL, SOAK = "ten nodes, healthy", "a soak of ten nodes"
PROJECT, SET_UP = "what the project promises of itself", "wheel and clean set-up"
PLAYED = (SMALL, SOAK, PROJECT)


class Night:
    """What a gate wrote: its folder, its verdict, and the run of each criterion."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.verdict: dict[str, Any] = json.loads((folder / "verdict.json").read_text())
        self.findings = {one["name"]: one for one in self.verdict["findings"]}
        tried = json.loads((folder / "gate.json").read_text())["criteria"]
        self.runs = {
            one["name"]: [folder / run["folder"] for run in one["runs"] if "folder" in run]
            for one in tried
        }
        self.skipped = {one["name"] for one in tried if not one["runs"]}


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    made = Desk(tmp_path_factory.mktemp("night"), "night")
    # Like a person's: neither the options of the `make` that runs the tests, nor a runtime of ours.
    ours = {"MAKEFLAGS", "MFLAGS", "MAKELEVEL"}
    others = {key: value for key, value in made.environment.items() if key not in ours}
    made.environment = {**others, "RUNTIME": "auto"}
    yield made
    made.close()


@pytest.fixture(scope="module")
def played(desk):
    """Play it: the exit code, and what was printed."""
    playing = subprocess.Popen(
        ["make", "nightly", "DURATION=5m"],
        cwd=ROOT,
        env=desk.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = playing.communicate()
    finally:
        if playing.poll() is None:
            os.killpg(playing.pid, signal.SIGINT)
            playing.communicate()
    print(said)
    return playing.returncode, said


@pytest.fixture(scope="module")
def night(desk, played):
    return Night(desk.runs / "latest")


def asked(gate: str) -> list[str]:
    """The criteria of a shipped gate, by its file alone."""
    table = tomllib.loads((ROOT / "gates" / f"{gate}.toml").read_text())
    return [one["name"] for one in table["criterion"]]


def test_all_is_answered_and_nothing_is_not_met(night, played):
    """And the exit code says it: 2 is PARTIAL, which `make` passes on as the 2 of its own."""
    code, said = played
    assert [*night.findings] == asked("nightly")
    answers = {name: one["answer"] for name, one in night.findings.items()}
    assert {*answers.values()} <= {"PASS", "UNKNOWN"}, night.findings
    assert (night.verdict["answer"], night.verdict["exit_code"]) == ("UNKNOWN", 2)
    assert (code, "Error 2" in said) == (2, True), said


@pytest.mark.parametrize("criterion", [SMALL, SOAK])
def test_what_fits_was_played_whole(night, criterion):
    """Where something of it is UNKNOWN, it is because others had the host."""
    [run] = night.runs[criterion]
    found = json.loads((run / "verdict.json").read_text())
    assert "FAIL" not in {one["answer"] for one in found["findings"]}
    doubts = {one["name"]: one["cause"] for one in found["findings"] if one["answer"] == "UNKNOWN"}
    assert {*doubts.values()} <= EXCUSES, doubts
    assert night.findings[criterion]["answer"] == ("UNKNOWN" if doubts else "PASS")
    kept = {one["name"] for one in found["findings"] if one["answer"] == "PASS"}
    if criterion == SOAK:
        assert found["soak"]["windows"][-1]["number"] == 2
        assert "soak: windows" in kept, found["findings"]
    else:
        assert kept >= {"nodes: alive throughout"}, kept


def test_the_projects_own_gate_was_played_without_its_suite(night):
    project = Night(night.runs[PROJECT][0])
    assert [*project.findings] == asked("project")
    [run] = project.runs[SET_UP]
    rows = {one["name"]: one for one in json.loads((run / "verdict.json").read_text())["findings"]}
    assert rows["wheel"]["answer"] == "PASS"
    assert rows["clean set-up"]["answer"] == "PASS" or rows["clean set-up"]["cause"] in EXCUSES
    said = (project.folder / "project.log").read_text()
    assert "bench-project: make setup" in said
    assert "bench-project: make test" not in said
    assert "full test suite" in project.skipped
    assert SKIPPED.fullmatch(project.findings["full test suite"]["sentence"])


def test_what_was_skipped_is_said(night):
    """On the page too, as JUnit and as HTML: never as if it had been met."""
    assert night.skipped.isdisjoint(PLAYED)
    assert night.skipped >= {"every row of the tables, a thousand nodes among them"}
    for name in night.skipped:
        assert SKIPPED.fullmatch(night.findings[name]["sentence"])
    page = unescape((night.folder / "gate.md").read_text().replace("\\", ""))
    html = unescape((night.folder / "report.html").read_text())
    cases = {one.get("name"): one for one in ET.parse(night.folder / "junit.xml").iter("testcase")}
    assert [*cases] == [*night.findings]
    for name, finding in night.findings.items():
        is_met = finding["answer"] == "PASS"
        [line] = [line for line in page.splitlines() if f"| {name} |" in line]
        assert ("| MET |" in line, finding["sentence"] in line) == (is_met, True)
        assert name in html
        assert [one.tag for one in cases[name] if one.tag in {"failure", "skipped"}] == []
        assert (cases[name].find("error") is None) == is_met


def test_nothing_is_left(desk, played):
    desk.assert_nothing_left()
    if shutil.which("docker") is None:
        return
    mine = f"label=p2p-harness.state={desk.state}"
    left = subprocess.run(
        ["docker", "ps", "-aq", "--filter", mine], capture_output=True, text=True, check=False
    )
    assert left.stdout == ""
