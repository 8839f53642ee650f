"""Planted bugs of meshnode: each under the shipped scenario that is to find it, by the finding that
is to name it; and the clean node under the same scenarios with ten seeds, of which none finds
anything. `make evidence-bugs` (at most 45 minutes a time; it goes on where it stopped),
`python scripts/evidence_bugs.py [BUG …]`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from evidence_clean import once
from evidence_record import ROOT, Record

SEEDS = range(1, 11)
SECONDS = 45 * 60
CLEAN = "none"


class Finder(NamedTuple):
    """A shipped scenario, and its findings that each name the bug."""

    scenario: str
    findings: tuple[str, ...]


LEDGER = "private messages: acknowledged and delivered"
# The smallest shipped scenario that is certain to find it, in less than a minute each.
FOUND_BY = {
    "loses-after-heal": Finder("minority-isolated", (LEDGER,)),
    "delivers-twice-after-restart": Finder("crash-restart", (LEDGER,)),
    "forgets-on-churn": Finder("crash-restart", ("values found, crash",)),
    "answers-from-cache": Finder(
        "minority-isolated",
        ("values found by who reaches nobody", "isolation: nothing crossed a cut while it held"),
    ),
    "leaks-on-reconnect": Finder("connect-storm", ("descriptors, after",)),
    "returns-older-value": Finder("dht-register", ("register: no older value after a newer one",)),
    "never-unsuspects": Finder(
        "crash-restart", ("membership: no living node is suspected for longer",)
    ),
}


class Run(NamedTuple):
    """One run: which node, under which scenario, with which seed."""

    bug: str
    scenario: str
    seed: int

    def was(self, result: dict[str, Any], host: str) -> bool:
        """Whether it was played: that a bug is found is so on any host, that nothing is, is not."""
        is_same = self == (result["bug"], result["scenario"], result["seed"])
        return is_same and (self.bug != CLEAN or result["host"] == host)


def wanted(bugs: list[str]) -> Iterator[Run]:
    """All runs, the bugs' before the clean node's."""
    for bug in bugs:
        if bug in FOUND_BY:
            yield Run(bug, FOUND_BY[bug].scenario, 1)
    for seed in SEEDS:
        for scenario in dict.fromkeys(finder.scenario for finder in FOUND_BY.values()):
            yield Run(CLEAN, scenario, seed)


def written(folder: Path, run: Run) -> Path:
    """A copy of the scenario with this seed, of its budget, and of its topology with this bug in
    every node.
    """
    scenario, named = read("scenarios", run.scenario), {}
    for kind, key in (("topologies", "topology"), ("budgets", "budget")):
        name = tomllib.loads(scenario)[key]
        named[folder / kind / f"{name}.toml"] = read(kind, name)
    if run.bug != CLEAN:
        topology = next(iter(named))
        planted = f'[nodes]\noptions = {{ planted_bug = "{run.bug}" }}\n'
        named[topology] = changed(named[topology], "[nodes]\n", planted)
    file = folder / "scenarios" / f"{run.scenario}.toml"
    named[file] = changed(scenario, "seed = 1\n", f"seed = {run.seed}\n")
    for path, text in named.items():
        path.parent.mkdir()
        path.write_text(text)
    return file


def read(kind: str, name: str) -> str:
    return (ROOT / kind / f"{name}.toml").read_text()


def changed(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} is to stand once in:\n{text}"
    return text.replace(old, new)


def failed(result: dict[str, Any]) -> list[str]:
    """The findings that were FAIL, each with what was measured."""
    return [
        f"{row['name']}: {row['measured']}" for row in result["missed"] if row["answer"] == "FAIL"
    ]


def is_found(result: dict[str, Any]) -> bool:
    """Whether every finding that is to name the bug was FAIL."""
    names = {row["name"] for row in result["missed"] if row["answer"] == "FAIL"}
    return names >= set(FOUND_BY[result["bug"]].findings)


def section(results: list[dict[str, Any]]) -> str:
    """The section: a row a bug, of its last run; and a row a scenario of the clean node."""
    lines = [
        "## Planted bugs (`make evidence-bugs`)",
        "",
        "`docker/meshnode/src/meshnode/bugs.py` says what each does; every node of the run has it.",
        "*Found*: the findings that are to name it were FAIL. Below, the node without a bug;",
        "*shared*: beside other work of the project, which took up to 96 % of the host.",
        "",
        "| bug | scenario | found | findings that were FAIL, with what was measured |",
        "|---|---|---|---|",
    ]
    for bug, finder in FOUND_BY.items():
        of = [result for result in results if result["bug"] == bug]
        if of:
            found = "yes" if is_found(of[-1]) else "no"
            told = "; ".join(failed(of[-1])) or of[-1]["answer"]
            lines.append(f"| {bug} | {finder.scenario} | {found} | {told} |")
    lines += [
        "",
        "| clean node | host | seeds | PASS | FAIL | UNKNOWN | rows that were not PASS |",
        "|---" * 7 + "|",
    ]
    clean: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if result["bug"] == CLEAN:
            clean[result["scenario"], result["host"]].append(result)
    for (scenario, host), of in sorted(clean.items()):
        answers = Counter(result["answer"] for result in of)
        missed = Counter(
            f"{row['answer']} {row['name']}: {row['cause'] or row['measured']}"
            for result in of
            for row in result["missed"]
        )
        counts = " | ".join(str(answers[name]) for name in ("PASS", "FAIL", "UNKNOWN"))
        told = "; ".join(f"{count} × {what}" for what, count in missed.most_common())
        lines.append(f"| {scenario} | {host} | {len(of)} | {counts} | {told} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bug", nargs="*", metavar="BUG", help=", ".join(FOUND_BY))
    parser.add_argument("--again", action="store_true", help="play what was played already")
    parser.add_argument("--host", default="alone", help="what else it does: alone, shared")
    asked = parser.parse_args()
    record, deadline = Record("bugs"), time.monotonic() + SECONDS
    for run in wanted(asked.bug or list(FOUND_BY)):
        if time.monotonic() > deadline or (asked.bug and run.bug == CLEAN):
            break
        if not asked.again and any(run.was(one, asked.host) for one in record.results()):
            continue
        with tempfile.TemporaryDirectory(prefix="hb-", dir="/tmp") as folder:
            result = once(str(written(Path(folder), run)), "netns", asked.host) | run._asdict()
        record.add(result)
        told = failed(result) or [result["answer"]]
        print(f"{run.bug}, {run.scenario}, seed {run.seed}: {'; '.join(told)}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
