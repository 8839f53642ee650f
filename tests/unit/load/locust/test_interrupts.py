"""Ctrl-C in the middle of what the loop does."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os, signal, time
import gevent
from harness.load.locust import interrupts
interrupts.install()
def answer():
    os.kill(os.getpid(), signal.SIGINT)
    until = time.monotonic() + 0.2
    while time.monotonic() < until:
        pass
    print("answered", flush=True)
gevent.get_hub().loop.run_callback(answer)
try:
    gevent.sleep(30)
except KeyboardInterrupt:
    print("interrupted", flush=True)
try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(1)
except KeyboardInterrupt:
    print("again", flush=True)
"""


def test_an_interrupt_ends_what_is_waited_for_and_nothing_that_is_being_done():
    """An answer that was being read when Ctrl-C came was lost: UNKNOWN after its time was up."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.stdout.split() == ["answered", "interrupted", "again"], done
