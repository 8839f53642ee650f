"""What may have sent to a cluster beside the run under way: the runs before it, whose messages may
still be on their way, and the programs that anybody ran beside its nodes.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from harness.errors import StorageError
from harness.history.events import CommandRan
from harness.history.folder import RunFolder
from harness.scenario.schedule import salt


class Past:
    """What a cluster has seen since it is up. Methods may be called from any thread."""

    def __init__(self) -> None:
        self._runs: list[str] = []
        self._id_keys: list[str] = []
        self._commands = 0
        self._lock = threading.Lock()

    def facts(self) -> dict[str, Any]:
        """Return what a run's metadata say of it (`before`)."""
        with self._lock:
            return {
                "before": {
                    "runs": list(self._runs),
                    "id_keys": list(self._id_keys),
                    "commands": self._commands,
                }
            }

    def ran(self, t0_ns: int, seed: int, id_key: str) -> None:
        """Keep that a run ended: how its operations' ids begin, and what their ends are made
        with.
        """
        with self._lock:
            self._runs.append(salt(t0_ns, seed).hex())
            self._id_keys.append(id_key)

    def command(self, node: str, argv: Sequence[str], folder: RunFolder | None) -> None:
        """Keep that a program is run beside a node; the open run's folder is told which, without
        its arguments, which may be anybody's secrets.
        """
        with self._lock:
            self._commands += 1
        if folder is not None:
            # It may have been closed meanwhile, or its disk be full: the count is told at its end.
            with suppress(ValueError, StorageError):
                folder.event(CommandRan(node=node, program=argv[0] if argv else ""))
