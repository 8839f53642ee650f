"""What a container writes becomes its node's log."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.errors import HarnessError
from harness.runtimes import processes
from harness.runtimes.docker.engine import Engine
from harness.runtimes.runtime import Place


def follow(
    engine: Engine, container: str, since_s: float, place: Place, failed: Callable[[str], None]
) -> None:
    """Copy what a container writes from then on (Unix time) into the node's log, in a thread, until
    it ends. `failed` is told what the log lacks. Raises NodeStartError.
    """
    log = processes.open_log(place)

    def copy() -> None:
        try:
            engine.copy_output(container, log, since_s)
        except (HarnessError, OSError) as error:
            failed(f"the log of node {place.node.name} lacks its end: {error}")

    threading.Thread(target=copy, name=f"log-{place.node.name}", daemon=True).start()
