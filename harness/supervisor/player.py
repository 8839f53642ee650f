"""The player: phases begin at their planned times, and what was executed is written down as it
happens.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from harness.history.folder import RunFolder
from harness.scenario.timeline import Planned, Step


class Player:
    """Plays the phases of one run in a thread of its own, and takes every node's histograms between
    them.
    """

    def __init__(
        self,
        phases: Sequence[Planned],
        t0_ns: int,
        folder: RunFolder,
        snapshot: Callable[[str | None], None],
        failed: Callable[[BaseException], None],
        began: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._phases = phases
        self._t0_ns = t0_ns
        self._folder = folder
        self._snapshot = snapshot
        self._failed = failed
        self._began = began
        self._stop = threading.Event()
        self.phase: str | None = None
        self._ended_ns: int | None = None
        self._thread = threading.Thread(target=self._guarded, name="player", daemon=True)
        self._thread.start()

    def stop(self, at_ns: int | None = None) -> None:
        """End the last phase now (or at `at_ns`, if the load stopped earlier) and wait for the
        thread.
        """
        self._ended_ns = at_ns
        self._stop.set()
        self._thread.join()

    def _guarded(self) -> None:
        try:
            self._play()
        except BaseException as error:  # a dead player must not look like a quiet run
            self._failed(error)

    def _play(self) -> None:
        for planned in self._phases:
            self._wait_until(planned.begin_s)
            if self._stop.is_set():
                break
            if self.phase is not None:
                self._snapshot_later(self.phase)
            self.phase = planned.name
            self._folder.event(
                "phase", phase=planned.name, planned_ns=self._t0_ns + int(planned.begin_s * 1e9)
            )
            self._began(planned.name)
        if not self._stop.is_set():
            self._wait_until(self._phases[-1].end_s)
        self._folder.event(
            "phases-over", at_ns=min(self._ended_ns or time.monotonic_ns(), time.monotonic_ns())
        )
        if self.phase is not None:
            self._snapshot(self.phase)
        self.phase = None

    def _snapshot_later(self, phase: str) -> None:
        """Between two phases the clock goes on: the snapshot is taken beside the beginning
        phase.
        """
        threading.Thread(target=self._snapshot, args=(phase,), name="snapshot", daemon=True).start()

    def _wait_until(self, at_s: float | None) -> None:
        if at_s is None:
            self._stop.wait()
            return
        while (left := self._t0_ns / 1e9 + at_s - time.monotonic()) > 0:
            if self._stop.wait(left):
                return


class Stepper:
    """Plays the faults of a scenario by the clock. One that cannot be set is said, and the run
    cannot pass.
    """

    def __init__(
        self,
        planned: Sequence[Step],
        t0_ns: int,
        come: Callable[[Mapping[str, Any]], Any],
        go: Callable[[str], Any],
        failed: Callable[[str], None],
    ) -> None:
        self._planned, self._t0_ns, self._come, self._go, self._failed = (
            planned,
            t0_ns,
            come,
            go,
            failed,
        )
        self._stop = threading.Event()
        self._in_force: set[str] = set()
        self._thread = threading.Thread(target=self._play, name="stepper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take back what is still in force; nothing comes any more."""
        self._stop.set()
        self._thread.join()
        for name in sorted(self._in_force):
            self._do(partial(self._go, name), f"fault {name} could not be taken back")

    def _play(self) -> None:
        for step in self._planned:
            if self._stop.wait(max(0.0, self._t0_ns / 1e9 + step.at_s - time.monotonic())):
                return
            name = str(step.words["name"])
            if step.comes and self._do(
                partial(self._come, step.words), f"fault {name} could not be set"
            ):
                self._in_force.add(name)
            elif not step.comes and name in self._in_force:
                self._do(partial(self._go, name), f"fault {name} could not be taken back")
                self._in_force.discard(name)

    def _do(self, act: Callable[[], Any], what: str) -> bool:
        try:
            act()
        except (
            Exception
        ) as error:  # whatever it is: a fault that was not played must not look like one
            self._failed(f"{what}: {error}")
            return False
        return True
