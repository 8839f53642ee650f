"""Clean runs of every shipped scenario, alone and beside a busy host: no false alarm, no UNKNOWN
that is our own doing, no FAIL that is the host's. `make evidence-clean` (at most 45 minutes a time;
it goes on where it stopped), `python scripts/evidence_clean.py [--busy] [SCENARIO …]`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence_record import ROOT, Record

from harness.scenario.shipped import soaks

NOW = "2026-11-30T21:45"  # the column *now*
ROUNDS = 10
SECONDS = 45 * 60
LONGEST_S = 900
HARNESS = Path(sys.executable).with_name("harness")
PARTS = "meshara"  # a suite: its parts are other shipped scenarios


def shipped() -> list[str]:
    left_out = {PARTS, *soaks()}  # a soak's windows have a verdict of their own (docs/soak.md)
    return sorted({file.stem for file in (ROOT / "scenarios").glob("*.toml")} - left_out)


@contextmanager
def busy_host() -> Iterator[None]:
    """Keep every core busy with a process that is none of the harness's."""
    spin = [sys.executable, "-c", "while True: pass"]
    spinning = [subprocess.Popen(spin) for _ in os.sched_getaffinity(0)]
    try:
        yield
    finally:
        for process in spinning:
            process.kill()
            process.wait()


def played(scenario: str, runtime: str) -> subprocess.CompletedProcess[str]:
    """Run a scenario from nothing, in a state folder and a runs folder of its own."""
    with tempfile.TemporaryDirectory(prefix="hc-", dir="/tmp") as folder:
        state = Path(folder) / "s"
        state.mkdir()
        command = [str(HARNESS), "run", scenario, "--runtime", runtime, "--json"]
        return subprocess.run(
            [*command, "--runs", str(Path(folder) / "runs")],
            cwd=ROOT,
            env={**os.environ, "HARNESS_STATE": str(state)},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )


def once(scenario: str, runtime: str, host: str) -> dict[str, Any]:
    """Run a scenario from nothing; what its verdict said."""
    found = played(scenario, runtime)
    result = {
        "scenario": scenario,
        "host": host,
        "runtime": runtime,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
        "exit": found.returncode,
        "rows": 0,
        "missed": [],
    }
    if not found.stdout.startswith("{"):
        return result | {"answer": "no verdict", "error": found.stderr[-300:]}
    verdict = json.loads(found.stdout)
    missed = [
        {name: row[name] for name in ("phase", "name", "answer", "measured", "cause", "sentence")}
        for row in verdict["findings"]
        if row["answer"] in ("FAIL", "UNKNOWN")
    ]
    rows = len(verdict["findings"])
    return result | {"answer": verdict["answer"], "rows": rows, "missed": missed}


def section(results: list[dict[str, Any]]) -> str:
    """The section: a row a scenario, and every row of a verdict that was not PASS."""
    runs: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        runs[result["scenario"], result["host"]].append(result)
    lines = [
        "## Clean runs of the shipped scenarios (`make evidence-clean`)",
        "",
        "*Busy*: beside processes of others that wanted every core. *Shared*: beside other work",
        "of the project, whatever it was just then (a load of 2 to 900): a PASS was harder to",
        "get. *Together*: two of these scenarios at a time, and nothing else; since 2026-11-30",
        "four, and tests (a load of 2 to 40). *Busy* since 2026-11-29T17:50: two to four at a",
        "time, beside a spinning process a core and other work, at a load of 20 to 210; since",
        "2026-11-30T05:10 four, at a load of 5 to 390, by the code that knows how long a node",
        "waited for a core (its first 120 runs: no FAIL but opendht-partition-heal's). What a",
        "node refused, did not find, had twice or never had is FAIL on any host; what came",
        "after its time was FAIL of a share until that day, and files, gets, lookups and",
        "connections that their sender gave up then until 2026-11-29T20:15; both are UNKNOWN",
        "since; so is a time that was missed while others had the core that a node wanted since",
        "2026-11-30T02:40 (five-hops, *together*: FAIL before), and Serf's members are looked",
        "at 38 instead of 21 s after a heal (serf-partition-heal: FAIL before). Since",
        "2026-11-30T11:30 three at a time, at a load of 20 to 430: puts that starved senders gave",
        "up (small-10, once) and a node whose journal was not closed, for it still worked off what",
        "it had (first-budget, three times), were FAIL; they are UNKNOWN now. What stays is",
        "the systems' own: after a partition OpenDHT does not find all values again, and the",
        "first messages of a burst are dearer in meshnode (meshara-10, linearity). *Now*: how",
        f"many runs, FAIL and UNKNOWN are since {NOW}: by the code that knows",
        "what a node gives up itself, and that plays large-file with Reno (FAIL before, alone).",
        "All of these were made at idle priority beside a soak of 100 nodes and four helpers (a",
        "load of 5 to 501). nats-crash-restart's UNKNOWN was mended after them (a condition waits",
        "for what was to be gone).",
        "A row of a verdict that is neither PASS nor MEASURED is named, with how often.",
        "",
        "| scenario | host | runs | PASS | FAIL | UNKNOWN | now | rows that were not PASS |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (scenario, host), of in sorted(runs.items()):
        answers = Counter(result["answer"] for result in of)
        missed = Counter(
            f"{row['answer']} {row['name']}: {row['cause'] or row['measured'].split(' (')[0]}"
            for result in of
            for row in result["missed"]
        )
        told = "; ".join(f"{count} × {what}" for what, count in missed.most_common())
        counts = " | ".join(str(answers[name]) for name in ("PASS", "FAIL", "UNKNOWN"))
        lines.append(f"| {scenario} | {host} | {len(of)} | {counts} | {_now(of)} | {told} |")
    return "\n".join(lines)


def _now(results: list[dict[str, Any]]) -> str:
    """How many of these are by the code as it is: runs, FAIL, UNKNOWN."""
    answers = [one["answer"] for one in results if one["at"] >= NOW]
    if not answers:
        return "–"
    return f"{len(answers)}: {answers.count('FAIL')}, {answers.count('UNKNOWN')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*", default=shipped(), metavar="SCENARIO")
    parser.add_argument("--busy", action="store_true", help="keep every core busy meanwhile")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--runtime", choices=("netns", "docker"), default="netns")
    asked = parser.parse_args()
    record, deadline = Record("clean"), time.monotonic() + SECONDS
    host = "busy" if asked.busy else "alone"
    for number in range(asked.rounds):
        for scenario in asked.scenario:
            key = (scenario, host, asked.runtime)
            done = sum(
                (one["scenario"], one["host"], one["runtime"]) == key for one in record.results()
            )
            if done > number or time.monotonic() > deadline:
                continue
            result = once(scenario, asked.runtime, host)
            record.add(result)
            print(f"{scenario} {done + 1}/{asked.rounds}: {result['answer']}", flush=True)
            for row in result["missed"]:
                print(f"    {row['answer']} {row['name']}: {row['sentence']}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    asked_busy = busy_host() if "--busy" in sys.argv else None
    if asked_busy is None:
        main()
    else:
        with asked_busy:
            main()
