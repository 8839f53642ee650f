"""`harness compare` on real runs: twenty comparisons of runs that do not differ, twenty with nodes
that are 25 % slower, twenty with nodes that are 8 % slower. A pool of short runs is played, each on
a cluster of its own, the kinds in turns; then seeded draws of several runs a side are compared.
`make evidence-compare` (45 minutes at most a time; it goes on where it stopped), `python
scripts/evidence_compare.py [--no-runs]`.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from evidence_record import Record

from harness.checks.changes import Level, Thresholds
from harness.experiments import side
from harness.experiments.compare import Comparison, Side, of_sides
from harness.experiments.side import Played

HARNESS = Path(sys.executable).with_name("harness")
SECONDS = 45 * 60
CLEAN, SLOW, SLOWER = "clean", "slower-by-8", "slower-by-25"
ROUND = (CLEAN, SLOWER, CLEAN, SLOW, CLEAN)  # in turns: the host's day is the same for all
ROUNDS = 16
COMPARISONS, A_SIDE = 20, 8
PLANTED_IN, HARDER = "message min", "message p50"
TOPOLOGY = """name = "six"
[nodes]
count = 6
regions = ["eu", "us"]
{options}
[shape]
kind = "full-mesh"
[[region_link]]
between = ["eu", "us"]
delay = "40ms"
"""
STREAM = """[[phase.stream]]
operation = "private_message"
rate_per_s = 30
target = "node-0"
sources = ["node-3", "node-4", "node-5"]
"""
SCENARIO = f"""name = "compared"
topology = "six.toml"
budget = "rows.toml"
[[phase]]
name = "warm"
kind = "warm-up"
duration_s = 2
{STREAM}
[[phase]]
name = "load"
duration_s = 6
{STREAM}
[[phase.stream]]
operation = "broadcast"
rate_per_s = 5
[[phase.stream]]
operation = "dht_put"
rate_per_s = 5
"""
ROWS = {
    HARDER: ("private_message.end_to_end", "p50", "ms"),
    "message mean": ("private_message.end_to_end", "mean", "ms"),
    "message p95": ("private_message.end_to_end", "p95", "ms"),
    PLANTED_IN: ("private_message.end_to_end", "min", "ms"),
    "messages delivered": ("private_message.delivered", "mean", "%"),
    "broadcast p50": ("broadcast.propagation", "p50", "ms"),
    "put p50": ("dht_put.response", "p50", "ms"),
    "memory": ("rss", "max", "MB"),
    "CPU": ("cpu", "mean", "%"),
    "verify": ("node.verify", "p50", "us"),
}
HEADS = (
    *("comparisons", "said", "wanted", "found", f"by {HARDER}"),
    *("other rows said to have changed", "UNKNOWN rows"),
)
# Which comparisons are made: of which kinds, and what is wanted of them.
PARTS = {
    "A/A": (CLEAN, CLEAN, "no row is said to have changed", "at most 1 of 20 says one"),
    "25 %": (CLEAN, SLOWER, f"{PLANTED_IN} is FAIL", "19 of 20"),
    "8 %": (CLEAN, SLOW, f"{PLANTED_IN} is said, or more", "15 of 20"),
}


def written(folder: Path, kind: str) -> Path:
    """Write the scenario with nodes of this kind."""
    options = "" if kind == CLEAN else f'options = {{ planted_bug = "{kind}" }}'
    (folder / "six.toml").write_text(TOPOLOGY.format(options=options))
    lines = [
        f'[[row]]\nname = "{name}"\nmetric = "{metric}"\nstatistic = "{statistic}"\n'
        f'unit = "{unit}"\nphase = "load"\n'
        for name, (metric, statistic, unit) in ROWS.items()
    ]
    (folder / "rows.toml").write_text("\n".join(lines))
    file = folder / "scenario.toml"
    file.write_text(SCENARIO)
    return file


SETUP = hashlib.sha256(json.dumps([TOPOLOGY, SCENARIO, ROWS]).encode()).hexdigest()[:12]


def play(kind: str) -> dict[str, Any]:
    """Play one run from nothing, and keep what is compared of it."""
    with tempfile.TemporaryDirectory(prefix="hec-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "s").mkdir()
        file = written(folder, kind)
        done = subprocess.run(
            [str(HARNESS), "run", str(file), "--json", "--runs", str(folder / "runs")],
            env={
                **os.environ,
                "HARNESS_STATE": str(folder / "s"),
                "RUNTIME": "netns",
                "HARNESS_CLUSTER": "compared",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        found = {
            "kind": kind,
            "setup": SETUP,
            "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
            "load": round(os.getloadavg()[0], 1),
            "exit": done.returncode,
        }
        if done.returncode not in (0, 1, 2):
            return found | {"error": done.stderr[-300:]}
        [played] = side.read([(folder / "runs" / "latest").resolve()])
    rows = [{**row, "told": {**row["told"], "within": []}} for row in played.as_json()["rows"]]
    return found | {"played": {**played.as_json(), "rows": rows}}


def pool(record: Record) -> dict[str, list[Played]]:
    """The runs that were played so far, by their kind."""
    found: dict[str, list[Played]] = {kind: [] for kind in dict.fromkeys(ROUND)}
    for one in record.results():
        if one.get("setup") == SETUP and "played" in one:
            found[one["kind"]].append(Played.from_json(one["played"]))
    return found


def compared(runs: dict[str, list[Played]], part: str) -> list[Comparison]:
    """Compare seeded draws of the pool, in which no run is on both sides."""
    base, head = PARTS[part][:2]
    found = []
    for number in range(COMPARISONS):
        rng = np.random.default_rng([number, *part.encode()])
        if base == head:
            chosen = rng.permutation(len(runs[base]))
            sides = [[runs[base][one] for one in chosen[k::2][:A_SIDE]] for k in (0, 1)]
        else:
            sides = [
                [runs[kind][one] for one in rng.permutation(len(runs[kind]))[:A_SIDE]]
                for kind in (base, head)
            ]
        made = [
            Side(named=kind, runs=tuple(some))
            for kind, some in zip((base, head), sides, strict=True)
        ]
        found.append(of_sides(*made, despite=("options",), thresholds=Thresholds()))
    return found


def is_found(part: str, one: Comparison, name: str = PLANTED_IN) -> bool:
    """Whether a comparison said what the part is about, by a row."""
    if part == "A/A":
        return any(row.level is not Level.NONE for row in one.rows)
    row = next(row for row in one.rows if row.name == name)
    wanted = (Level.FAILED,) if part == "25 %" else (Level.SAID, Level.WARNED, Level.FAILED)
    return row.is_worse and row.level in wanted


def section(runs: dict[str, list[Played]]) -> str:
    """The section: what the pool is, what was found, and how rows vary from run to run."""
    count = ", ".join(f"{len(some)} {kind}" for kind, some in runs.items())
    others = [one.others for some in runs.values() for one in some if one.others is not None]
    lines = [
        "## Comparisons (`make evidence-compare`)",
        "",
        f"A pool of real runs ({count}), each",
        "of 8 s on a cluster of its own: six nodes of",
        "meshnode in two regions that are 40 ms apart, netns, messages over that wire. Kinds were",
        "played in turns. A slower node (`planted_bug`) holds each message for 8 % or 25 % of the",
        f"time that it was under way. Others took {min(others):.0%} to {max(others):.0%} of the",
        f"host meanwhile. Each comparison draws {A_SIDE} runs a side by a seed; draws share runs,",
        "so that the comparisons of a part are not independent of each other. Thresholds and",
        "false-alarm rate are the defaults (5, 10, 20 %; 1 %), corrected over the ten rows.",
        "On a host that others want so much of, the median message of a run waits for a core now",
        "and then, and its fastest does not: that is the row in which the planted slowness is",
        f"looked for, and {HARDER} stands beside it. It was chosen, and the test made to believe",
        "outliers less, after 37 of these runs had shown how the median varies. Holding a message",
        "takes a thread, so the CPU of a slower node is really higher.",
        "",
        f"| {' | '.join(HEADS)} |",
        "|---" * len(HEADS) + "|",
    ]
    for part, (_, _, said, wanted) in PARTS.items():
        every = compared(runs, part)
        hits = sum(is_found(part, one) for one in every)
        shown = f"{hits} of {len(every)}{' say one' if part == 'A/A' else ''}"
        harder = sum(is_found(part, one, HARDER) for one in every)
        changed = Counter(
            row.name
            for one in every
            for row in one.rows
            if row.level is not Level.NONE and row.name not in (PLANTED_IN, HARDER)
        )
        unknown = Counter(row.name for one in every for row in one.rows if row.answer == "UNKNOWN")
        lines.append(
            f"| {part} | {said} | {wanted} | {shown} | {'–' if part == 'A/A' else harder} | "
            f"{_counted(changed)} | {_counted(unknown)} |"
        )
    return "\n".join([*lines, "", *_spread(runs)])


def _counted(found: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in found.most_common()) or "none"


def _spread(runs: dict[str, list[Played]]) -> list[str]:
    """How rows vary over the clean runs, what that takes, and what was really planted."""
    lines = [
        "How a row varies from run to run (*spread*: the standard deviation of its logarithm over",
        "the clean runs) says how many runs a side it takes: *for 8 %* is where the standard error",
        "of a change is 1.5 %, so that one of 8 % is 2 of it away from the 5 % that are said.",
        "",
        "| row | clean | spread | runs a side for 8 % | slower by 8 % | slower by 25 % |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for name in ROWS:
        logs = {kind: np.log(_values(some, name)) for kind, some in runs.items()}
        mean, spread = float(logs[CLEAN].mean()), float(logs[CLEAN].std(ddof=1))
        changes = [f"{math.expm1(logs[kind].mean() - mean):+.1%}" for kind in (SLOW, SLOWER)]
        wanted = max(math.ceil(2 * (spread / 0.015) ** 2), 5)
        lines.append(
            f"| {name} | {math.exp(mean):.3g} {ROWS[name][2]} | {spread:.1%} | {wanted} | "
            f"{changes[0]} | {changes[1]} |"
        )
    return lines


def _values(some: list[Played], name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    values = [row.told.value for one in some for row in one.rows if row.name == name]
    return np.array([value for value in values if value is not None])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-runs", action="store_true", help="compare what was played so far")
    asked = parser.parse_args()
    record, begun = Record("compare"), time.monotonic()
    while not asked.no_runs and time.monotonic() - begun < SECONDS:
        have = Counter({kind: len(some) for kind, some in pool(record).items()})
        wanted = {kind: ROUND.count(kind) * ROUNDS for kind in have}
        done = sum(have.values())
        left = [kind for kind in ROUND if have[kind] < wanted[kind]]
        if not left:
            break
        # Whose share of what is wanted is least: the kinds stay in turns wherever it goes on.
        kind = min(left, key=lambda one: (have[one] / wanted[one], one))
        result = play(kind)
        record.add(result)
        print(f"{done + 1} of {sum(wanted.values())}: {kind}: exit {result['exit']}", flush=True)
        if "error" in result:
            sys.exit(f"the run broke: {result['error']}")
    runs = pool(record)
    if len(runs[CLEAN]) < 2 * A_SIDE or min(map(len, runs.values())) < A_SIDE:
        sys.exit("too few runs so far: run it again")
    record.publish(section(runs))
    print(section(runs))


if __name__ == "__main__":
    main()
