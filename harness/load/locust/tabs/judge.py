"""The live judge is a child process, `harness judge RUN --follow --json`: a line of JSON a look.

It is a process of its own because it must see plain Python, not one that gevent has patched. What
it says can wait and the load cannot: it is niced, which means something only to an ordinary
process, and its parent is none.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import IO, Any

import gevent
from gevent import subprocess

from harness.kernel import priority

EVERY_S = 2
SAID_MOST = 300  # characters of its last words
END_S = 5.0  # from being told to end until it is killed
NICE = 19


def command(run: Path) -> list[str]:
    """The command that judges a run while it goes on."""
    prefix = ["nice", "-n", str(NICE), sys.executable, "-m", "harness"]
    return [*prefix, "judge", str(run), "--follow", "--json", "--every", str(EVERY_S)]


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
        # A pipe that nobody reads would fill, and stop it. The reader closes the file.
        said = tempfile.TemporaryFile()  # noqa: SIM115 - it outlives this call
        self._process = subprocess.Popen(
            command(run),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=said,
            preexec_fn=priority.be_ordinary,
        )
        self._reader = gevent.spawn(self._read, self._process, said)

    def end(self) -> None:
        """End the process, if it still runs."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._reader.join(timeout=1)

    def _read(self, process: Any, errors: IO[bytes]) -> None:
        for line in process.stdout:
            try:
                self.newest = json.loads(line)
            except ValueError:
                self.problem = "the live judge said what is no JSON"
        code = process.wait()
        with errors:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
        if process is self._process and not (self.newest or {}).get("is_final"):
            word = said[-1][-SAID_MOST:] if said else "no word"
            self.problem = (
                f"the live judge ended with {code}: {word}; nothing newer is known until the run "
                "is judged after its end"
            )
