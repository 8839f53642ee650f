"""OpenDHT, Serf, rust-libp2p, NATS and Redis, which nobody here wrote, under a partition, churn and
a crash: what each run found, whatever it was. `make evidence-systems` (at most 45 minutes a time;
it goes on where it stopped), `python scripts/evidence_systems.py [SCENARIO …]`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence_clean import played
from evidence_record import Record

SYSTEMS = ("opendht", "serf", "libp2p", "nats", "redis")
SHIPPED = Path(__file__).parent.parent / "scenarios"
FAULTS = ("partition-heal", "churn", "crash-restart")
NAMES = [f"{system}-{fault}" for system in SYSTEMS for fault in FAULTS]
SCENARIOS = [name for name in NAMES if (SHIPPED / f"{name}.toml").exists()]
SECONDS = 45 * 60
TOLD = ("phase", "name", "answer", "promised", "measured", "cause", "sentence")

# What a person saw in the record of a run, which its verdict does not say.
LOOKED_INTO = (
    "Looked into, in runs of 2026-11-29 on a host that others kept busy: in one of",
    "opendht-partition-heal all of 10 gets that found nothing were for values that the other half",
    "had put while it was cut off, nine of them during the cut, and after it had converged 300 of",
    "300 were found. In two of serf-churn one of 75 events after the churn had not come to three",
    "and four of ten agents: it had been sent 0.2 s before the end, and our journals ended while",
    "it was on its way. They go on for 2 s now.",
)


def once(scenario: str) -> dict[str, Any]:
    """Play a scenario; every finding of its verdict."""
    found = played(scenario, "netns")
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    result: dict[str, Any] = {"scenario": scenario, "at": at, "exit": found.returncode}
    if not found.stdout.startswith("{"):
        return result | {"answer": "no verdict", "error": found.stderr[-300:], "findings": []}
    verdict = json.loads(found.stdout)
    findings = [{name: row[name] for name in TOLD} for row in verdict["findings"]]
    return result | {"answer": verdict["answer"], "findings": findings}


def section(results: list[dict[str, Any]]) -> str:
    """The last run of each scenario: its rows, and every other finding that was not PASS."""
    last = {result["scenario"]: result for result in results if result["findings"]}
    lines = [
        "## Other systems under a partition, churn and a crash (`make evidence-systems`)",
        "",
        "Ten nodes, netns; the last run of each of `scenarios/opendht-*.toml`, `serf-*.toml`,",
        "`libp2p-*.toml`, `nats-*.toml`,\n`redis-*.toml`.",
        "MEASURED: nobody promises it. Findings that every run is held to are named where they are",
        "neither PASS nor MEASURED. *No verdict*: it did not come about, so on a host that others",
        "kept so busy that no node was ready in time.",
    ]
    for scenario in (name for name in SCENARIOS if name in last):
        result = last[scenario]
        runs = [one["answer"] for one in results if one["scenario"] == scenario]
        said = f"{len(runs)} runs: {', '.join(runs)}" if len(runs) > 1 else runs[0]
        lines += ["", f"**{scenario}** ({result['at']}; {said})", ""]
        lines += ["| what | promised | measured | |", "|---|---|---|---|"]
        lines += [_line(row) for row in result["findings"] if _is_told(row)]
        before = [one for one in results if one["scenario"] == scenario and one is not result]
        lines += [f"| {text} |" for one in before for text in _missed(one)]
    return "\n".join([*lines, "", *LOOKED_INTO])


def _missed(result: dict[str, Any]) -> list[str]:
    """What was not PASS in an earlier run, as cells of a row."""
    at = result["at"]
    if not result["findings"]:
        return [f"earlier, {at} | a verdict | none | {result['answer']}"]
    missed = [row for row in result["findings"] if row["answer"] in ("FAIL", "UNKNOWN")]
    return [
        f"earlier, {at}: {row['name']} | {row['promised']} | {row['measured']} | {row['answer']}"
        for row in missed
    ]


def _is_told(row: dict[str, Any]) -> bool:
    is_of_budget = row["phase"] and not row["name"].startswith("load")
    return bool(is_of_budget) or row["answer"] not in ("PASS", "MEASURED", "NOT ASKED")


def _line(row: dict[str, Any]) -> str:
    """A finding as a row; what it says where that is more than its numbers."""
    is_plain = row["answer"] in ("PASS", "MEASURED")
    said = row["answer"] if is_plain else f"{row['answer']}: {row['sentence']}"
    return f"| {row['name']} | {row['promised']} | {row['measured']} | {said} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", default=SCENARIOS, metavar="SCENARIO")
    parser.add_argument("--again", action="store_true", help="play what was played already")
    asked = parser.parse_args()
    record, deadline = Record("systems"), time.monotonic() + SECONDS
    for scenario in asked.scenario:
        done = {one["scenario"] for one in record.results() if one["findings"]}
        if time.monotonic() > deadline or (scenario in done and not asked.again):
            continue
        result = once(scenario)
        record.add(result)
        print(f"{scenario}: {result['answer']}", flush=True)
        for row in result["findings"]:
            if _is_told(row):
                print(f"    {_line(row)}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
