"""The live judge is a child process, `harness judge RUN --follow --json`: a line of JSON a look.

It is a process of its own because it must see plain Python, not one that gevent has patched, and
niced, because what it says can wait and the load cannot.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import gevent
from gevent import subprocess

EVERY_S = 2
NICE = 19


class LiveJudge:
    """The newest verdict of the run that is under way."""

    def __init__(self) -> None:
        self.newest: dict[str, Any] | None = None  # at_s, is_final, verdict
        self.problem = ""  # why there is none
        self._process: Any = None
        self._reader: Any = None

    def begin(self, run: Path) -> None:
        """Judge this run from now on."""
        self.end()
        self.newest, self.problem = None, ""
        prefix = ["nice", "-n", str(NICE), sys.executable, "-m", "harness"]
        self._process = subprocess.Popen(
            [*prefix, "judge", str(run), "--follow", "--json", "--every", str(EVERY_S)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._reader = gevent.spawn(self._read, self._process)

    def end(self) -> None:
        """End the process, if it still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        process.wait()
        self._reader.join(timeout=1)

    def _read(self, process: Any) -> None:
        for line in process.stdout:
            try:
                self.newest = json.loads(line)
            except ValueError:
                self.problem = "the live judge said what is no JSON"
        said = process.stderr.read().decode(errors="replace").strip().splitlines()
        code = process.wait()
        if process is self._process and not (self.newest or {}).get("is_final"):
            self.problem = (
                f"the live judge ended with {code}: {said[-1] if said else 'no word'}; nothing "
                "newer is known until the run is judged after its end"
            )
