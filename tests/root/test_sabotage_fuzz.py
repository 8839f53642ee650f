"""A fuzz of sabotage: seeded single changes during a run with faults. None leaves the faults proven
while an outsider measures another network than was asked.
"""

from __future__ import annotations

import json
import os
import random
import time
from contextlib import suppress
from math import inf
from pathlib import Path

import pytest
from kit.desk import TEN, Desk, once_in_three, wait_for
from kit.saboteur import FAULTS, open_place, outsider, sabotage

from harness.errors import HarnessError

pytestmark = pytest.mark.root
COUNT = int(os.environ.get("HARNESS_FUZZ", "2"))
PATIENCE_S = 150.0  # a busy host brings a cluster up slowly
FIRST = int(os.environ.get("HARNESS_FUZZ_FIRST", "0"))
RECORD = os.environ.get("HARNESS_FUZZ_RECORD")  # a file that scripts/evidence_sabotage.py reads
SCENARIO = """
topology = "ten.toml"
[[phase]]
name = "load"
duration_s = 11
[[phase.stream]]
operation = "private_message"
rate_per_s = 20
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "fuzz")
    made.write("ten.toml", TEN)
    made.write("fuzz.toml", SCENARIO + FAULTS)
    yield made
    made.close()


def faults(desk: Desk) -> list:
    with suppress(HarnessError):  # it is not up yet
        return desk.ask("fault-list")["faults"]
    return []


def sabotaged(desk: Desk, seed: int | None) -> tuple[str, dict[str, str], dict]:
    """Run with one change, None: without; what was done, what the outsider saw, the finding. Where
    a busy host had it look when the faults were gone already, it is run again.
    """
    for _ in range(3):
        *found, looked_ns, over_ns = once_sabotaged(desk, seed)
        if looked_ns < over_ns:
            break
    assert looked_ns < over_ns, "the outsider came too late three times"
    return tuple(found)


def over_at_ns(run: str) -> float:
    """When the first fault of a run went; never, where nobody lived to say so."""
    lines = map(json.loads, Path(run, "events.jsonl").read_text().splitlines())
    gone = [one["at_ns"] for one in lines if one.get("verb") == "clear"]
    return min(gone, default=inf)


def once_sabotaged(desk: Desk, seed: int | None) -> tuple[str, dict[str, str], dict, int, float]:
    """What `sabotaged` says, when the outsider had looked, and when the first fault went."""
    running = desk.start("run", "fuzz.toml", "--json")
    try:
        wait_for(lambda: len(faults(desk)) == 6, running.poll, PATIENCE_S)
        place = open_place(desk.supervisor())
        time.sleep(1)
        done = "nothing" if seed is None else sabotage(place, random.Random(f"{seed}/sabotage"))
        seen, looked_ns = outsider(place), time.monotonic_ns()
        place.close()
    finally:
        said, error = running.communicate(timeout=120)
    assert said, error
    verdict = json.loads(said)
    [finding] = [one for one in verdict["findings"] if one["name"].startswith("faults")]
    return done, seen, finding, looked_ns, over_at_ns(verdict["run"])


def test_without_a_sabotage_all_is_as_asked(desk):
    """A check that is always red would prove nothing."""

    def attempt() -> tuple[bool, dict]:
        _, seen, finding = sabotaged(desk, None)
        assert finding["answer"] != "FAIL", finding
        return not seen and finding["answer"] == "PASS", {"seen": seen, **finding}

    once_in_three(attempt)


@pytest.mark.parametrize("seed", range(FIRST, FIRST + COUNT))
def test_no_sabotage_leaves_a_pass_while_the_network_did_something_else(desk, seed):
    done, seen, finding = sabotaged(desk, seed)
    print(f"{seed}: {done} | {seen} | {finding['answer']}: {finding['sentence'][:160]}")
    if RECORD:
        told = {"seed": seed, "done": done, "seen": seen, "answer": finding["answer"]}
        with open(RECORD, "a") as record:
            record.write(json.dumps(told) + "\n")
    assert not seen or finding["answer"] == "UNKNOWN", (done, seen, finding)
