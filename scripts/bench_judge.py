"""Judging a run of millions of operations with journals, beside polars and pandas doing the same
joins: in turns in one run, each time in a process of its own. ``make bench-judge`` (about ten
minutes, 2 GB of disk for a while) writes its section of docs/benchmarks.md.

What is timed is from the folder to the answers: *read* is until all is in memory, *join* until the
values are there. The judge does all of a judgement in that: it also holds every file against the
manifest, replays the schedule, and looks for gaps and late operations. The peers read only what
they need, and join.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import judge_folder
from sections import BENCHMARKS, ROOT, publish

from harness import checks
from harness.checks.verdict import Answer
from harness.experiments.judge import budget_of
from harness.history import reader
from harness.operations import Operation

PEERS = ("polars", "pandas")
WHO = ("judge", *PEERS)
TIME_MOST, MEMORY_MOST = 2.0, 0.5  # of a peer's
Result = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """A run: so many operations of one kind among ten nodes."""

    operation: Operation
    count: int

    def __str__(self) -> str:
        records = 2 if self.operation is Operation.PRIVATE_MESSAGE else 19
        word = self.operation.word.replace("_", " ")
        return f"{_short(self.count)} {word}s, {_short(self.count * records)} records"


CASES = (
    Case(Operation.PRIVATE_MESSAGE, 1_000_000),
    Case(Operation.PRIVATE_MESSAGE, 10_000_000),
    Case(Operation.BROADCAST, 100_000),
    Case(Operation.BROADCAST, 1_000_000),
)


def one(who: str, run: Path, case: Case) -> Result:
    """Judge or join in this process: seconds, the most memory that it had, and the values."""
    begun = time.perf_counter()
    if who == "judge":
        history, budget = reader.read(run), budget_of(run)
        has_read = time.perf_counter()
        assert budget is not None
        verdict = checks.judge(history, budget.rows)
        took = time.perf_counter()
        values = {one.name: one.value for one in verdict.findings if one.value is not None}
        wrong = [one for one in verdict.findings if one.answer in (Answer.FAIL, Answer.UNKNOWN)]
        values["wrong"] = float(len(wrong))
    else:
        import judge_peers

        columns = judge_peers.read(run, case.operation)
        has_read = time.perf_counter()
        seconds = case.count / judge_folder.RATE_PER_S
        values = getattr(judge_peers, who)(*columns, case.operation, seconds)
        took = time.perf_counter()
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    return {
        "read": has_read - begun,
        "join": took - has_read,
        "both": took - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": peak_kib / 1e6 * 1.024,
        "values": {name: round(float(value), 6) for name, value in values.items()},
    }


def apart(who: str, run: Path, case: Case) -> Result:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--one", who, str(run), case.operation.word]
    done = subprocess.run([*command, str(case.count)], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"bench: {who} broke: {done.stderr.strip().splitlines()[-1]}")
    found: Result = json.loads(done.stdout)
    return found


def measure(case: Case, folder: Path, repeats: int) -> dict[str, list[Result]]:
    """Make the case's folder below `folder` and let all have their turns. Exits where they differ
    in a value: then something else was measured than the same joins.
    """
    print(f"bench: {case}", flush=True)
    run = judge_folder.make(folder, case.operation, case.count)
    found: dict[str, list[Result]] = {who: [] for who in WHO}
    for repeat in range(repeats):
        for who in (*WHO[repeat % len(WHO) :], *WHO[: repeat % len(WHO)]):
            result = apart(who, run, case)
            found[who].append(result)
            print(
                f"bench:   {who:7} read {result['read']:6.2f} s, join {result['join']:6.2f} s, "
                f"{result['peak']:5.2f} GB",
                flush=True,
            )
            if result["values"] != (first := found[WHO[0]][0]["values"]):
                sys.exit(f"bench: {who} found {result['values']}, the judge {first}")
    return found


def _short(count: int) -> str:
    return f"{count / 1e6:g} M" if count >= 1_000_000 else f"{count:,}"


def _of(results: list[Result], key: str) -> float:
    return median(one[key] for one in results)


def _ratio(found: dict[str, list[Result]], peer: str, key: str) -> float:
    """The judge's ÷ the peer's of the same turn: the median over the turns."""
    pairs = zip(found["judge"], found[peer], strict=True)
    return median(ours[key] / theirs[key] for ours, theirs in pairs)


def section(measured: dict[Case, dict[str, list[Result]]], repeats: int) -> str:
    """The section of docs/benchmarks.md."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("numpy", "pyarrow", *PEERS))
    lines = [
        "## Judging operations with journals, beside polars and pandas",
        "",
        f"`make bench-judge`, {time.strftime('%Y-%m-%d', time.gmtime())}: {repeats} turns, each in",
        f"a process of its own. Medians; {os.cpu_count()} cores,",
        f"Linux {platform.release()}, Python {platform.python_version()}, {versions}.",
        "",
        "All give the same values. The judge holds every file against the manifest, replays the",
        "schedule, and looks for gaps and late operations besides; it uses one core, polars all.",
        "The peers read only the columns and kinds of records that they need, and are given the",
        f"ids as two columns of numbers. The host's load was {os.getloadavg()[2]:.1f} meanwhile.",
        "",
        "| run | who | read | join, or judge | both | CPU of all threads | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, found in measured.items():
        for who in WHO:
            times = " | ".join(
                f"{_of(found[who], key):.2f} s" for key in ("read", "join", "both", "cpu")
            )
            lines.append(f"| {case} | {who} | {times} | {_of(found[who], 'peak'):.2f} GB |")
    lines += [
        "",
        "| run | against | judging ÷ joining | with reading | aim | CPU | memory | aim |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for case, found in measured.items():
        for peer in PEERS:
            keys = ("join", "both", "cpu", "peak")
            join, both, cpu, peak = (_ratio(found, peer, key) for key in keys)
            lines.append(
                f"| {case} | {peer} | {join:.2f}× | {both:.2f}× | ≤ {TIME_MOST:g}×: "
                f"{_kept(both <= TIME_MOST)} | {cpu:.2f}× | {peak:.2f}× | ≤ {MEMORY_MOST:g}×: "
                f"{_kept(peak <= MEMORY_MOST)} |"
            )
    return "\n".join([*lines, "", *_growth(measured)])


def _kept(is_kept: bool) -> str:
    return "kept" if is_kept else "**missed**"


def _growth(measured: dict[Case, dict[str, list[Result]]]) -> list[str]:
    """How the judge's CPU grows with the operations, between the cases of one kind."""
    said = []
    for small, large in zip(measured, list(measured)[1:], strict=False):
        if small.operation is large.operation:
            more = large.count / small.count
            times = [_of(measured[case]["judge"], "cpu") for case in (small, large)]
            said.append(
                f"With {more:g} times the {small.operation.word.replace('_', ' ')}s the judge "
                f"takes {times[1] / times[0]:.1f} times the CPU."
            )
    return said


def _install() -> None:
    """Install the peers into this environment, where they are not in it."""
    if all(importlib.util.find_spec(name) for name in PEERS):
        return
    print("bench: installing pandas and polars into .venv: only this bench uses them", flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--group", "bench"], cwd=ROOT, check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("--repeats", type=int, default=3, help="turns of each (3)")
    parser.add_argument("--most", type=int, default=10_000_000, help="operations at most")
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        who, run, word, count = asked.one
        operation = next(each for each in Operation if each.word == word)
        print(json.dumps(one(who, Path(run), Case(operation, int(count)))))
        return
    if asked.repeats < 1:
        parser.error(f"--repeats: expected at least 1, found {asked.repeats}")
    _install()
    cases = [case for case in CASES if case.count <= asked.most]
    measured = {}
    for case in cases:
        with tempfile.TemporaryDirectory(prefix="bench-judge-", dir="/var/tmp") as folder:
            measured[case] = measure(case, Path(folder), asked.repeats)
    text = section(measured, asked.repeats)
    print(text)
    if cases == list(CASES):
        publish(BENCHMARKS, "judge", text)
    else:
        print("bench: not all cases were measured: docs/benchmarks.md is as it was")


if __name__ == "__main__":
    main()
