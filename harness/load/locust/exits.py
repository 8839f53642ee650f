"""Exit codes of a Locust process: a verdict's 0, 1, 2 must come from a verdict and from nothing
else.

Locust ends with 1 or 2 for its own reasons (an unknown user class, a bad option, a listener that
raised), which would read as FAIL or UNKNOWN. Those become 64 (asked for what cannot be) or 70
(broke) of sysexits(3).
"""

from __future__ import annotations

import errno
import os
import sys
from typing import Any, NoReturn

from harness.errors import (
    HarnessError,
    InterruptedByUserError,
    NameTakenError,
    PermissionNeededError,
    UsageError,
)

PASS, FAIL, UNKNOWN = 0, 1, 2
_exit = sys.exit


class ExitCode:
    """The code this process will end with: the worst of its runs."""

    def __init__(self) -> None:
        self.value: int | None = None  # None: there was none, and nothing broke
        self.initialised = False  # before that, only the command line can be wrong
        self.decided = False  # the `quitting` event has set Locust's code to ours

    def add(self, code: int) -> None:
        """A run ended with this code (0, 1, 2 or one of sysexits)."""
        order = {PASS: 0, UNKNOWN: 1, FAIL: 2}
        before = code if self.value is None else self.value
        self.value = max(before, code, key=lambda each: order.get(each, each))

    def decide(self) -> int:
        """Return the code that Locust is told to end with. Who ends before a run has passed
        nothing.
        """
        self.decided = True
        return InterruptedByUserError.exit_code if self.value is None else self.value

    def install(self) -> None:
        """Map the codes that Locust and argparse end with, in this process and those forked from
        it.
        """
        sys.exit = self._mapped

    def _mapped(self, code: Any = None, /) -> NoReturn:
        if self.decided or code in (None, 0):
            _exit(code)
        _exit(HarnessError.exit_code if self.initialised else UsageError.exit_code)


def end_where_busy(web_ui: Any) -> None:
    """Have Locust's page end the process with one sentence where it cannot listen."""
    serve = web_ui.start_server

    def start_server() -> None:
        try:
            serve()
        except OSError as error:
            at = f"{web_ui.host or '*'}:{web_ui.port}"
            if error.errno == errno.EADDRINUSE:
                other = "end what listens there, or choose another port (--web-port)"
                end_now(NameTakenError(f"the page's port is taken, {at}: {other}"))
            if error.errno in (errno.EACCES, errno.EPERM):
                end_now(PermissionNeededError(f"the page may not listen at {at}: {error}"))
            end_now(UsageError(f"the page cannot listen at {at}: {error}"))

    web_ui.start_server = start_server


def end_now(error: HarnessError) -> NoReturn:
    """End this process with the error's sentence and code, and nothing else: no listener, no
    report, no wait.
    """
    sys.stdout.flush()
    print(f"locust: {error}", file=sys.stderr, flush=True)
    os._exit(error.exit_code)
