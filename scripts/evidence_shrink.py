"""Shrinking on real nodes: a scenario of twelve faults that fails because of two of them, and one
whose failure shows in about one run of three. `make evidence-shrink` (at most 45 minutes; what was
shrunk by this commit is not shrunk again), `python scripts/evidence_shrink.py [certain|flaky]`.
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
NODES = 10
RUNS_TO_FAIL = 12  # of the original: one of them is what is shrunk
MINUTES = {"certain": 15, "flaky": 29}
TOPOLOGY = f"[nodes]\ncount = {NODES}\n[shape]\nkind = 'full-mesh'\n"
# What is sent, when it is too late, and the share of it that has to come true.
SENT: dict[str, dict[str, object]] = {
    "certain": {"operation": "private_message", "rate_per_s": 40, "timeout_ms": 3000},
    "flaky": {"operation": "connect", "rate_per_s": 10, "timeout_ms": 900},
}
METRIC = {"certain": "private_message.delivered", "flaky": "connect.established"}
# Certain: a delay of all paths makes some messages too late, and two make more so.
# Flaky: a handshake whose first packet is lost is tried again after a second, which is too late.
GUILTY: dict[str, dict[int, dict[str, object]]] = {
    "certain": {4: {"where": "all", "delay": "1s"}, 9: {"where": "all", "delay": "1s"}},
    "flaky": {9: {"where": "all", "loss": "0.5%"}},
}
# Phases: the seconds, and whether faults are in it.
PHASES = (("before", 2, False), ("chaos", 4, True), ("after", 2, False))


def innocent(number: int) -> dict[str, object]:
    """A fault that breaks no promise, on two nodes."""
    a, b = number % NODES, (number * 5 + 1) % NODES
    where = f"node-{a} <-> node-{b if a != b else (b + 1) % NODES}"
    return {"where": where, **({"rate": "50mbit"} if number % 3 else {"delay": "3ms"})}


def scenario(part: str) -> str:
    """The scenario: three phases, in one of which there are twelve faults."""
    lines = [f'name = "shrink-{part}"', 'topology = "twelve.toml"', 'budget = "budget.toml"']
    for name, seconds, is_bad in PHASES:
        lines += ["[[phase]]", f'name = "{name}"', f"duration_s = {seconds}"]
        for stream in (SENT[part], {"operation": "broadcast", "rate_per_s": 1}):
            lines += ["[[phase.stream]]", *map(_key, stream.items())]
        for number in range(1, 13) if is_bad else ():
            words = GUILTY[part].get(number, innocent(number))
            lines += ["[[phase.fault]]", *map(_key, words.items())]
    return "\n".join(lines) + "\n"


def _key(pair: tuple[str, object]) -> str:
    return f"{pair[0]} = {json.dumps(pair[1])}"


def budget(part: str) -> str:
    """One promise, about the phase with the faults."""
    return (
        f'[[row]]\nname = "came true"\nmetric = "{METRIC[part]}"\nstatistic = "mean"\n'
        'comparison = ">="\nbound = 100\nunit = "%"\nphase = "chaos"\n'
    )


def harness(folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the harness in a folder, in its own state folder."""
    variables = {"HARNESS_STATE": str(folder / "s"), "RUNTIME": "netns", "HARNESS_CLUSTER": "sh"}
    return subprocess.run(
        [str(HARNESS), *argv],
        cwd=folder,
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )


def once(part: str) -> dict[str, Any]:
    """Play the scenario until it fails, and shrink that run; what came of it."""
    with tempfile.TemporaryDirectory(prefix="he-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "s").mkdir()
        (folder / "twelve.toml").write_text(TOPOLOGY)
        (folder / "budget.toml").write_text(budget(part))
        (folder / "scenario.toml").write_text(scenario(part))
        for runs in range(1, RUNS_TO_FAIL + 1):
            code = harness(folder, "run", "scenario.toml", "--json").returncode
            print(f"{part}: run {runs} of the original: exit code {code}", flush=True)
            if code == 1:
                break
        else:
            return {"part": part, "error": f"the original did not fail in {runs} runs"}
        bound = f"{MINUTES[part]}m"
        done = harness(
            folder, "shrink", "runs/latest", "--for", bound, "--out", "small.toml", "--json"
        )
        small = folder / "small.toml"
        found: dict[str, Any] = json.loads(done.stdout)
        text = small.read_text() if small.is_file() else ""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return {"part": part, "at": at, "exit": done.returncode, "found": found, "text": text}


def section(results: list[dict[str, Any]]) -> str:
    """The section: a row a search, and the last smallest scenario of each part."""
    lines = [
        "## Shrinking (`make evidence-shrink`)",
        "",
        f"Twelve faults on {NODES} nodes, three phases, netns. *certain*: two delays of all paths",
        "make messages too late. *flaky*: a loss that shows only in some of the runs.",
        "",
        "| part | failed | faults | nodes | phases | seconds | runs | min | verified | minimal |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in (result for result in results if "found" in result):
        found = one["found"]
        was, now = found["original"], found["smallest"]
        failed = f"{was['fails']} of {was['fails'] + was['passes']}"
        sizes = " | ".join(
            f"{was[key]:g} → {now[key]:g}" for key in ("faults", "nodes", "phases", "seconds")
        )
        flags = " | ".join("yes" if found[key] else "no" for key in ("verified", "minimal"))
        lines.append(
            f"| {one['part']} | {failed} | {sizes} | {found['runs']} | "
            f"{found['seconds'] / 60:.1f} | {flags} |"
        )
    texts = {one["part"]: one["text"] for one in results if one.get("text")}
    for part, text in texts.items():
        lines += ["", f"The smallest of *{part}*:", "", "```toml", text.rstrip(), "```"]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", default=[*MINUTES], metavar="PART")
    record = Record("shrink")
    said = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(said, capture_output=True, text=True, check=False).stdout.strip()
    done = {one["part"] for one in record.results() if one["commit"] == commit}
    for part in parser.parse_args().part:
        if part not in done:
            result = once(part)
            record.add(result)
            print(f"{part}: {result.get('error') or result['found']['sentence']}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    main()
