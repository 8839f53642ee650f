"""Play a soak: one cluster, a chain of windows, each judged while the next is played."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from harness import runtimes
from harness.checks.verdict import Answer
from harness.control import state
from harness.control.client import Client
from harness.control.interrupts import held_back
from harness.control.launcher import Hold
from harness.control.progress import Progress, nobody
from harness.errors import (
    BadFileError,
    HarnessError,
    InterruptedByUserError,
    NameTakenError,
    StorageError,
    UsageError,
)
from harness.experiments import beforehand
from harness.experiments import run as single_run
from harness.experiments.cluster import down, up
from harness.experiments.soak import cost, plan, retention, window
from harness.experiments.soak.folder import OWN, Asked, SoakFolder, Stage, Window
from harness.experiments.soak.judge import SoakJudged, judge
from harness.experiments.soak.own import OwnProcess, require_free
from harness.experiments.soak.status import answers_of, news, so_far
from harness.history.folder import require_writable
from harness.scenario import files
from harness.systems import abilities
from harness.topology.topology import Topology

BROKEN_MOST = 3  # windows in a row that do not come about: the next would not either
RAW_S = 3600.0
SAFETY = 1.2  # of a window's measured bytes must be free before the next


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How a soak stands, for whoever watches it. `judged`: of the windows so far, once it is there;
    `news`: a window was judged since it was last told.
    """

    folder: Path
    number: int
    windows: int
    stage: str
    elapsed_s: float
    left_s: float
    played: int
    judged: int
    answer: Answer | None
    slopes: Sequence[str]
    news: Mapping[str, Any] | None = None


Watcher = Callable[[Told], None]


def begin(
    what: str,
    *,
    for_s: float,
    window_s: float | None = None,
    seed: int | None = None,
    raw_s: float = RAW_S,
    cluster: str | None = None,
    runtime_name: str = "auto",
    runs: Path = Path("runs"),
    workers: int = 1,
    system: str | None = None,
) -> SoakFolder:
    """Read, draw and check a whole soak, and make its folder. Nothing is started.

    Raises BadFileError, UsageError, UnavailableError, NameTakenError, and StorageError where less
    disk is free than is planned.
    """
    of = plan.source(what, system)
    whole = plan.read(of.text, of.scenario, seed=seed, window_s=window_s)
    try:
        lengths_s = whole.lengths_s(for_s)
    except BadFileError as error:
        raise UsageError(f"--for: {error}") from None
    planned = plan.windows(whole, lengths_s, of)
    name, first = state.cluster_name(cluster), planned[0].scenario
    runtime = runtimes.choose(runtime_name)
    beforehand.require(
        [one.timeline for one in planned], cluster=cluster, runtime_name=runtime, runs=runs
    )
    if state.is_alive(name):
        _require_idle(name, first.topology, runtime_name)
    wanted = cost.planned_bytes(first, len(lengths_s), lengths_s[0], raw_s)
    require_free(runs, wanted)
    title = first.name if first.name.startswith("soak") else f"soak-{first.name}"[:32]
    asked = Asked(
        name=title,
        what=what,
        seed=whole.seed,
        for_s=for_s,
        lengths_s=tuple(lengths_s),
        scenario=of.input_of(of.scenario, "scenarios"),
        topology=of.input_of(of.topology, "topologies"),
        budget=None if of.budget is None else of.input_of(of.budget, "budgets"),
        system=first.topology.adapter,
        instead_of=None if first.other_system is None else first.other_system.instead_of,
        runtime=runtime,
        cluster=name,
        workers=workers,
        raw_s=raw_s,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        planned_bytes=wanted,
    )
    return SoakFolder.made(runs.resolve(), asked, of.inputs())


def soak(
    folder: SoakFolder, *, told: Watcher = lambda _: None, progress: Progress = nobody
) -> SoakJudged:
    """Play what is left of a soak, and judge it; its last act, whatever ended it.

    Ctrl-C ends the soak early, and so does a cluster that died, or a disk that is nearly full: the
    verdict says so. `progress`: of the cluster's start. Raises NameTakenError where another process
    plays it, and as `up` where the cluster cannot be started; then nothing was played.
    """
    held = folder.lock()
    try:
        if changed := folder.changed_inputs():
            raise BadFileError(f"{folder.path}: {'; '.join(changed)}: nothing more can be played")
        require_writable(folder.path)
        retention.let_go_leftovers(folder)
        for one in folder.windows():
            if one.stage is Stage.PLAYING:
                folder.write(window.cut(folder, one))
        ended = Player(folder, told, progress).play() if folder.left() else ""
        folder.write_ended(ended)
    finally:
        folder.unlock(held)
    return judge(folder)


def _require_idle(name: str, topology: Topology, runtime_name: str) -> None:
    """Raise NameTakenError where the cluster that is up is another one, or has a run under way."""
    single_run.same(name, topology, runtime_name)
    with Client.connect(name) as client:
        if (run := client.status()["run"]) is not None:
            raise NameTakenError(
                f"cluster {name!r} is recording a run: {run}; wait for its end, or choose another "
                "name (--cluster)"
            )


class Player:
    """Plays the windows that are left."""

    def __init__(self, folder: SoakFolder, told: Watcher, progress: Progress) -> None:
        self.folder, self.asked = folder, folder.asked
        self._told, self._progress = told, progress
        self._begun_s = time.monotonic()
        self._cluster = ""  # which of the soak's clusters this is
        self._judging: tuple[int, subprocess.Popen[bytes]] | None = None
        self._own: OwnProcess | None = None
        self._at: tuple[int, str] = (0, "starting")
        self._so_far: tuple[Answer | None, Sequence[str]] = (None, ())
        self._counts = [0, 0]  # played, judged
        self._window_s = self._begun_s, 0.0  # when the window was begun, and how long it is

    def play(self) -> str:
        """Play; return why it ended, empty where it came to its end. The cluster is down then, if
        this started it, and the last window is not judged yet.
        """
        self.folder.write_ended(None)
        name = self.asked.cluster
        topology = files.read_topology(self.folder.path / self.asked.topology)
        topology = replace(topology, adapter=self.asked.instead_of or self.asked.system)
        topology = abilities.of_other(topology, self.asked.system)
        try:
            with Hold() as held:
                if state.is_alive(name):
                    _require_idle(name, topology, self.asked.runtime)
                else:
                    self._up(topology, held)
                    held.callback(down, name)
                ended = self._windows()
                self._tell("taking the cluster down")
        except (KeyboardInterrupt, InterruptedByUserError):
            ended = "it was interrupted"
        finally:
            self._wait_for_judge(None)
        return ended

    def _up(self, topology: Topology, held: Hold) -> None:
        up(
            topology,
            cluster=self.asked.cluster,
            runtime_name=self.asked.runtime,
            progress=self._progress,
            held=held,
        )

    def _windows(self) -> str:
        """Play one window after another; return why it ended early."""
        broken = 0
        with Client.connect(self.asked.cluster) as client:
            status = client.status()
            self._cluster = f"{status['pid']} {status['up_since']}"
        for number in self.folder.left():
            try:
                self._make_room(number)
                self._window(number)
                broken = 0
            except (KeyboardInterrupt, InterruptedByUserError):
                return f"it was interrupted in window {number}"
            except StorageError as error:
                return f"in window {number}: {error}"
            except HarnessError as error:
                broken += 1
                if not state.is_alive(self.asked.cluster):
                    return f"the cluster died in window {number}: {error}"
                if broken == BROKEN_MOST:
                    return f"{broken} windows in a row could not be played; {number}: {error}"
        return ""

    def _window(self, number: int) -> None:
        """Play one window, and have it judged beside the next. Raises HarnessError where it did not
        come to its end; what was recorded is judged all the same.
        """
        folder, seconds = self.folder, self.asked.lengths_s[number - 1]
        played = Window(
            number=number,
            seconds=seconds,
            stage=Stage.PLAYING,
            cluster=self._cluster,
            began_s=time.time(),
        )
        folder.write(played)
        self._window_s = time.monotonic(), seconds
        self._at = number, "beginning"
        try:
            asked, notes = plan.play_of(folder, number)
            played = replace(played, notes=notes)
            self._own = OwnProcess(folder.window_folder(number) / OWN, "soak", seconds)
            path = folder.window_folder(number)
            single_run.record(asked, self.asked.cluster, path, self.asked.workers, self._on)
        except (KeyboardInterrupt, InterruptedByUserError):
            self._close(replace(played, stage=Stage.CUT, problem="it was interrupted"))
            raise
        except Exception as error:
            said = str(error) if isinstance(error, HarnessError) else repr(error)
            if self._close(replace(played, stage=Stage.CUT, problem=said)):
                self._wait_for_judge(number)
            raise
        self._close(replace(played, stage=Stage.PLAYED))
        self._counts[0] += 1
        self._wait_for_judge(number)

    def _close(self, played: Window) -> bool:
        """Note how a window went; return whether anything of it was recorded."""
        with held_back():
            run = self.folder.found_run(played.number)
            stage = played.stage if run is not None else Stage.BROKEN
            self.folder.write(replace(played, stage=stage, run=run, ended_s=time.time()))
        return run is not None

    def _wait_for_judge(self, following: int | None) -> None:
        """Wait until the judge of the window before has ended, and start the next one's."""
        while self._judging is not None:
            self._look_at_judge()
            if self._judging is not None:
                self._tell("judging")
                time.sleep(0.1)
        if following is not None:
            self._judging = following, self._judge(following)

    def _judge(self, number: int) -> subprocess.Popen[bytes]:
        log = self.folder.window_folder(number) / "judge.log"
        command = [sys.executable, "-m", "harness.experiments.soak.window"]
        with log.open("wb") as output:
            # Its own session: Ctrl-C reaches the one that plays, which waits for it.
            return subprocess.Popen(
                [*command, str(self.folder.path), str(number), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _look_at_judge(self) -> None:
        """Take in what the judge found, once it has ended."""
        if self._judging is None or self._judging[1].poll() is None:
            return
        number, process = self._judging
        self._judging = None
        folder = self.folder
        is_judged = folder.is_judged(number)
        if not is_judged:
            self._note_unjudged(number, process.returncode)
        self._counts[1] += is_judged
        with suppress(BadFileError):
            self._so_far = so_far(folder)
        self._let_go()
        self._tell(None, news=news(folder, number))

    def _note_unjudged(self, number: int, code: int) -> None:
        one = next(each for each in self.folder.windows() if each.number == number)
        if not one.not_judged:
            log = self.folder.window_folder(number) / "judge.log"
            said = log.read_text(errors="replace").strip().splitlines()[-1:]
            why = f"its judge ended with code {code}: {' '.join(said)}"
            self.folder.write(replace(one, not_judged=why))

    def _let_go(self) -> None:
        windows, answers = self.folder.windows(), answers_of(self.folder)
        for one in retention.to_let_go(windows, answers, time.time(), self.asked.raw_s):
            retention.let_go(self.folder, one)

    def _make_room(self, number: int) -> None:
        """See that the next window has room: as much as the largest took so far. Where it has not,
        raw values go that may, the least wanted first. Raises StorageError.
        """
        sizes = [said["raw_bytes"] for said in self._summaries() if "raw_bytes" in said]
        largest = max(sizes, default=0) / self.asked.lengths_s[0]
        wanted = round(largest * self.asked.lengths_s[number - 1] * SAFETY) + 256 * 2**20
        while True:
            try:
                require_free(self.folder.path, wanted)
                return
            except StorageError:
                least = retention.least_wanted(self.folder.windows(), answers_of(self.folder))
                if least is None:
                    raise
                retention.let_go(self.folder, least)

    def _summaries(self) -> list[Mapping[str, Any]]:
        found: list[Mapping[str, Any]] = []
        for one in self.folder.windows():
            with suppress(BadFileError):
                found.append(self.folder.summary(one.number) or {})
        return found

    def _on(self, stage: str, done: int, total: int) -> None:
        """What a window's progress brings along: looks at the harness, the disk, and the judge."""
        if self._own is not None:
            self._own.look()
        self._look_at_judge()
        self._tell(f"{stage} {done} of {total} s")

    def _tell(self, stage: str | None, news: Mapping[str, Any] | None = None) -> None:
        number, before = self._at
        self._at = number, before if stage is None else stage
        begun_s, seconds = self._window_s
        now_s = time.monotonic()
        answer, slopes = self._so_far
        self._told(
            Told(
                folder=self.folder.path,
                number=number,
                windows=len(self.asked.lengths_s),
                stage=self._at[1],
                elapsed_s=now_s - self._begun_s,
                left_s=max(begun_s + seconds - now_s, 0.0) + sum(self.asked.lengths_s[number:]),
                played=self._counts[0],
                judged=self._counts[1],
                answer=answer,
                slopes=slopes,
                news=news,
            )
        )
