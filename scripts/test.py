"""Run tests in lanes side by side: ``test.py all`` runs every layer (`make test`), and ``test.py
check`` what belongs before a commit (`make check`).

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
PYTEST = [f"{ROOT}/.venv/bin/python", "-m", "pytest", "--durations=15"]
UNIT = ["tests/unit", "tests/test_architecture.py"]
# What only computes lets those pass whose verdict a full host makes UNKNOWN.
YIELDING = ["nice", "-n", "19"]
# Some tests want a verdict on times that only a host with nothing else to do allows.
QUIET = ["-m", "quiet"]
REST = ["-m", "not quiet"]
ROOT_LANES = {
    "lives": [f"tests/root/test_{name}.py" for name in ("kill", "bad_days")],
    "clusters": [
        f"tests/root/test_{name}.py"
        for name in ("cluster", "cluster_conditions", "cluster_recording", "systems")
    ],
    "networks": [
        f"tests/root/test_{name}.py"
        for name in ("network", "network_sabotage", "network_streams", "proof", "sabotage_fuzz")
    ],
    "bad nodes": ["tests/root/test_bad_nodes.py", "tests/processes"],
    "faults of nodes": [
        f"tests/root/test_{name}.py"
        for name in ("bad_ends", "checkers", "clocks", "conditions", "disks", "until")
    ],
    "replays": [f"tests/root/test_{name}.py" for name in ("generated", "replay")],
    "shrinking": ["tests/root/test_shrink.py"],
    "nights": [f"tests/root/test_{name}.py" for name in ("gate", "soak", "metrics", "profiles")],
}
REPLAYS = "tests/root/test_replay.py"
IN_LANES = [path for paths in ROOT_LANES.values() for path in paths]
# Rounds, one after the other, of lanes that run side by side. Tests on namespaces wait for two
# thirds of their time, so more lanes of them than cores share the cores.
ROUNDS = {
    "check": [
        {
            "lint": [f"{ROOT}/scripts/lint"],
            "meshnode": [*PYTEST, "tests/unit/meshnode"],
            "unit": [*PYTEST, *UNIT, "--ignore=tests/unit/meshnode"],
        }
    ],
    "all": [
        {
            "computing": [*YIELDING, *PYTEST, *UNIT, "tests/simulations", "tests/machine"],
            "docker": [*PYTEST, *REST, "tests/docker", "tests/browser"],
            **{name: [*PYTEST, *REST, *paths] for name, paths in ROOT_LANES.items()},
            "root": [*PYTEST, *REST, "tests/root", *(f"--ignore={path}" for path in IN_LANES)],
        },
        {  # two small clusters on two cores leave each other what they need
            "quiet": [
                *(*PYTEST, *QUIET, "tests/root", "tests/processes", "tests/docker"),
                f"--ignore={REPLAYS}",
            ],
            "quiet replays": [*PYTEST, *QUIET, REPLAYS],
        },
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
    return Lane(name, process, output)


def wait(lanes: list[Lane], began_s: float) -> bool:
    """Wait for all lanes and tell of each when it ends. Ctrl-C interrupts all that still run;
    whether that happened.
    """
    waiting, spent_s, interrupted = list(lanes), computed_s(), False
    while waiting:
        try:
            for lane in list(waiting):
                if lane.process.poll() is None:
                    continue
                waiting.remove(lane)
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
            for lane in waiting:
                lane.process.send_signal(signal.SIGINT)
    return interrupted


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
            started = [start(name, command, Path(folder)) for name, command in lanes.items()]
            print(f"lanes: {', '.join(lanes)}; one: tail -f {started[0].output}", flush=True)
            ended += started
            if wait(started, began_s):
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
