"""Run tests in lanes side by side: ``test.py all`` runs every layer (`make test`), and ``test.py
check`` what belongs before a commit (`make check`).

A lane is one process, its output goes to a file of its own. All files are shown one after another
at the end, those of failed lanes last, and then one line that sums them up as pytest's last line
does. The exit code is the worst of all lanes. Ctrl-C is passed on to every lane, and all are waited
for.
"""

from __future__ import annotations

import re
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
# What only computes lets those pass whose verdict a full host makes UNKNOWN.
YIELDING = ["nice", "-n", "19"]
UNIT = ["tests/unit", "tests/test_architecture.py"]
# Tests on namespaces wait for most of their time, so several lanes of them share two cores. What
# has no lane of its own runs in the lane "root".
KILLS = [f"tests/root/test_{name}.py" for name in ("kill", "bad_days", "cluster")]
LOADS = [f"tests/root/test_{name}.py" for name in ("systems", "sabotage")]
OTHERS = ["tests/root", *(f"--ignore={path}" for path in [*KILLS, *LOADS])]
LANES = {
    "check": {
        "lint": [f"{ROOT}/scripts/lint"],
        "meshnode": [*PYTEST, "tests/unit/meshnode"],
        "unit": [*PYTEST, *UNIT, "--ignore=tests/unit/meshnode"],
    },
    "all": {
        "unit": [*YIELDING, *PYTEST, *UNIT, "tests/simulations"],
        "machine": [*YIELDING, *PYTEST, "tests/machine"],
        "docker": [*PYTEST, "tests/docker", "tests/browser"],
        "kills": [*PYTEST, *KILLS],
        "loads": [*PYTEST, *LOADS],
        "root": [*PYTEST, *OTHERS, "tests/processes"],
    },
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


def wait(lanes: list[Lane], began_s: float) -> None:
    """Wait for all lanes and tell of each when it ends; Ctrl-C interrupts all that still run."""
    waiting = list(lanes)
    while waiting:
        try:
            for lane in [lane for lane in waiting if lane.process.poll() is not None]:
                waiting.remove(lane)
                code, seconds = lane.process.returncode, time.monotonic() - began_s
                print(f"{lane.name}: {code or 'ok'} after {seconds:.0f} s", flush=True)
            time.sleep(0.1)
        except KeyboardInterrupt:
            for lane in waiting:
                lane.process.send_signal(signal.SIGINT)


def last_line(counts: Counter[str], seconds: float) -> str:
    """As pytest's: ``===== 1 failed, 700 passed in 61.20s (0:01:01) =====``."""
    said = ", ".join(f"{counts[word]} {word}" for word in COUNTED if counts[word])
    minutes, rest = divmod(int(seconds), 60)
    text = f" {said or 'no tests ran'} in {seconds:.2f}s (0:{minutes:02}:{rest:02}) "
    return text.center(100, "=")


def main(lanes: dict[str, list[str]]) -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's `&` has it ignored
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lanes-") as folder:
        started = [start(name, command, Path(folder)) for name, command in lanes.items()]
        print(f"lanes: {', '.join(lanes)}; one of them: tail -f {started[0].output}", flush=True)
        wait(started, began_s)
        counts: Counter[str] = Counter()
        for lane in sorted(started, key=lambda lane: lane.process.returncode != 0):
            print(f"\n{f' lane {lane.name} '.center(100, '#')}", flush=True)
            sys.stdout.write(lane.output.read_text(errors="replace"))
            counts += lane.counts()
        bad = [lane.name for lane in started if lane.process.returncode]
        print(f"\nlanes that failed: {', '.join(bad) or 'none'}")
        print(last_line(counts, time.monotonic() - began_s), flush=True)
        return max(abs(lane.process.returncode) for lane in started)


if __name__ == "__main__":
    sys.exit(main(LANES[sys.argv[1]]))
