"""Each lie of the lying node (tests/systems/liar), told by one of five nodes, through a command
file and through a class: which finding of the verdict names it. `make evidence-liars` (15 minutes;
it goes on where it stopped), `python scripts/evidence_liars.py [LIE …]`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence_record import ROOT, Record

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "systems" / "liar")]
from kit import liars  # noqa: E402 - of the tests' folder
from liar import LIES  # noqa: E402

HARNESS = Path(sys.executable).with_name("harness")
NODES = 5
SECONDS = 45 * 60
LONGEST_S = 900
HONEST, NONE = "none", "no verdict"
LATE = {"dies": "dies@20", "hangs": "hangs@20", "leaves": "leaves@20"}  # from the 20th message on
TOLD = ("name", "answer", "measured", "sentence")
SAID = 150  # characters of a sentence
CONSEQUENCES = ("messages delivered", "broadcasts heard by all", "memory")  # the budget's rows


def once(lie: str, way: str) -> dict[str, Any]:
    """Play a lie; what its verdict says that is not PASS."""
    names = [f"node-{number}" for number in range(NODES)]
    lies = dict.fromkeys(names, HONEST) | {names[1]: LATE.get(lie, lie)}
    with tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as path:
        folder, state = Path(path), Path(path) / "s"
        state.mkdir()
        scenario = liars.written(folder, way, lies)
        found = subprocess.run(
            [str(HARNESS), "run", str(scenario), "--runtime", "netns", "--json"],
            cwd=folder,
            env={
                **os.environ,
                **liars.paths(),
                "HARNESS_STATE": str(state),
                "HARNESS_RUNS": str(folder / "runs"),
            },
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    result: dict[str, Any] = {"lie": lie, "way": way, "at": at, "exit": found.returncode}
    if not found.stdout.startswith("{"):
        return result | {"answer": NONE, "error": found.stderr[-300:], "findings": []}
    verdict = json.loads(found.stdout)
    findings = [
        {name: row[name] for name in TOLD}
        for row in verdict["findings"]
        if row["answer"] != "PASS" and row["name"] != "load generator, second by second"
    ]
    return result | {"answer": verdict["answer"], "findings": findings}


def section(results: list[dict[str, Any]]) -> str:
    """The last run of each lie, each way: what named it."""
    last = {(one["lie"], one["way"]): one for one in results if one["answer"] != NONE}
    lines = [
        "## Nodes that lie",
        "",
        "`make evidence-liars`: one of five nodes of `tests/systems/liar` tells a lie, the others",
        "none; netns, 60 messages a second and 4 broadcasts a second for 5 s. The budget promises",
        "that all messages are delivered and all broadcasts heard. Its rows that missed are",
        "counted; the other findings that are neither PASS nor about the generator are told.",
        "Through a command file a node's own stamps and numbers are not heard: the harness stamps",
        "its reports and measures its resources, so these two lies change nothing there.",
        "",
        "| the node … | through a | verdict | what names it |",
        "|---|---|---|---|",
    ]
    for lie, does in {HONEST: "tells no lie", **LIES}.items():
        for way in liars.SYSTEMS:
            if (lie, way) in last:
                one = last[lie, way]
                lines.append(f"| {does} | {way} | {one['answer']} | {_named(one)} |")
    return "\n".join(lines)


def _named(result: dict[str, Any]) -> str:
    found = result["findings"]
    missed = sum(one["name"] in CONSEQUENCES and one["answer"] == "FAIL" for one in found)
    told = [_finding(one) for one in found if one["name"] not in CONSEQUENCES]
    rows = [f"{missed} row{'s' * (missed > 1)} of the budget missed"] if missed else []
    return "; ".join([*rows, *told]) or "–"


def _finding(one: dict[str, Any]) -> str:
    sentence = one["sentence"]
    if ": " in sentence and sentence.startswith("the row"):
        sentence = sentence.partition(": ")[2]
    sentence = sentence if len(sentence) <= SAID else f"{sentence[:SAID]}…"
    return f"*{one['name']}* {one['answer']}, {one['measured']} ({sentence.replace('|', '/')})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lie", nargs="*", default=[HONEST, *LIES], metavar="LIE")
    parser.add_argument("--again", action="store_true", help="play what was played already")
    asked = parser.parse_args()
    record, deadline = Record("liars"), time.monotonic() + SECONDS
    for lie in asked.lie:
        for way in liars.SYSTEMS:
            done = {(one["lie"], one["way"]) for one in record.results() if one["answer"] != NONE}
            if time.monotonic() > deadline or ((lie, way) in done and not asked.again):
                continue
            result = once(lie, way)
            record.add(result)
            print(f"{lie}, {way}: {result['answer']}: {_named(result)}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
