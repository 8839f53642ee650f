"""The supervisor's side of the gateway starts it, tells it which nodes live, and ends it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from harness.runtimes.processes import log_of
from harness.runtimes.runtime import Place
from harness.systems.adapter import MetricsPage
from harness.systems.gateway import stalls
from harness.systems.scraper.launcher import Scraper

END_TIMEOUT_S = 5.0


class Gateway:
    """A gateway process for these places.

    It ends when this process does: its standard input is ours to close.
    """

    def __init__(
        self,
        adapter: str,
        places: Sequence[Place],
        state: Path,
        page: MetricsPage | None = None,
    ) -> None:
        """`page`: where nodes tell metrics, which a scraper asks them for."""
        self._stalls, told = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        settings = {
            "stalls": told,
            "adapter": adapter,
            "notify": str(state / "notify" / "socket"),
            "state": str(state),
            "nodes": [
                {
                    "name": place.node.name,
                    "region": place.node.region,
                    "options": dict(place.node.options),
                    "address": place.address,
                    "directory": str(place.directory),
                    "namespace": place.namespace,
                    "container": place.container,
                }
                for place in places
            ],
        }
        file = state / "gateway.json"
        file.write_text(json.dumps(settings))
        for place in places:
            place.directory.mkdir(parents=True, exist_ok=True)
        with (state / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.systems.gateway", str(file)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                pass_fds=[told, *(place.namespace for place in places)],
                start_new_session=True,
            )
        os.close(told)
        self.log = state / "gateway.log"
        self.scraper = None if page is None else Scraper(page, places, state / "scraper.log")
        self._logs = {place.node.name: log_of(place) for place in places}

    @property
    def pid(self) -> int:
        """The pid of the gateway."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether the gateway died: then no node answers any more."""
        return self._process.poll() is not None

    def expect(self, names: Iterable[str]) -> None:
        """Tell the gateway that these nodes are about to start."""
        self._say("expect", [f"{name}:{_size(self._logs[name])}" for name in names])

    def gone(self, names: Iterable[str]) -> None:
        """Tell the gateway that these nodes have ended, or are about to."""
        self._say("gone", names)

    def moved(self, places: Iterable[Place]) -> None:
        """Tell the gateway that these nodes stand in other namespaces, which their descriptors here
        are of.
        """
        numbers = [str(place.namespace) for place in places]
        self._say("moved", numbers)
        if self.scraper is not None:
            self.scraper.moved(numbers)

    def stalls(self) -> list[tuple[int, int]]:
        """Return when the gateway stood still, since the last call: from, to (CLOCK_MONOTONIC
        ns).
        """
        return stalls.read(self._stalls)

    def close(self) -> None:
        """End the gateway."""
        os.close(self._stalls)
        if self.scraper is not None:
            self.scraper.close()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, word: str, names: Iterable[str]) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it died: whoever asks next hears of it
            self._process.stdin.write(f"{word} {' '.join(names)}\n".encode())
            self._process.stdin.flush()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
