"""Looks at a run under way for whoever shows it: a process of its own, for it judges whole
histories, and who shows must not stand still. It writes nothing.

    python -m harness.experiments.looks RUN EVERY_S

It prints a line of JSON a look (that of `judge --follow --json`, and `waiting`) until the run is
closed, or nobody writes to it any more, or whoever asked is gone; EVERY_S 0: one look.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from harness.errors import HarnessError
from harness.experiments.follow import CPU_SHARE_MOST, Follower

NICE = 19  # whatever is measured goes first
ASKED_S = 1.0  # so often it looks whether the run was closed and whoever asked is there


def tell(run: Path, every_s: float, asked_by: int) -> None:
    """Print a look after another. Raises BadFileError for what is no run folder."""
    follower = Follower(run)
    while not follower.is_closed() and not follower.silence():
        begun_s = time.process_time()
        if (seen := follower.look()) is not None:
            print(json.dumps({**seen.as_json(), "waiting": dict(seen.waiting)}), flush=True)
        if not every_s:
            return
        pause_s = max(every_s, (time.process_time() - begun_s) / CPU_SHARE_MOST)
        until_s = time.monotonic() + pause_s
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, ASKED_S))
            if os.getppid() != asked_by:
                return


def main(run: str, every_s: str) -> int:
    """Tell; whoever reads it ends it."""
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    try:
        tell(Path(run), float(every_s), os.getppid())
    except HarnessError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except (BrokenPipeError, KeyboardInterrupt):  # whoever asked ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
