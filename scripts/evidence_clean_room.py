"""The clean room: an empty folder, an empty environment with nothing but our wheels in it, Debian's
redis-server, and docs/your-own-node.md typed word by word. How long each step takes until the first
verdict. `make evidence-clean-room` (three minutes), `python scripts/evidence_clean_room.py`.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evidence_record import ROOT, Record

sys.path[:0] = [str(ROOT / "tests")]
from kit import walkthrough  # noqa: E402 - of the tests' folder
from kit.walkthrough import File  # noqa: E402

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
LONGEST_S = 600
TYPED_PER_S = 3.3  # characters that somebody types who types 40 words a minute
READ_PER_MINUTE = 200  # words
COMMENT = re.compile(r"\s*#(?= ).*$", re.MULTILINE)  # which nobody has to type
# What a person met who played it for the first time, and what was done about it.
ANNOYED = (
    "What annoyed, the first time, and was mended: of a node that was not ready `up` said only",
    "the first line of what it had answered (*$616*), and not what was expected: it says both, in",
    "one line. Reads that began before any write had come true made a verdict UNKNOWN: the guide",
    "gives them `after_s`. A p99 of 80 operations is UNKNOWN (it wants 100): the guide has a p95.",
)
VERDICTS = ("PASS", "FAIL", "UNKNOWN")


class Room:
    """An empty folder with a home and an environment of its own: nothing of the repository is on
    its path.
    """

    def __init__(self, place: Path, runtime: str) -> None:
        self.work, self._bin = place / "work", place / "venv" / "bin"
        for folder in (self.work, place / "home", place / "s"):
            folder.mkdir()
        self._environment = {
            "PATH": f"{self._bin}:{SYSTEM_PATH}",
            "HOME": str(place / "home"),
            "LANG": "C.UTF-8",
            "HARNESS_STATE": str(place / "s"),
            "RUNTIME": runtime,
        }

    def typed(self, line: str) -> dict[str, Any]:
        """Type a line; what came of it, and in how many seconds."""
        begin = time.monotonic()
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=self.work,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        seconds = round(time.monotonic() - begin, 1)
        return {"typed": line, "seconds": seconds, "exit": done.returncode, "said": done.stdout}


def played(runtime: str) -> dict[str, Any]:
    """Type the whole guide in a clean room."""
    at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    with tempfile.TemporaryDirectory(prefix="hcr-", dir="/tmp") as folder:
        place = Path(folder)
        _run(f"{sys.executable} -m pip wheel -q --no-deps -w {place}/dist docker/meshnode .", ROOT)
        room = Room(place, runtime)
        installed = room.typed(
            f"python3 -m venv {place}/venv && {place}/venv/bin/pip install -q "
            f"--disable-pip-version-check {place}/dist/*.whl"
        )
        installed["typed"] = "python3 -m venv venv && pip install *.whl"
        told = [installed]
        try:
            for step in walkthrough.steps():
                if isinstance(step, File):
                    (room.work / step.name).write_text(step.text)
                    characters = len(COMMENT.sub("", step.text))
                    told.append({"typed": step.name, "characters": characters, "seconds": 0.0})
                    continue
                found = room.typed(step.line)
                shows = [line.replace(" on netns", f" on {runtime}") for line in step.shows]
                told.append(found | {"lacks": walkthrough.missing(shows, found["said"])})
        finally:
            room.typed("harness down")
    redis = shutil.which("redis-server") or "none"
    return {"at": at, "runtime": runtime, "redis": redis, "steps": told}


def _run(line: str, cwd: Path) -> None:
    subprocess.run(["sh", "-c", line], cwd=cwd, env={**os.environ}, check=True, timeout=LONGEST_S)


def section(results: list[dict[str, Any]]) -> str:
    """The last time on each runtime: each step until the first verdict, and beyond."""
    last = {result["runtime"]: result for result in results}
    installed = [result["steps"][0]["seconds"] for result in results]
    lines = [
        "## The clean room (`make evidence-clean-room`)",
        "",
        "An empty folder, an empty environment with our wheels alone, a home of its own, Debian's",
        "`redis-server`, and [the guide](your-own-node.md#ten-minutes-with-redis) played word by",
        "word; nothing of the repository is on the path. To read it as far as the first verdict",
        f"takes {_words() / READ_PER_MINUTE:.1f} minutes ({_words():,} words, 200 a minute).",
        "Other work kept the host busy, and differently each time: to install alone took",
        f"{min(installed):.0f} to {max(installed):.0f} seconds.",
    ]
    for runtime, result in last.items():
        machine, typed = _until_verdict(result)
        minutes, more = machine / 60, typed / TYPED_PER_S / 60
        lines += [
            "",
            f"**{runtime}** ({result['at']}): the first verdict after **{minutes:.1f} minutes** of",
            f"the machine. Who types what is shown and does not paste it needs {more:.0f} more (40",
            f"words a minute, {typed:,} characters).{_earlier(results, result)}",
            "",
            "| step | seconds | what came of it |",
            "|---|---|---|",
        ]
        lines += [_line(step) for step in result["steps"]]
    return "\n".join([*lines, "", *ANNOYED])


def _earlier(results: list[dict[str, Any]], last: dict[str, Any]) -> str:
    """What it took on the same runtime before."""
    before = [one for one in results if one["runtime"] == last["runtime"] and one is not last]
    minutes = ", ".join(f"{_until_verdict(one)[0] / 60:.1f}" for one in before)
    return f" Earlier: {minutes}." if before else ""


def _words() -> int:
    """How many words the guide's prose has until the first verdict."""
    before, _, _ = walkthrough.part().partition("$ harness run")
    return len(walkthrough.FENCE.sub("", before).split())


def _until_verdict(result: dict[str, Any]) -> tuple[float, int]:
    """Seconds of the machine, and characters typed, until the first verdict."""
    seconds, typed = 0.0, 0
    for step in result["steps"]:
        seconds += step["seconds"]
        typed += step.get("characters", len(step["typed"]))
        if _verdict(step):
            break
    return seconds, typed


def _verdict(step: dict[str, Any]) -> str:
    """The headline of a verdict in what a step said; empty: it has none."""
    lines = step.get("said", "").splitlines() if "harness run" in step["typed"] else []
    return next((line for line in lines if line.startswith(VERDICTS)), "")


def _line(step: dict[str, Any]) -> str:
    if "characters" in step:
        return f"| `{step['typed']}` | – | {step['characters']:,} characters |"
    lacks = step.get("lacks", ())
    came = _verdict(step) or ("as shown" if not step["exit"] else f"exit code {step['exit']}")
    came += f"; **not as shown**: {lacks[0]}" if lacks else ""
    return f"| `{step['typed']}` | {step['seconds']:.1f} | {came} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=("netns", "docker"), action="append")
    asked = parser.parse_args()
    record = Record("clean-room")
    for runtime in asked.runtime or ("netns", "docker"):
        result = played(runtime)
        record.add(result)
        print(f"{runtime}: the first verdict after {_until_verdict(result)[0]:.0f} s", flush=True)
        for step in result["steps"]:
            print(f"    {_line(step)}", flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
