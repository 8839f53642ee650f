"""The supervisor's side of the scraper starts it, tells it of runs, hears it, and ends it."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from harness.runtimes.runtime import Place
from harness.systems.adapter import MetricsPage

END_TIMEOUT_S = 5.0
Heard = Callable[[Mapping[str, Any]], None]
ENDED = "the scraper, which asks nodes for their metrics, ended"


class Scraper:
    """A scraper process for these places. It ends when this process does: its standard input is
    ours to close.
    """

    def __init__(self, page: MetricsPage, places: Sequence[Place], log: Path) -> None:
        self._settings = {
            "nodes": [
                {"namespace": place.namespace, "url": page.url_at(place)} for place in places
            ],
            "only": list(page.only),
        }
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "harness.systems.scraper"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                pass_fds=[place.namespace for place in places],
                start_new_session=True,
            )
        self._heard: Heard | None = None
        self._failed: Callable[[str], None] = lambda _: None
        self._over = threading.Event()
        self._telling, self._has_ended = threading.Lock(), False
        self._say(json.dumps(self._settings))
        self._thread = threading.Thread(target=self._listen, name="scraper", daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        """The pid of the scraper."""
        return self._process.pid

    def begin(self, t0_ns: int, heard: Heard, failed: Callable[[str], None]) -> None:
        """Ask from now on, and give `heard` each page, in a thread; `t0_ns`: when the run's clock
        says 0. `failed` is told what makes the record incomplete.
        """
        self._over.clear()
        self._heard, self._failed = heard, failed
        if self._has_ended:
            self._is_over()
        else:
            self._say(f"begin {t0_ns}")  # one that ends meanwhile is told of by who listens

    def end(self) -> None:
        """Ask no more, once all that was told is heard."""
        self._say("end")
        if not self._over.wait(END_TIMEOUT_S) and self._heard is not None:
            self._failed("the scraper, which asks nodes for their metrics, did not stop")
        self._heard = None

    def moved(self, numbers: Sequence[str]) -> None:
        """Tell the scraper that these descriptors of ours are of other namespaces now."""
        self._say(f"moved {' '.join(numbers)}")

    def _is_over(self) -> None:
        with self._telling:
            heard, self._heard = self._heard, None
        if heard is not None:
            self._failed(ENDED)
        self._over.set()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            said, heard = json.loads(line), self._heard
            if said is None:
                self._over.set()
            elif heard is not None:
                try:
                    heard(said)
                except Exception as error:  # what is not kept is a hole, and no quiet node
                    self._heard = None
                    self._failed(f"metrics of nodes: {type(error).__name__}: {error}")
        self._has_ended = True
        self._is_over()

    def close(self) -> None:
        """End the scraper."""
        self._heard = None
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it died: whoever listens hears of it
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()
