"""Watches a run under way, and says when the condition of a phase holds: a process of its own, for
it looks at whole histories, and the master must not stand still.

    python -m harness.load.watcher RUN PHASE BEGIN_NS UNTIL_NS

It prints one line (CLOCK_MONOTONIC ns) and ends; without a line where the phase is over at
UNTIL_NS, or the run, or whoever asked. It is started before BEGIN_NS, and has its libraries then.
It looks as the judge will (checks/convergence.py), at what is written until now: what is not in the
record yet has not come true, so it sees the condition hold late and never early.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from harness.checks import convergence, replay
from harness.history import live, reader
from harness.history.growing import Growing
from harness.history.live import Look

NICE = 19  # whatever is measured goes first
EVERY_S = 0.25
PAUSE_SHARE = 4  # it rests so many times as long as the CPU time that a look took


def watch(run: Path, phase: str, until_ns: int, asked_by: int) -> int | None:
    """Return when the condition of a phase was seen to hold; None where it is over before."""
    files, facts = Growing(run), reader.metadata(run)
    while os.getppid() == asked_by:
        begun_s = time.process_time()
        seen = live.look(files, facts)
        if seen is not None:
            held_ns = seen_to_hold(seen, phase)
            if held_ns is not None:
                return held_ns
            if seen.has_ended or seen.at_ns >= until_ns:
                return None
        time.sleep(max(EVERY_S, PAUSE_SHARE * (time.process_time() - begun_s)))
    return None


def seen_to_hold(seen: Look, phase: str) -> int | None:
    """Return when the condition of a phase held by what a look shows; None where it did not."""
    window = seen.history.phase(phase)
    if window is None:
        return None
    operations = [seen.history.operations, replay.unrecorded(seen.history)]
    history = replace(seen.history, operations=pa.concat_tables(operations).combine_chunks())
    return convergence.held_ns(history, window, seen.at_ns - convergence.SETTLE_NS)


def main(run: str, phase: str, begin_ns: str, until_ns: str) -> None:
    """Watch, and say it."""
    asked_by = os.getppid()
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    time.sleep(max(0.0, (int(begin_ns) - time.monotonic_ns()) / 1e9))
    held_ns = watch(Path(run), phase, int(until_ns), asked_by)
    if held_ns is not None:
        print(held_ns, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
