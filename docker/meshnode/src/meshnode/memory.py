"""What a node keeps over a restart: contacts and values of its DHT, how often it started."""

import time
from pathlib import Path

from meshnode import state
from meshnode.dht import Dht
from meshnode.instruments import log
from meshnode.pulse import Pulse

SAVE_NS = 30 * 10**9


class Memory:
    """The state file of one node, read once and written every 30 s where something changed."""

    def __init__(self, directory: Path, dht: Dht, pulse: Pulse) -> None:
        self.restarts = 0
        self._directory = directory
        self._dht = dht
        self._pulse = pulse
        self._saved: object = None

    def load(self) -> None:
        """Take in what was saved; a file that cannot be used is logged, and nothing is taken."""
        try:
            data = state.load(self._directory)
            if data is None:
                return
            self._dht.load(data["dht"])
            self.restarts = int(data["restarts"]) + 1
        except (state.TornState, OSError, KeyError, TypeError, ValueError) as error:
            log.warning("state not used: %s", error)

    def keep(self) -> None:
        """Save now and every 30 s."""
        self.save()
        self._pulse.at(time.monotonic_ns() + SAVE_NS, self.keep)

    def save(self) -> None:
        """Write the state if something changed; what cannot be written is logged."""
        dump = self._dht.dump()
        changed = (sorted(dump["contacts"]), dump["values"])
        try:
            if changed != self._saved:
                state.save(self._directory, {"dht": dump, "restarts": self.restarts})
                self._saved = changed
        except OSError as error:
            log.error("state not written: %s", error)
