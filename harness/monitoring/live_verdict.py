"""The verdict of a run so far, from a process that looks (experiments/looks.py): judging takes long
and waits for nobody.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

END_S = 5.0  # from being told to end until it is killed
EVERY_S = 2.0


def command(run: Path, every_s: float) -> list[str]:
    """The command that looks at a run; `every_s` 0: once."""
    return [sys.executable, "-m", "harness.experiments.looks", str(run), str(every_s)]


def once(run: Path) -> dict[str, Any] | None:
    """Look once; None where there is nothing to judge yet, or it cannot be judged."""
    said = subprocess.run(command(run, 0), capture_output=True, check=False, text=True)
    return _read(said.stdout)


def final(run: Path) -> dict[str, Any] | None:
    """The verdict that a run folder holds, in the words of a look; None while it has none."""
    try:
        verdict = json.loads((run / "verdict.json").read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(verdict, dict) or not isinstance(verdict.get("findings"), list):
        return None
    return {"is_final": True, "verdict": verdict}


class LiveVerdict:
    """Looks at one run after another; `newest` is the last look at the one that goes on."""

    def __init__(self) -> None:
        self.newest: dict[str, Any] | None = None
        self._process: subprocess.Popen[str] | None = None

    def begin(self, run: Path) -> None:
        """Look at this run from now on."""
        self.end()
        self.newest = None
        self._process = subprocess.Popen(
            command(run, EVERY_S),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # that there is no look is what it says
            text=True,
        )
        reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        reader.start()

    def end(self) -> None:
        """End the process, if it still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout:
            for line in process.stdout:
                look = _read(line)
                if process is self._process:
                    self.newest = look
        process.wait()
        if process is self._process:  # nothing newer comes: what was so may not be so any more
            self.newest = None


def _read(line: str) -> dict[str, Any] | None:
    try:
        look = json.loads(line)
    except ValueError:
        return None
    return look if isinstance(look, dict) else None
