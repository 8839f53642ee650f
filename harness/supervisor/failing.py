"""Waits until a row of the budget fails while a run is under way.

The judge is a process of its own, of lowest priority: ``harness judge RUN --follow --json``. It
says FAIL only of what nothing that is under way can change any more.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from harness.errors import UnavailableError

ENDS_S = 5.0


def first_failure(run: Path, phase: str, over: int, within_s: float | None) -> str | None:
    """Return the name of the first row about a phase that failed; None where none did until the
    descriptor `over` was readable, or the time was up. Raises UnavailableError where the judge
    ended before, and where no row is about that phase.
    """
    command = ["nice", "-n", "19", sys.executable, "-m", "harness", "judge", str(run)]
    with tempfile.TemporaryFile() as errors:
        judge = subprocess.Popen(
            [*command, "--follow", "--json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            return _heard(judge, phase, over, within_s)
        except EOFError:
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            words = said[-1] if said else "without a word"
            raise UnavailableError(f"the judge that follows the run ended: {words}") from None
        finally:
            judge.terminate()
            with suppress(subprocess.TimeoutExpired):
                judge.wait(ENDS_S)
            judge.kill()
            judge.communicate()


def _heard(
    judge: subprocess.Popen[bytes], phase: str, over: int, within_s: float | None
) -> str | None:
    """As `first_failure`. Raises EOFError where the judge says no more."""
    assert judge.stdout is not None
    deadline = None if within_s is None else time.monotonic() + within_s
    poll, buffer = select.poll(), b""
    for descriptor in (judge.stdout.fileno(), over):
        poll.register(descriptor, select.POLLIN)
    while True:
        left_s = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready = {one for one, _ in poll.poll(None if left_s is None else left_s * 1e3)}
        if not ready or over in ready:
            return None
        data = judge.stdout.read1(1 << 16)  # type: ignore[attr-defined]
        if not data:
            raise EOFError
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            if (row := failed(line, phase)) is not None:
                return row


def failed(line: bytes, phase: str) -> str | None:
    """Return the name of the first row about a phase that a look says has failed; None: none, or
    the line is no look. Raises UnavailableError where no row is about that phase.
    """
    try:
        findings = json.loads(line)["verdict"]["findings"]
        about = [one for one in findings if one["phase"] == phase and one["metric"]]
        found = next((str(one["name"]) for one in about if one["answer"] == "FAIL"), None)
    except (ValueError, KeyError, TypeError):
        return None
    if not about:
        raise UnavailableError(f"no row of the budget is about phase {phase}")
    return found
