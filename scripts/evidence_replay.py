"""Replays of a 60 s partition scenario, and of a session driven by hand, five times each: from the
run's folder, and from a bundle in a fresh clone. `make evidence-replay` (at most 45 minutes a time;
what was played by this commit is not played again), `python scripts/evidence_replay.py [PART …]`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from evidence_record import ROOT, Record

TIMES = 5
SECONDS = 45 * 60
MOMENT_MS = 20.0
SCENARIO = "partition-heal"
ORIGINS = ("folder", "bundle")
PATIENCE_S = 600.0
# By hand: so many seconds after the load began, somebody enters this command.
BY_HAND = (
    (6.0, ("fault", "cut", "halves", "--for", "8s")),
    (9.0, ("fault", "set", "node-1 -> node-2", "--delay", "20ms", "--loss", "2%")),
    (17.0, ("fault", "set", "node-7", "--condition", "paused", "--for", "3s")),
    (21.0, ("condition", "node-8", "killed")),
    (25.0, ("condition", "node-8", "running")),
    (27.0, ("fault", "set", "node-3", "--up", "20mbit")),
    (32.0, ("fault", "clear", "node-3 up 20mbit")),
)
BY_HAND_S = 40.0
LOCUST = (
    *("--headless", "--processes", "1", "--seed", "5", "--private-message-rate", "40"),
    *("PrivateMessageUser", "BroadcastUser"),
)


class Desk:
    """A checkout, and a folder with runs and clusters of its own."""

    def __init__(self, checkout: Path, folder: Path) -> None:
        self._binaries, self.folder = checkout / ".venv" / "bin", folder
        (folder / "s").mkdir(parents=True, exist_ok=True)
        self._checkout = checkout
        self._environment = {
            **os.environ,
            "HARNESS_STATE": str(folder / "s"),
            "HARNESS_CLUSTER": "re",
            "HARNESS_RUNS": str(folder / "runs"),
            "RUNTIME": "netns",
        }

    def start(self, program: str, *argv: str, **more: Any) -> subprocess.Popen[str]:
        """Start a program of the checkout."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
        return subprocess.Popen(
            [str(self._binaries / program), *argv],
            cwd=self.folder,
            env=self._environment,
            text=True,
            **pipes,
        )

    def harness(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        process = self.start("harness", *argv)
        said, errors = process.communicate()
        return subprocess.CompletedProcess(argv, process.returncode, said, errors)

    def phase(self) -> str | None:
        """The phase that is played now."""
        said = self.harness("status", "--json").stdout
        found: str | None = json.loads(said)["phase"] if said.startswith("{") else None
        return found

    def locustfile(self) -> str:
        return str(self._checkout / "locustfiles" / "p2p.py")


def scenario(desk: Desk) -> Path:
    """The scenario, from nothing; its run folder."""
    done = desk.harness("run", SCENARIO, "--json")
    return run_of(done.stdout, done.stderr)


def by_hand(desk: Desk) -> Path:
    """A session of Locust on ten nodes, in which somebody enters commands, and ends it."""
    desk.harness("up", "cluster-10")
    log = (desk.folder / "locust.log").open("w+")
    try:
        locust = desk.start(
            *("locust", *LOCUST, "-f", desk.locustfile()),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        patient = time.monotonic() + PATIENCE_S
        while desk.phase() is None and locust.poll() is None and time.monotonic() < patient:
            time.sleep(0.2)
        began = time.monotonic()
        for at_s, command in BY_HAND:
            time.sleep(max(0.0, began + at_s - time.monotonic()))
            done = desk.harness(*command)
            print(f"by hand: {' '.join(command)}: {done.stdout or done.stderr}", end="", flush=True)
        time.sleep(max(0.0, began + BY_HAND_S - time.monotonic()))
        locust.send_signal(signal.SIGINT)
        if locust.wait() not in (0, 1, 2):
            log.seek(0)
            raise RuntimeError(f"locust ended with {locust.returncode}: {log.read()[-300:]}")
    finally:
        desk.harness("down")
        log.close()
    return (desk.folder / "runs" / "latest").resolve()


def run_of(said: str, errors: str) -> Path:
    if not said.startswith("{"):
        raise RuntimeError(f"no verdict: {errors[-300:]}")
    return Path(json.loads(said)["run"])


PARTS: dict[str, Callable[[Desk], Path]] = {"scenario": scenario, "by hand": by_hand}


class Originals:
    """The original of each part, its bundle, and the clone in which bundles are replayed: made
    where they are missing, and kept for this commit.
    """

    def __init__(self, commit: str) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"her-{commit}"
        self.desk = Desk(ROOT, self._folder / "first")

    def source(self, part: str, origin: str) -> Path:
        """Return what is replayed: a run folder, or a bundle of it."""
        kept = self._folder / f"{part.replace(' ', '-')}.txt"
        if not kept.exists():
            kept.write_text(str(PARTS[part](self.desk)))
        run = Path(kept.read_text())
        if origin == "folder":
            return run
        bundle = kept.with_suffix(".run.tar.gz")
        if not bundle.exists():
            self.desk.harness("bundle", str(run), "-o", str(bundle))
        return bundle

    def clone(self) -> Desk:
        """Return a desk in a fresh clone, set up as anybody does."""
        checkout = self._folder / "clone"
        if not (checkout / ".venv" / ".made-from").exists():
            subprocess.run(["rm", "-rf", str(checkout)], check=True)
            cloned = ["git", "clone", "--quiet", str(ROOT), str(checkout)]
            subprocess.run(cloned, check=True)
            setup = [str(checkout / "scripts" / "setup"), sys.executable]
            subprocess.run(setup, cwd=checkout, check=True)
        return Desk(checkout, self._folder / "second")


def once(originals: Originals, part: str, origin: str) -> dict[str, Any]:
    """Replay a part once; how near it came."""
    result: dict[str, Any] = {
        "part": part,
        "origin": origin,
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    }
    try:
        source = originals.source(part, origin)
        desk = originals.desk if origin == "folder" else originals.clone()
    except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
        return result | {"error": str(error)}
    load = os.getloadavg()[0]
    done = desk.harness("replay", str(source), "--json")
    if not done.stdout.startswith("{"):
        return result | {"error": done.stderr[-300:]}
    found = json.loads(done.stdout)
    fidelity = found["fidelity"]
    moments, findings = (fidelity["parts"][name] for name in ("moments", "findings"))
    told = ("p99_ms", "worst_ms", "worst", "missing", "extra", "not_compared", "errors", "starts")
    return result | {
        "load": round(load, 1),
        "answer": found["runs"]["replay"]["answer"],
        "fidelity": fidelity["fidelity"],
        "scores": {name: one["score"] for name, one in fidelity["parts"].items()},
        "moments": {name: moments[name] for name in told},
        "findings": {"of": findings["of"], "changed": findings["changed"]},
    }


def is_near(result: dict[str, Any]) -> bool:
    """Whether 99 % of its moments are within 20 ms, and none is missing."""
    moments = result["moments"]
    return moments["p99_ms"] <= MOMENT_MS and not (moments["missing"] or moments["extra"])


def section(results: list[dict[str, Any]]) -> str:
    """The section: a row a part and origin, and each finding that changed."""
    lines = [
        "## Replays (`make evidence-replay`)",
        "",
        f"*scenario*: `{SCENARIO}`. *by hand*: a Locust session of {BY_HAND_S:g} s on ten nodes in",
        "which a cut, a delay with loss, a rate, a pause, a kill and a start were entered as",
        "commands, ended by Ctrl-C. *bundle*: in a fresh clone, set up as anybody does. netns.",
        "*ms*: p50, p99 and worst of the errors of all replays' moments. *load*: the host's, as a",
        "replay began: what others do on its cores may change findings. The fidelity of",
        "0.708 is of one original that stood still for 39 s: most likely stopped from outside",
        "(SIGSTOP, for another measurement), which nobody had recorded.",
        "",
        "| played | from | commit | load | times | p99 ≤ 20 ms | same findings | ms | fidelity |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for one in results:
        if "error" not in one:
            groups.setdefault((one["part"], one["origin"], one["commit"]), []).append(one)
    changed: dict[str, int] = {}
    for (part, origin, commit), of in groups.items():
        errors = [abs(moment["error_ms"]) for one in of for moment in one["moments"]["errors"]]
        worst = max(of, key=lambda one: abs(one["moments"]["worst_ms"]))["moments"]
        p50, p99 = np.percentile(errors, (50, 99))
        near = sum(map(is_near, of))
        same = sum(not one["findings"]["changed"] for one in of)
        scores = sorted(one["fidelity"] for one in of)
        for one in (change for result in of for change in result["findings"]["changed"]):
            what = f"{part}, {origin}: {one['name']}: {one['original']} → {one['replay']}"
            changed[what] = changed.get(what, 0) + 1
        loads = sorted(one["load"] for one in of)
        lines.append(
            f"| {part} | {origin} | {commit} | {loads[0]:.0f} to {loads[-1]:.0f} | {len(of)} | "
            f"{near} of {len(of)} | "
            f"{same} of {len(of)} | {p50:.1f}, {p99:.1f}, {worst['worst_ms']:+.1f} ms "
            f"({worst['worst']}) | {scores[0]:.3f} to {scores[-1]:.3f} |"
        )
    if changed:
        lines += ["", "Findings that changed:", ""]
        lines += [f"- {count} × {what}" for what, count in changed.items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="*", default=[*PARTS], metavar="PART")
    parser.add_argument("--times", type=int, default=TIMES)
    asked = parser.parse_args()
    record, deadline = Record("replay"), time.monotonic() + SECONDS
    said = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    commit = subprocess.run(said, capture_output=True, text=True, check=True).stdout.strip()
    originals = Originals(commit)
    played = [(part, origin) for part in asked.part for origin in ORIGINS]
    for number in range(asked.times):
        for part, origin in played:
            key = (part, origin, commit)
            done = sum(
                (one["part"], one["origin"], one["commit"]) == key and "error" not in one
                for one in record.results()
            )
            if done > number or time.monotonic() > deadline:
                continue
            result = once(originals, part, origin)
            record.add(result)
            print(f"{part}, {origin}, {number + 1}/{asked.times}: {told(result)}", flush=True)
    record.publish(section(record.results()))


def told(result: dict[str, Any]) -> str:
    """One replay in a line."""
    if "error" in result:
        return str(result["error"])
    moments, changed = result["moments"], result["findings"]["changed"]
    return (
        f"{result['answer']}, worst {moments['worst_ms']:+.1f} ms ({moments['worst']}), "
        f"{len(changed)} findings changed {[one['name'] for one in changed]}, "
        f"fidelity {result['fidelity']}"
    )


if __name__ == "__main__":
    main()
