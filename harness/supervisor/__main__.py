"""The first lines of a supervisor's life: without root it enters a user namespace.

Only a process of one thread can do that. numpy and pyarrow start threads when they are imported,
and the supervisor imports them: so this file imports neither.
"""

from __future__ import annotations

import os
import sys

from harness import runtimes
from harness.errors import HarnessError
from harness.kernel import memory, namespaces, priority


def main(channel: int, runtime: str) -> int:
    """Enter what the runtime needs, then be the supervisor; its errors go up the channel."""
    problem: HarnessError | None = None
    memory.give_back_what_is_freed()
    priority.lead_session()  # before any thread: each has a priority of its own
    try:
        if os.geteuid() != 0 and runtimes.named(runtime).in_user_namespace:
            namespaces.enter_user_namespace()
    except HarnessError as error:
        problem = error
    from harness.supervisor import supervisor

    return supervisor.main(channel, problem)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2]))
