"""The phase player begins phases when they are due, and ends those whose condition held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from harness.errors import UsageError
from harness.history.events import PhaseBegan, PhasesOver
from harness.history.folder import RunFolder
from harness.kernel import priority
from harness.scenario.timeline import PlannedPhase


class PhasePlayer:
    """Plays the phases of one run in its own thread; takes all nodes' histograms between them."""

    def __init__(
        self,
        phases: Sequence[PlannedPhase],
        t0_ns: int,
        folder: RunFolder,
        snapshot: Callable[[str | None], None],
        failed: Callable[[BaseException], None],
        *began: Callable[[str], None],
    ) -> None:
        self._phases = phases
        self._t0_ns = t0_ns
        self._folder = folder
        self._snapshot = snapshot
        self._failed = failed
        self._began = began
        self._news, self._over = threading.Condition(), False
        self._early_ns: list[tuple[float, int]] = []  # planned end of a phase, s → so much earlier
        self.phase: str | None = None
        self.is_cut = False  # it was stopped before the planned end
        self._ended_ns: int | None = None
        self._snapshots: list[threading.Thread] = []
        self._thread = threading.Thread(
            target=self._guarded, args=(self._play,), name="player", daemon=True
        )
        self._thread.start()

    def stop(self, at_ns: int | None = None) -> None:
        """End the last phase now and wait for the thread, and for every snapshot.

        `at_ns`: when the load stopped, if that was earlier.
        """
        with self._news:
            self._ended_ns, self._over = at_ns, True
            self._news.notify_all()
        self._thread.join()
        for snapshot in self._snapshots:
            snapshot.join()

    def end_phase(self, name: str, at_ns: int) -> tuple[int, int]:
        """End a phase at a moment ahead, for its condition held; the rest comes as much earlier.

        Return when it was to end until now, and by how much that is earlier, ns. Raises UsageError
        where it is no phase that a condition ends, or has ended.
        """
        planned = next((one for one in self._phases if one.name == name), None)
        if planned is None or planned.until is None or planned.end_s is None:
            raise UsageError(f"the run has no phase {name!r} that a condition ends")
        with self._news:
            due_ns = self._due_ns(planned.end_s)
            if at_ns < self._due_ns(planned.begin_s):
                raise UsageError(f"phase {name} has not begun by then")
            if at_ns >= due_ns or any(end_s == planned.end_s for end_s, _ in self._early_ns):
                raise UsageError(f"phase {name} has ended, or ends before that")
            self._early_ns.append((planned.end_s, due_ns - at_ns))
            self._news.notify_all()
        return due_ns, due_ns - at_ns

    def _due_ns(self, at_s: float) -> int:
        """When a planned moment comes, by what is known until now."""
        early_ns = sum(by_ns for end_s, by_ns in self._early_ns if end_s <= at_s)
        return self._t0_ns + int(at_s * 1e9) - early_ns

    def _guarded(self, act: Callable[[], None]) -> None:
        try:
            act()
        except BaseException as error:  # a dead player must not look like a quiet run
            self._failed(error)

    def _play(self) -> None:
        for planned in self._phases:
            at_ns = self._wait_until(planned.begin_s)
            if self._over:
                break
            before, self.phase = self.phase, planned.name
            planned_ns = self._due_ns(planned.begin_s)
            self._folder.event(PhaseBegan(at_ns=at_ns, phase=planned.name, planned_ns=planned_ns))
            if before is not None:
                self._snapshot_later(before)
            for told in self._began:
                told(planned.name)
        end_s = self._phases[-1].end_s
        now_ns = self._wait_until(end_s)
        self.is_cut = end_s is not None and now_ns < self._due_ns(end_s)
        self._folder.event(PhasesOver(at_ns=min(self._ended_ns or now_ns, now_ns)))
        if self.phase is not None:
            self._snapshot(self.phase)
        self.phase = None

    def _snapshot_later(self, phase: str) -> None:
        """Take the snapshot beside the phase that begins: between two phases the clock goes on."""
        thread = threading.Thread(
            target=self._guarded,
            args=(partial(self._snapshot, phase),),
            name="snapshot",
            daemon=True,
        )
        self._snapshots.append(thread)
        thread.start()

    def _wait_until(self, at_s: float | None) -> int:
        """Wait until a planned moment, or until the run is over; return when that was, ns."""
        with priority.prompt(), self._news:
            while not self._over:
                left_s = None if at_s is None else (self._due_ns(at_s) - time.monotonic_ns()) / 1e9
                if left_s is not None and left_s <= 0:
                    break
                self._news.wait(left_s)
            return time.monotonic_ns()
