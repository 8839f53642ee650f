"""The profiles of a cluster: those that somebody asks for by hand, and those that the phases of a
run ask for. One that is taken during a run stands in its record, for it perturbs what is measured.
"""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from harness import profiles
from harness.errors import HarnessError, UnavailableError, UsageError
from harness.history.events import ProfileBegan, ProfileEnded
from harness.history.folder import RunFolder, translated
from harness.profiles.profiler import Profiler
from harness.profiles.spec import SECONDS_MOST, ProfileSpec, Start
from harness.scenario.timeline import PlannedPhase
from harness.supervisor.capture import Capture, Taken, Target, target
from harness.supervisor.cluster import Cluster
from harness.supervisor.failing import first_failure

FOLDER = "profiles"
BY_HAND = "by hand"
LEAST_S = 1.0  # of what is left of a phase; less is no profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A profile that is to be taken now; `why` says who wants it."""

    who: str
    profiler: Profiler
    seconds: float
    why: str


def require_profilers(phases: Sequence[PlannedPhase]) -> None:
    """Raise UnavailableError where a phase asks for a profile by a tool that is not here."""
    for tool in {one.tool for phase in phases for one in phase.profiles}:
        profiles.named(tool).require()


class Ending:
    """Whether all profiles of one owner are to end, as a descriptor that is readable then."""

    def __init__(self) -> None:
        self.descriptor = os.eventfd(0, os.EFD_CLOEXEC)

    def set(self) -> None:
        """End them."""
        os.eventfd_write(self.descriptor, 1)

    def wait(self, seconds: float) -> bool:
        """Wait for so long at most; return whether they are to end."""
        poll = select.poll()
        poll.register(self.descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1e3))

    def close(self) -> None:
        """Let go of the descriptor, which nobody uses any more."""
        os.close(self.descriptor)


class RunProfiles:
    """The profiles that are taken while one run is recorded."""

    def __init__(
        self,
        cluster: Cluster,
        folder: RunFolder,
        phases: Sequence[PlannedPhase],
        load_pids: Sequence[int],
    ) -> None:
        self._cluster, self._folder, self._load_pids = cluster, folder, load_pids
        self._asked = {phase.name: phase for phase in phases if phase.profiles}
        self._numbers = itertools.count(1)
        self._ending, self._threads = Ending(), list[threading.Thread]()
        self._open, self._news, self._closed = 0, threading.Condition(), False

    def began(self, phase: str) -> None:
        """Take the profiles that the phase that began asks for, when they are due."""
        planned = self._asked.get(phase)
        for one in () if planned is None else planned.profiles:
            assert planned is not None
            until_ns = None
            if planned.end_s is not None:
                lasts_s = planned.end_s - planned.begin_s
                until_ns = time.monotonic_ns() + int(lasts_s * 1e9)
            thread = threading.Thread(
                target=self._asked_for, args=(phase, one, until_ns), name="profile", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def take(self, asked: Asked, client: socket.socket | None = None) -> dict[str, Any]:
        """Take one now, into the run's folder; return what was found. Raises HarnessError."""
        found = target(self._cluster, asked.who, self._load_pids)
        with self._counted():
            return self._take(asked, found, client)

    def _take(self, asked: Asked, found: Target, client: socket.socket | None) -> dict[str, Any]:
        number, who, tool = next(self._numbers), asked.who, asked.profiler.name
        name = f"{FOLDER}/{number}-{who}-{tool}"
        with translated(self._folder.path / name):
            (self._folder.path / FOLDER).mkdir(exist_ok=True)
        began = ProfileBegan(
            number=number,
            who=who,
            tool=tool,
            processes=len(found.pids),
            why=asked.why,
            is_inside=asked.profiler.is_inside,
        )
        self._folder.event(began)
        end = self._ending.descriptor
        capture = Capture(self._cluster, found, asked.profiler, asked.seconds, end, client)
        try:
            taken = capture.take(self._folder.path / name)
        except BaseException as error:
            failed = ProfileEnded(number=number, who=who, tool=tool, error=f"{error}")
            self._folder.event(failed)
            raise
        made = taken.rendered
        self._folder.event(
            ProfileEnded(
                number=number,
                who=who,
                tool=tool,
                file=f"{name}.folded",
                graph=f"{name}.svg",
                count=made.count,
                unit=made.unit,
                hottest=made.hottest,
                cpu_ns=taken.cpu_ns,
                error="; ".join(taken.problems),
            )
        )
        return said(taken, self._folder.path / name)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        """Count a profile as under way; the run's end waits for it."""
        with self._news:
            if self._closed:
                raise UnavailableError("the run is over")
            self._open += 1
        try:
            yield
        finally:
            with self._news:
                self._open -= 1
                self._news.notify_all()

    def close(self) -> None:
        """End those under way, each with what it has, and wait until that is written."""
        with self._news:
            self._closed = True
            self._ending.set()
            while self._open:
                self._news.wait()
        for thread in self._threads:
            thread.join()
        self._ending.close()

    def _asked_for(self, phase: str, asked: ProfileSpec, until_ns: int | None) -> None:
        """Wait until a profile that a phase asks for is due, and take it."""
        why = f"asked for by phase {phase}"
        try:
            if asked.start is Start.ROW_FAILS:
                end = self._ending.descriptor
                row = first_failure(self._folder.path, phase, end, _left_s(until_ns))
                if row is None:
                    return
                why += f", as {row} failed"
            now, found = self._due(asked, why, until_ns)
        except HarnessError as error:
            self._folder.event(
                ProfileEnded(
                    number=next(self._numbers),
                    who=asked.who,
                    tool=asked.tool,
                    error=f"{error} ({why})",
                )
            )
            return
        with suppress(HarnessError), self._counted():  # its event has told
            self._take(now, found, None)

    def _due(self, asked: ProfileSpec, why: str, until_ns: int | None) -> tuple[Asked, Target]:
        """Wait until a profile is due; return what is to be taken, of whom. Raises HarnessError
        where that cannot be.
        """
        if self._ending.wait(asked.at_s):
            raise UnavailableError("the run was over before it was due")
        left = [asked.for_s, _left_s(until_ns), SECONDS_MOST]
        seconds = min(one for one in left if one is not None)
        if seconds < LEAST_S:
            raise UnavailableError(f"its phase had only {seconds:.1f} s left")
        profiler = profiles.named(asked.tool)
        profiler.require()
        found = target(self._cluster, asked.who, self._load_pids)
        return Asked(who=asked.who, profiler=profiler, seconds=seconds, why=why), found


class Recorded(Protocol):
    """A run under way, as far as a profile needs it."""

    @property
    def folder(self) -> RunFolder:
        """Its folder."""

    @property
    def profiles(self) -> RunProfiles | None:
        """Its profiles; None: it has not started."""


def profiled(run: Recorded | None) -> tuple[Path, RunProfiles | None] | None:
    """Return a run's folder and its profiles; None without a run."""
    return None if run is None else (run.folder.path, run.profiles)


class Profiles:
    """The profiles of a cluster that are asked for by hand."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._ending = cluster, Ending()

    def close(self) -> None:
        """End those that are of no run."""
        self._ending.set()

    def by_hand(
        self,
        run: tuple[Path, RunProfiles | None] | None,
        params: Mapping[str, Any],
        client: socket.socket,
    ) -> dict[str, Any]:
        """Take one now: into the folder of `run`, the one that is under way (None: into a folder
        of its own below `runs`). Raises HarnessError before anything changes where it cannot be
        taken.
        """
        profiler = profiles.named(params["tool"])
        profiler.require_of(params["who"])
        profiler.require()
        seconds = float(params["seconds"])
        now = Asked(who=params["who"], profiler=profiler, seconds=seconds, why=BY_HAND)
        wanted = params["run"]
        if wanted is not None and (run is None or wanted != str(run[0])):
            what = "no run" if run is None else str(run[0])
            raise UsageError(f"{wanted} is not under way here: expected it to be, found {what}")
        if wanted is not None and run is not None and run[1] is None:
            raise UnavailableError(f"{wanted} has not started yet")
        if run is not None and run[1] is not None:
            return {"run": str(run[0]), **run[1].take(now, client)}
        found = target(self._cluster, now.who, ())
        folder = _own_folder(Path(params["runs"]))
        end = self._ending.descriptor
        capture = Capture(self._cluster, found, profiler, seconds, end, client)
        stem = folder / f"1-{now.who}-{profiler.name}"
        try:
            return {"run": None, **said(capture.take(stem), stem)}
        except BaseException:
            with suppress(OSError):
                folder.rmdir()
            raise


def said(taken: Taken, stem: Path) -> dict[str, Any]:
    """Return what is told of a profile to who asked for it."""
    return {
        "folded": f"{stem}.folded",
        "svg": f"{stem}.svg",
        "count": taken.rendered.count,
        "unit": taken.rendered.unit,
        "hottest": dict(taken.rendered.hottest),
        "profiler_cpu_s": round(taken.cpu_ns / 1e9, 3),
        "early": taken.early,
        "problems": list(taken.problems),
    }


def _own_folder(runs: Path) -> Path:
    """Make a folder for a profile that is of no run; it is never the latest run."""
    path, number = runs / FOLDER / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S"), 1
    with translated(path):
        while path.exists():
            number += 1
            path = path.with_name(f"{path.name.split('.')[0]}.{number}")
        path.mkdir(parents=True)
    return path


def _left_s(until_ns: int | None) -> float | None:
    return None if until_ns is None else max(0.0, (until_ns - time.monotonic_ns()) / 1e9)
