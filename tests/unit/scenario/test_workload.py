"""The streams of a run as a file, and what is none."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from harness.errors import BadFileError
from harness.operations import Operation
from harness.scenario import workload
from harness.scenario.rate import Profile
from harness.scenario.scenario import Phase
from harness.scenario.stream import Arrivals, Stream
from harness.scenario.workload import Workload

LOAD = Workload(
    seed=7,
    left_out=("broadcast",),
    phases=(
        Phase(name="idle", duration_s=1.000000001),
        Phase(
            name="load",
            duration_s=12.123456789,
            streams=(
                Stream(
                    operation=Operation.PRIVATE_MESSAGE,
                    rate_per_s=20,
                    payload_bytes=9,
                    target="node-1",
                    sources=("node-2", "node-3"),
                    arrivals=Arrivals.POISSON,
                    timeout_ms=500,
                    count=7,
                    after_s=0.5,
                ),
                Stream(
                    operation=Operation.BROADCAST,
                    rate_per_s=30,
                    profile=Profile(points=((0, 10), (5, 30))),
                ),
            ),
        ),
    ),
)


def test_json_and_back(tmp_path):
    file = tmp_path / workload.FILE
    file.write_text(json.dumps(LOAD.as_json()))
    assert workload.read(file) == LOAD


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"version": 2}, "expected version 1, found 2"),
        ({"phases": [{"name": "load"}]}, "duration_s"),
        ({"seed": None, "phases": None}, "NoneType"),
    ],
)
def test_what_is_no_workload_is_refused(change, says):
    with pytest.raises(BadFileError, match=says):
        Workload.from_json({**LOAD.as_json(), **change})


def test_a_stream_of_nothing_that_is_known_is_refused():
    said = replace(LOAD, phases=LOAD.phases[1:]).as_json()
    said["phases"][0]["streams"][0]["operation"] = "teleport"
    with pytest.raises(BadFileError, match="teleport"):
        Workload.from_json(said)


def test_a_file_that_is_none(tmp_path):
    with pytest.raises(BadFileError, match="cannot be read"):
        workload.read(tmp_path / "nothing")
    (tmp_path / "list").write_text("[]")
    with pytest.raises(BadFileError, match="expected a table"):
        workload.read(tmp_path / "list")
