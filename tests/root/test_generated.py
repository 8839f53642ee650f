"""Scenarios that nobody wrote, really played on ten nodes: whatever they do, afterwards all is as
it was before, and when the cluster is down nothing is left.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from kit.desk import Desk
from kit.health import described, unreached
from kit.scenarios import numbered, scenarios, written

from harness.host import capabilities
from harness.kernel import cgroups
from harness.network.injectors import NONE
from harness.scenario import files
from harness.scenario.overview import overview
from harness.topology.impairment import WORDS

pytestmark = [pytest.mark.root, pytest.mark.toxiproxy, pytest.mark.timeout(900)]
COUNT = int(os.environ.get("HARNESS_GENERATED", "2"))
FIRST = int(os.environ.get("HARNESS_GENERATED_FIRST", "1"))
RECORD = os.environ.get("HARNESS_GENERATED_RECORD")  # a file that the evidence script reads


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "any")
    yield made
    made.close()


@pytest.fixture(scope="module")
def small():
    """Scenarios of seconds, of what this kernel can do."""
    backends = capabilities.probe().backends
    kinds = tuple(kind for kind in WORDS if backends[kind] != NONE)
    return scenarios(most=2, longest=48, kinds=kinds)


@pytest.mark.parametrize("number", range(FIRST, FIRST + COUNT))
def test_a_generated_scenario_ends_healthy_and_leaves_nothing(desk, small, number):
    file = written(desk.folder, numbered(number, small))
    desk.ok("up", "ten.toml")
    before = described(desk)
    done = desk.harness("run", file.name, "--json", timeout=600)
    told = {"number": number, "text": file.read_text(), **asked(file), "exit": done.returncode}
    told |= {"answer": json.loads(done.stdout)["answer"]} if done.stdout else {}
    after = described(desk)
    told["changed"] = {name: text for name, text in after.items() if text != before[name]}
    told["unreached"] = unreached(desk)
    desk.ok("down")
    told["left"] = left(desk)
    if RECORD:
        with open(RECORD, "a") as record:
            record.write(json.dumps(told) + "\n")
    assert done.returncode in (0, 1, 2), (done.returncode, done.stderr)
    assert {name: (before[name], after[name]) for name in told["changed"]} == {}
    assert told["unreached"] == []
    assert told["left"] == []


def asked(file: Path) -> dict:
    """What the record tells of a scenario."""
    planned = files.read_scenario(file)
    specs = [spec for phase in planned.phases for spec in phase.faults]
    churn = sum(len(phase.churn) for phase in planned.phases)
    found = overview(file)
    return {
        "seconds": found.seconds,
        "faults": len(specs),
        "churn": churn,
        "kinds": [*found.faults],
        "phases": [phase.kind or "none" for phase in planned.phases],
    }


def left(desk: Desk) -> list[str]:
    """What is there after `down` that was not before `up`."""
    with suppress(AssertionError):
        desk.assert_nothing_left()
    now, before = desk.census(), desk.census_before
    found = [f"{what}: {one}" for what in now for one in now[what] if one not in before[what]]
    owners = (owner for owner in cgroups.owners() if desk.cluster in owner)
    return found + [f"control groups: {owner}" for owner in owners]
