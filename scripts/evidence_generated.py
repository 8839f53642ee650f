"""Thirty scenarios that Hypothesis drew, of faults of every kind, faults of nodes and churn, played
on ten nodes: afterwards each path is healthy, and nothing is left. `make evidence-generated` (at
most 45 minutes a time; it goes on where it stopped), `python scripts/evidence_generated.py
[NUMBER …]`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import textwrap
import time
from collections import Counter
from typing import Any

from evidence_record import ROOT, Record

NUMBERS = range(1, 31)
SECONDS = 45 * 60
TEST = "tests/root/test_generated.py::test_a_generated_scenario_ends_healthy_and_leaves_nothing"


def play(number: int, record: Record) -> bool:
    """Play one; the test keeps what it saw in the record. Whether it passed."""
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", f"{TEST}[{number}]"],
        cwd=ROOT,
        env={
            **os.environ,
            "HARNESS_GENERATED": "1",
            "HARNESS_GENERATED_FIRST": str(number),
            "HARNESS_GENERATED_RECORD": str(record.file),
        },
        check=False,
    )
    return found.returncode == 0


def is_sound(one: dict[str, Any]) -> bool:
    """Whether a run had a verdict, and all was as before after it."""
    return "answer" in one and not (one["changed"] or one["unreached"] or one["left"])


def section(results: list[dict[str, Any]]) -> str:
    """What the last run of each showed: how many had which fault, and what was not as before."""
    last = {one["number"]: one for one in results}.values()
    lines = [
        "## Generated scenarios (`make evidence-generated`)",
        "",
        "Drawn by Hypothesis (`tests/kit/scenarios.py`), played on ten nodes of meshnode, netns.",
        "*As before*: the rules, queues, links and routes of the hub and of each node, and the",
        "processes' conditions and limits, were the same after the run as before it, and each node",
        "could connect to each other one. *Nothing left*: after `down`, of processes, links,",
        "tables, namespaces, control groups, mounts and files. A verdict is UNKNOWN where a fault",
        "was too short to be proven, among other reasons.",
        "`tests/unit/scenario/test_generated.py` compiles 500 more.",
        "",
        "| played | as before, and nothing left | faults | churn | PASS | FAIL | UNKNOWN |",
        "|---" * 7 + "|",
    ]
    answers = Counter(one.get("answer", "none") for one in last)
    told = [len(last), sum(map(is_sound, last))]
    told += [sum(one[what] for one in last) for what in ("faults", "churn")]
    told += [answers[word] for word in ("PASS", "FAIL", "UNKNOWN")]
    lines.append(f"| {' | '.join(map(str, told))} |")
    kinds = Counter(kind for one in last for kind in one["kinds"])
    said = ", ".join(f"{kind} {count}" for kind, count in sorted(kinds.items()))
    lines += ["", *textwrap.wrap(f"In how many of them a kind of fault was: {said}.", 100)]
    for one in results:
        if not is_sound(one):
            wrong = {what: one[what] for what in ("exit", "changed", "unreached", "left")}
            lines.append(f"- number {one['number']}: {wrong}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("number", nargs="*", type=int, default=[*NUMBERS], metavar="NUMBER")
    asked = parser.parse_args()
    record, deadline, failed = Record("generated"), time.monotonic() + SECONDS, 0
    for number in asked.number:
        done = {one["number"] for one in record.results() if is_sound(one)}
        if number not in done and time.monotonic() < deadline:
            failed += not play(number, record)
    record.publish(section(record.results()))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
