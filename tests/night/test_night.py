"""The night as it is played everywhere, in five minutes: `make nightly DURATION=5m`.

Other tests run beside it, so what a time says of this host may be UNKNOWN. Nothing may be NOT MET,
what fits into five minutes is played, and what does not is skipped and said. The suite of tests is
one of the criteria: it takes longer than is left, so it is never played inside itself.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from kit.desk import ROOT, Desk

from harness.checks.verdict import Cause

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1500)]

SKIPPED = re.compile(r"skipped: (a run takes about [\d,]+ s, )?[\d,]+ s of [\d,]+ were left")
# What a run of a busy host may say instead of PASS: each is told with the host's own numbers.
BUSY = {
    Cause.HOST_LIMITED,
    Cause.GENERATOR_BEHIND,
    Cause.LOAD_NOT_DELIVERED,
    Cause.FAULT_NOT_PROVEN,
    Cause.FAULT_OVERRAN,
    Cause.OTHERS_SENT,
    Cause.TOO_FEW,
    Cause.CONDITIONS,
}


class Night:
    """What a night wrote: its folder, its verdict, its runs by criterion."""

    def __init__(self, desk: Desk, code: int, folder: Path) -> None:
        self.desk, self.code, self.folder = desk, code, folder
        self.verdict = self.read("verdict.json")
        self.findings = {one["name"]: one for one in self.verdict["findings"]}

    def read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def run_of(self, criterion: str) -> Path:
        """The folder of the one run that was made for a criterion. Fails where there is none."""
        [tried] = [one for one in self.read("gate.json")["criteria"] if one["name"] == criterion]
        [made] = tried["runs"]
        return (self.folder / made["folder"]).resolve()


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    desk = Desk(tmp_path_factory.mktemp("night"), "night")
    # As a person's: neither the options of the `make` that runs the tests, nor a runtime of theirs.
    desk.environment = {
        name: value
        for name, value in desk.environment.items()
        if name not in {"MAKEFLAGS", "MFLAGS", "MAKELEVEL", "RUNTIME"}
    }
    try:
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
                os.killpg(playing.pid, signal.SIGTERM)
                playing.wait()
        print(said)
        yield Night(desk, playing.returncode, desk.runs / "latest")
    finally:
        desk.close()


def asked(name: str) -> list[str]:
    """The criteria of a shipped gate, by its file alone."""
    table = tomllib.loads((ROOT / "gates" / f"{name}.toml").read_text())
    return [one["name"] for one in table["criterion"]]


def doubts(run: Path) -> dict[str, str]:
    """The findings of a run that are neither kept nor only measured, and their causes."""
    found = json.loads((run / "verdict.json").read_text())["findings"]
    assert not [one for one in found if one["answer"] == "FAIL"], found
    return {one["name"]: one["cause"] for one in found if one["answer"] == "UNKNOWN"}


def test_every_criterion_has_its_answer_and_none_is_not_met(night):
    """And the exit code says it: `make` turns PARTIAL, which is 2, into 2."""
    assert [*night.findings] == asked("nightly")
    assert not [one for one in night.findings.values() if one["answer"] not in {"PASS", "UNKNOWN"}]
    assert (night.verdict["answer"], night.verdict["exit_code"], night.code) == ("UNKNOWN", 2, 2)


def test_what_fits_was_played_whole(night):
    """Ten nodes and a soak of two minutes; where a busy host hid something, that is why."""
    small = night.run_of("ten nodes, healthy")
    soak = night.run_of("a soak of ten nodes")
    windows = night.read(f"{os.path.relpath(soak, night.folder)}/verdict.json")["soak"]["windows"]
    assert [one["stage"] for one in windows] == ["played", "played"]
    assert night.findings["a soak of ten nodes"]["answer"] != "FAIL"
    for run in (small, *(soak / "windows" / f"{one['number']:04}" for one in windows)):
        assert {*doubts(run).values()} <= {*map(str, BUSY)}, (run, doubts(run))
