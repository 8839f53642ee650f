"""Shrinking on real nodes: a scenario of twelve faults on twelve nodes, one of which has a bug that
shows once two of its peers have left; each time, or in one run of three. `make evidence-shrink` (at
most 75 minutes; what was shrunk by this commit is not shrunk again),
`python scripts/evidence_shrink.py [certain|flaky]`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence_record import ROOT, Record

HARNESS = Path(sys.executable).with_name("harness")
NODES = 12
FINDING = "private messages: acknowledged and delivered"
RUNS_TO_FAIL = 12  # of the original: one of them is what is shrunk
MINUTES = {"certain": 15, "flaky": 60}
BUGS = {"certain": "loses-after-two-left", "flaky": "loses-after-two-left-sometimes"}
STREAMS: tuple[dict[str, object], ...] = (
    {"operation": "private_message", "rate_per_s": 40, "timeout_ms": 1000},
    {"operation": "broadcast", "rate_per_s": 1},
)
GUILTY: dict[int, dict[str, object]] = {
    4: {"where": "node-1", "condition": "killed"},
    9: {"where": "node-2", "condition": "killed"},
}
HEADER = (
    *("part", "commit", "bound, min", "took, min", "runs", "failed", "faults", "nodes", "phases"),
    *("seconds", "left", "result failed", "verified", "minimal"),
)
# Phases: the seconds, and whether faults are in it.
PHASES = (("before", 1, False), ("chaos", 3, True), ("after", 1, False))


def topology(part: str) -> str:
    """Full mesh; one node has the bug."""
    return (
        f"[nodes]\ncount = {NODES - 1}\n[shape]\nkind = 'full-mesh'\n"
        f"[[node]]\nname = 'buggy'\noptions = {{ planted_bug = '{BUGS[part]}' }}\n"
    )


def innocent(number: int) -> dict[str, object]:
    """A fault that makes no peer of a node leave: a delay of a path, or a limit of a node."""
    a, b = number % (NODES - 1), (number * 5 + 1) % (NODES - 1)
    if number % 6 == 0:
        return {"where": f"node-{a} <-> node-{b}", "delay": "3ms"}
    return {"where": f"node-{a}", **({"fds": "800"} if number % 2 else {"memory": "4gb"})}


def scenario(part: str) -> str:
    """The scenario: three phases, in one of which there are twelve faults."""
    lines = [f'name = "shrink-{part}"', 'topology = "twelve.toml"']
    for name, seconds, is_bad in PHASES:
        lines += ["[[phase]]", f'name = "{name}"', f"duration_s = {seconds}"]
        for stream in STREAMS:
            lines += ["[[phase.stream]]", *map(_key, stream.items())]
        for number in range(1, 13) if is_bad else ():
            words = GUILTY.get(number) or innocent(number)
            lines += ["[[phase.fault]]", *map(_key, words.items())]
    return "\n".join(lines) + "\n"


def _key(pair: tuple[str, object]) -> str:
    return f"{pair[0]} = {json.dumps(pair[1])}"


def harness(folder: Path, part: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the harness in a folder, in its own state folder, on a cluster of a name."""
    variables = {"HARNESS_STATE": str(folder / "s"), "RUNTIME": "netns", "HARNESS_CLUSTER": part}
    return subprocess.run(
        [str(HARNESS), *argv],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def once(part: str, minutes: int) -> dict[str, Any]:
    """Play the scenario until it fails, and shrink that run; what came of it."""
    with tempfile.TemporaryDirectory(prefix="he-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "s").mkdir()
        (folder / "twelve.toml").write_text(topology(part))
        (folder / "scenario.toml").write_text(scenario(part))
        for runs in range(1, RUNS_TO_FAIL + 1):
            code = harness(folder, part, "run", "scenario.toml", "--json").returncode
            print(f"{part}: run {runs} of the original: exit code {code}", flush=True)
            if code == 1 and failed(folder / "runs" / "latest"):
                break
        else:
            return {"part": part, "error": f"the original did not fail in {runs} runs"}
        bounds = ("--for", f"{minutes}m", "--finding", FINDING)
        done = harness(
            folder, part, "shrink", "runs/latest", *bounds, "--out", "small.toml", "--json"
        )
        small = folder / "small.toml"
        found: dict[str, Any] = json.loads(done.stdout)
        text = small.read_text() if small.is_file() else ""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {
        "part": part,
        "at": at,
        "exit": done.returncode,
        "minutes": minutes,
        "found": found,
        "text": text,
    }


def failed(run: Path) -> bool:
    """Whether the bug showed in a run."""
    findings = json.loads((run / "verdict.json").read_text())["findings"]
    return any(one["name"] == FINDING and one["answer"] == "FAIL" for one in findings)


def section(results: list[dict[str, Any]]) -> str:
    """The section: a row a search, and the last smallest scenario of each part."""
    lines = [
        "## Shrinking (`make evidence-shrink`)",
        "",
        f"Twelve faults on {NODES} nodes, three phases, netns. One node loses what it acknowledges",
        "once two of its peers have left (`planted_bug`), which two of the faults make; the others",
        "are small delays and wide limits. *certain*: each time; *flaky*: in one run of three.",
        "*failed*: of the repeats of the original, and of the runs of the result's own file at the",
        "end. *left*: the faults of the result; the guilty ones are chaos-4 and chaos-9.",
        "",
        f"| {' | '.join(HEADER)} |",
        "|---" * len(HEADER) + "|",
    ]
    latest = {one["part"]: one for one in results if "minutes" in one}
    lines += [row(one) for one in latest.values()]
    for part, one in latest.items():
        text = one["text"].rstrip()
        lines += ["", f"The smallest of *{part}*:", "", "```toml", text, "```"]
    return "\n".join(lines)


def row(one: dict[str, Any]) -> str:
    """The row of a search."""
    found = one["found"]
    was, now = found["original"], found["smallest"]
    cells = [one["part"], one["commit"], one["minutes"], f"{found['seconds'] / 60:.1f}"]
    cells += [found["runs"], _share(was)]
    cells += [f"{was[key]:g} → {now[key]:g}" for key in ("faults", "nodes", "phases", "seconds")]
    faults = [line.split('"')[1] for line in one["text"].splitlines() if 'name = "chaos-' in line]
    cells += [", ".join(faults) or "none", _share(now)]
    cells += ["yes" if found[key] else "no" for key in ("verified", "minimal")]
    return f"| {' | '.join(map(str, cells))} |"


def _share(counts: dict[str, Any]) -> str:
    """How many of some runs failed."""
    if counts["fails"] is None:
        return "–"
    said = f"{counts['fails']} of {counts['fails'] + counts['passes']}"
    more = counts["unresolved"]
    return f"{said}, {more} said nothing" if more else said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", default=[*MINUTES], metavar="PART")
    parser.add_argument("--minutes", type=int, help="at most so long a part; default: 15, and 60")
    asked = parser.parse_args()
    record = Record("shrink")
    said = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(said, capture_output=True, text=True, check=False).stdout.strip()
    done = {one["part"] for one in record.results() if one["commit"] == commit}
    for part in asked.part:
        if part not in done:
            result = once(part, asked.minutes or MINUTES[part])
            if "error" in result:
                print(f"{part}: {result['error']}", flush=True)
                continue
            record.add(result)
            print(f"{part}: {result['found']['sentence']}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    main()
