"""What ends a long command, in a process of its own, for signals are of a process."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

WAITS = """
import signal, sys, time
from harness.cli.progress import shown
{before}
try:
    with shown():
        print("ready", flush=True)
        for _ in range({turns}):
            time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
else:
    print("over")
"""
IGNORED = "signal.signal(signal.SIGINT, signal.SIG_IGN)"  # as a shell does for `command &`


def ended_by(number: signal.Signals, before: str, turns: int) -> str:
    """What a command says at its end that gets a signal when it has begun."""
    command = [sys.executable, "-c", WAITS.format(before=before, turns=turns)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        return process.stdout.read().strip()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_it_ends_like_by_ctrl_c(number):
    assert ended_by(number, "", 10**9) == "interrupted"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_it_ends_also_in_the_background_where_ctrl_c_is_ignored(number):
    assert ended_by(number, IGNORED, 10**9) == "interrupted"


def test_in_the_background_ctrl_c_is_ignored():
    assert ended_by(signal.SIGINT, IGNORED, 20) == "over"


def test_under_nohup_a_terminal_may_close():
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    assert ended_by(signal.SIGHUP, before, 20) == "over"
