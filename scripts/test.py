"""Run tests in lanes side by side: ``test.py all`` runs every layer (`make test`), ``test.py
check`` what belongs before a commit (`make check`), ``test.py ci`` all that CI plays (`make ci`).

A lane is one process, its output goes to a file of its own. All files are shown one after another
at the end, those of failed lanes last, and then one line that sums them up as pytest's last line
does. The exit code is the worst of all lanes. Ctrl-C is passed on to every lane, and all are waited
for.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PYTEST = [f"{ROOT}/.venv/bin/python", "-m", "pytest", "--durations=40"]
UNIT = ["tests/unit", "tests/test_architecture.py"]
# What only computes gets what is left over: whoever starts clusters has the core at once
# (SCHED_IDLE; at nice 19 it waits for up to a slice).
YIELDING = ["chrt", "--idle", "0"]
# Some tests want a verdict on times that only a host with little else to do allows, and some a FAIL
# on times, which a host that others fill excuses.
QUIET = ["-m", "quiet"]
ALONE = ["-m", "alone"]
REST = ["-m", "not quiet and not alone"]


def files(layer: str, *names: str) -> list[str]:
    return [f"tests/{layer}/test_{name}.py" for name in names]


# The lanes that start clusters: so many at once, and the next when one ends, the longest first, or
# the last one decides. Tests on namespaces wait for much of their time, so more lanes than cores
# share the cores; more than these starve each other.
AT_ONCE = 11
BROUGHT = ("brought_docker", "enter", "python_docker", "wrapped_docker")
LANES = {
    "docker": ["tests/docker", *(f"--ignore={file}" for file in files("docker", *BROUGHT))],
    "shrinking": files("root", "shrink"),
    "proofs": files("root", "network", "network_streams", "proof"),
    "lives": files("root", "kill"),
    "nodes": ["tests/processes", "--ignore=tests/processes/test_locust.py"],
    "locust": files("processes", "locust"),
    "systems": files("root", "systems", "families"),
    "browser": ["tests/browser"],
    "bad nodes": files("root", "bad_nodes"),
    "replays": files("root", "replay"),
    "soaks": files("root", "soak"),
    "profiles": files("root", "memory_profiles", "metrics", "profiles"),
    "conditions": files("root", "bad_ends", "conditions"),
    "followed": files("root", "deaths", "follow", "python"),
    "guide": files("root", "guide", "kinds"),
    "liars": files("root", "liars", "other_system", "told", "wrapped"),
    "sabotage": files("root", "network_sabotage", "sabotage_fuzz"),
    "generated": files("root", "cluster_recording", "generated", "until"),
    "clusters": files("root", "cluster", "cluster_conditions"),
    "brought": files("docker", *BROUGHT),
    "bad days": files("root", "bad_days", "gate"),
    "checkers": files("root", "checkers", "clocks", "disks"),
    "spoken": files("root", "command_files", "transports"),
}
IN_LANES = [path for paths in LANES.values() for path in paths if path.startswith("tests/root")]
CLUSTERS = {
    **{name: [*PYTEST, *REST, *paths] for name, paths in LANES.items()},
    "root": [*PYTEST, *REST, "tests/root", *(f"--ignore={path}" for path in IN_LANES)],
}
SIMULATED = ["tests/simulations", "tests/machine"]
LINT = [f"{ROOT}/scripts/lint"]
IN_QUIET = [*PYTEST, *QUIET, "tests/root", "tests/processes", "tests/docker"]
LAST = {"alone": [*PYTEST, *ALONE, "tests/root"]}
# Rounds, one after the other, of lanes that run side by side.
ROUNDS = {
    "check": [
        {
            "lint": LINT,
            "meshnode": [*PYTEST, "tests/unit/meshnode"],
            "unit": [*PYTEST, *UNIT, "--ignore=tests/unit/meshnode"],
        }
    ],
    "all": [
        {"computing": [*YIELDING, *PYTEST, *UNIT, *SIMULATED], **CLUSTERS},
        {"quiet": IN_QUIET},
        LAST,
    ],
    # Two small clusters on two cores leave each other what they need, a night and a quiet test,
    # and leave a core to what computes.
    "ci": [
        {
            "simulations": [*YIELDING, *PYTEST, *SIMULATED],
            "lint": [*YIELDING, *LINT],
            **CLUSTERS,
        },
        {
            "computing": [*YIELDING, *PYTEST, *UNIT],
            "night": [*PYTEST, "-rP", "tests/night"],
            "quiet": IN_QUIET,
        },
        LAST,
    ],
}
COUNTED = ("failed", "passed", "skipped", "xfailed", "error")
LAST_LINE = re.compile(r"^=* ?(\d+ \w+.*) in [\d.]+s\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Lane:
    """A command that runs beside the others, in a session of its own."""

    name: str
    process: subprocess.Popen[bytes]
    output: Path
    yields: bool

    def counts(self) -> Counter[str]:
        """What the last line of pytest counts, by its words; empty where it wrote none."""
        lines = LAST_LINE.findall(self.output.read_text(errors="replace"))
        words = re.findall(r"(\d+) (\w+)", lines[-1]) if lines else []
        return Counter(
            {
                word.removesuffix("s") if word == "errors" else word: int(number)
                for number, word in words
            }
        )


def start(name: str, command: list[str], folder: Path) -> Lane:
    output = folder / name
    with output.open("wb") as file:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return Lane(name, process, output, command[: len(YIELDING)] == YIELDING)


def play(lanes: dict[str, list[str]], folder: Path, began_s: float) -> tuple[list[Lane], bool]:
    """Play a round: AT_ONCE of its lanes, beside those that yield, and the next when one ends, and
    tell of each when it ends. Ctrl-C interrupts those that run and starts no more; whether that
    happened.
    """
    spent_s, interrupted = computed_s(), False
    waiting, running, ended = list(lanes.items()), list[Lane](), list[Lane]()
    while waiting or running:
        try:
            while waiting and sum(not lane.yields for lane in running) < AT_ONCE:
                running.append(start(*waiting.pop(0), folder))
            for lane in [lane for lane in running if lane.process.poll() is not None]:
                running.remove(lane)
                ended.append(lane)
                code, seconds = lane.process.returncode, time.monotonic() - began_s
                spent_s, before_s = computed_s(), spent_s
                print(
                    f"{lane.name}: {code or 'ok'} after {seconds:.0f} s, of them "
                    f"{spent_s - before_s:.0f} s of a core",
                    flush=True,
                )
            time.sleep(0.1)
        except KeyboardInterrupt:
            interrupted = True
            waiting.clear()
            for lane in running:
                lane.process.send_signal(signal.SIGINT)
    return ended, interrupted


def computed_s() -> float:
    """Seconds of a core that all lanes took which have ended, with their descendants."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def last_line(counts: Counter[str], seconds: float) -> str:
    """As pytest's: ``===== 1 failed, 700 passed in 61.20s (0:01:01) =====``."""
    said = ", ".join(f"{counts[word]} {word}" for word in COUNTED if counts[word])
    minutes, rest = divmod(int(seconds), 60)
    text = f" {said or 'no tests ran'} in {seconds:.2f}s (0:{minutes:02}:{rest:02}) "
    return text.center(100, "=")


def main(rounds: list[dict[str, list[str]]]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    began_s = time.monotonic()
    ended: list[Lane] = []
    with tempfile.TemporaryDirectory(prefix="lanes-") as folder:
        for lanes in rounds:
            print(
                f"lanes: {', '.join(lanes)}; one: tail -f {folder}/{next(iter(lanes))}", flush=True
            )
            played, interrupted = play(lanes, Path(folder), began_s)
            ended += played
            if interrupted:
                break
        counts: Counter[str] = Counter()
        for lane in sorted(ended, key=lambda lane: lane.process.returncode != 0):
            print(f"\n{f' lane {lane.name} '.center(100, '#')}", flush=True)
            sys.stdout.write(lane.output.read_text(errors="replace"))
            counts += lane.counts()
        bad = [lane.name for lane in ended if lane.process.returncode]
        print(f"\nlanes that failed: {', '.join(bad) or 'none'}")
        print(last_line(counts, time.monotonic() - began_s), flush=True)
        return max(abs(lane.process.returncode) for lane in ended)


if __name__ == "__main__":
    sys.exit(main(ROUNDS[sys.argv[1]]))
