"""A capture takes one profile: it runs profilers beside a target until their time is over, makes
sure that the target goes on, and has the stacks drawn.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import UnavailableError, UsageError
from harness.faults.fault import Condition
from harness.history.folder import translated
from harness.kernel.proc import is_stopped
from harness.profiles import rendering
from harness.profiles.profiler import GATEWAY, SUPERVISOR, Profiler
from harness.profiles.rendering import Asked, Rendered
from harness.profiles.spec import worker
from harness.supervisor.cluster import Cluster
from harness.systems.adapter import Endpoint
from harness.systems.protocol import NodeSocket

START_S = 15.0  # until a profiler has begun, on a busy host
KILLED_S = 5.0  # between SIGTERM and SIGKILL
NOTHING_SEEN = "No stack counts found"  # py-spy, of a process that was idle all the while
WORDS = 300  # of what a profiler said, letters


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose processes are profiled; `node`: they are a node's. `answers`: where the target can be
    asked itself.
    """

    who: str
    pids: tuple[int, ...]
    node: str | None = None
    answers: Endpoint | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """A profile that was taken; `cpu_ns` is what the profilers used, `problems` what some of the
    target's processes were not profiled for. `early`: it was ended before its time.
    """

    rendered: Rendered
    cpu_ns: int
    early: bool
    problems: tuple[str, ...] = ()


def target(cluster: Cluster, who: str, load_pids: Sequence[int]) -> Target:
    """Find the processes of a node, or of a part of the harness. `load_pids`: of the load
    generator, the master first. Raises UsageError for nobody, UnavailableError for what does not
    run.
    """
    if who in cluster.places:
        pids = tuple(cluster.runtime.members(who))
        if not pids or cluster.conditions.get(who, Condition.RUNNING).is_down:
            raise UnavailableError(f"node {who} does not run: there is nothing to profile")
        if cluster.conditions.get(who) is Condition.PAUSED:
            raise UnavailableError(f"node {who} is paused: there is nothing to profile")
        return Target(who=who, pids=pids, node=who)
    if who == SUPERVISOR:
        return Target(who=who, pids=(os.getpid(),))
    if who == GATEWAY:
        if cluster.gateway is None:
            raise UsageError(f"{cluster.adapter.name} nodes are spoken to without a gateway")
        answers = next(iter(cluster.endpoints.values()), None)  # it serves them all
        return Target(who=who, pids=(cluster.gateway.pid,), answers=answers)
    number = worker(who)
    if number is None:
        cluster.require(who)
        raise UsageError(f"there is no {who!r}")
    if not load_pids:
        raise UnavailableError(f"no run is under way here: there is no load {who}")
    workers = load_pids[1:] or load_pids
    if number > len(workers):
        raise UsageError(f"there is no {who}: the load generator has {len(workers)} workers")
    return Target(who=who, pids=(workers[number - 1],))


@dataclass(slots=True)
class Capture:
    """One profile while it is taken. `over` is a descriptor that is readable once it is to end, and
    `client` the connection of who asked, whose end ends it too.
    """

    cluster: Cluster
    target: Target
    profiler: Profiler
    seconds: float
    over: int
    client: socket.socket | None = None
    early: bool = False
    _cpu_ns: int = 0
    _ended: dict[int, int] = field(default_factory=dict)  # pid of a profiler → exit code

    def take(self, stem: Path) -> Taken:
        """Take it: `STEM.folded` and `STEM.svg` are written. Raises UnavailableError with the
        profilers' own words where there is nothing, StorageError.
        """
        with ExitStack() as held:
            with translated(stem):  # beside what it becomes: whoever is killed leaves nothing else
                made = tempfile.TemporaryDirectory(prefix=".profile-", dir=stem.parent)
            scratch = held.enter_context(made)
            targets = [self._held(pid, held) for pid in self.target.pids]
            began = time.monotonic()
            try:
                raw, problems = self._record(Path(scratch))
            finally:
                self._let_go(targets)
            if not raw:
                raise UnavailableError("; ".join(problems) or f"{self.profiler.name} found nothing")
            lasted = f"{min(time.monotonic() - began, self.seconds):.0f} s"
            if self.profiler.command is None:
                lasted = "one look"
            asked = Asked(
                tool=self.profiler.name,
                raw={name: str(file) for name, file in raw.items()},
                stem=str(stem),
                title=f"{self.target.who}: {self.profiler.shows}",
                says=f"{self.profiler.name}, {lasted}"
                + (", ended before its time" if self.early else ""),
            )
            with translated(stem):
                rendered = rendering.aside(asked)
        return Taken(
            rendered=rendered, cpu_ns=self._cpu_ns, early=self.early, problems=tuple(problems)
        )

    def _held(self, pid: int, held: ExitStack) -> int:
        """A descriptor of a process: its number may soon be another's."""
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError as error:
            raise UnavailableError(f"{self.target.who}: process {pid} has just ended") from error
        held.callback(os.close, pidfd)
        return pidfd

    def _record(self, scratch: Path) -> tuple[dict[str, Path], list[str]]:
        """Run the profilers to their end; return what each recorded, and what went wrong."""
        if self.profiler.command is None:
            return self._told(scratch), []
        pids, command = self.target.pids, self.profiler.command
        groups = [pids] if self.profiler.of_all else [(pid,) for pid in pids]
        files = {f"process {group[0]}": scratch / f"{group[0]}.raw" for group in groups}
        logs = [file.with_suffix(".log") for file in files.values()]
        started: list[int] = []
        try:
            for group, file, log in zip(groups, files.values(), logs, strict=True):
                started.append(self._spawn(command(group, self.seconds, file), log))
            self._wait(started)
        finally:
            self._end(started, signal.SIGKILL)
        problems = []
        for (name, file), log, pid in zip(list(files.items()), logs, started, strict=True):
            text = log.read_text(errors="replace")
            if NOTHING_SEEN in text:
                file.write_text("")
            elif not self._is_whole(file, self._ended[pid]):
                del files[name]
                problems.append(f"{name}: {_said(text) or f'code {self._ended[pid]}'}")
        return files, problems

    def _told(self, scratch: Path) -> dict[str, Path]:
        """Ask the target itself. Raises UnavailableError where it does not answer."""
        if self.target.answers is None:
            raise UnavailableError(f"{self.target.who} cannot be asked what it does")
        file = scratch / "told.raw"
        try:
            file.write_text(NodeSocket(self.target.answers).tasks())
        except UnavailableError as error:
            raise UnavailableError(
                f"{self.target.who} did not tell: does its event loop stand still? ({error})"
            ) from error
        return {self.target.who: file}

    def _is_whole(self, file: Path, code: int) -> bool:
        """Whether a profiler that ended with this code wrote what it has; one that was asked to end
        early may end by that signal.
        """
        return file.exists() and (code == 0 or (self.early and code == -signal.SIGINT))

    def _spawn(self, command: list[str], log: Path) -> int:
        node = self.target.node
        with open(os.devnull, "rb") as nothing, log.open("wb") as output:
            if node is not None and self.profiler.is_inside:
                stdio = nothing.fileno(), output.fileno(), output.fileno()
                return self.cluster.runtime.execute(node, command, stdio)
            process = subprocess.Popen(
                command, stdin=nothing, stdout=output, stderr=output, start_new_session=True
            )
            process.returncode = 0  # we wait for it, with what it used
            return process.pid

    def _wait(self, started: Sequence[int]) -> None:
        """Wait until all profilers have ended, each by itself, or because it is to end now."""
        poll, left = select.poll(), dict[int, int]()
        deadline = time.monotonic() + self.seconds + START_S + self.profiler.grace_s
        with ExitStack() as held:
            for pid in started:
                pidfd = os.pidfd_open(pid)
                held.callback(os.close, pidfd)
                left[pidfd] = pid
                poll.register(pidfd, select.POLLIN)
            poll.register(self.over, select.POLLIN)
            if self.client is not None:
                poll.register(self.client, select.POLLIN | select.POLLHUP)
            while left:
                ready = {one for one, _ in poll.poll(max(0.0, deadline - time.monotonic()) * 1e3)}
                for pidfd in ready & left.keys():
                    poll.unregister(pidfd)
                    self._reap(left.pop(pidfd))
                if ready - left.keys() and not self.early and left and self._is_over(ready):
                    self.early = True
                    poll.unregister(self.over)
                    if self.client is not None:
                        poll.unregister(self.client)
                    self._end(list(left.values()), signal.SIGINT)
                    deadline = time.monotonic() + self.profiler.grace_s
                elif not ready:
                    self._end(list(left.values()), signal.SIGTERM)
                    time.sleep(KILLED_S)
                    return

    def _is_over(self, ready: set[int]) -> bool:
        client = -1 if self.client is None else self.client.fileno()
        return self.over in ready or client in ready

    def _end(self, started: Sequence[int], how: signal.Signals) -> None:
        """Signal the profilers that have not ended; after SIGKILL wait for them too."""
        for pid in started:
            if pid in self._ended:
                continue
            with suppress(ProcessLookupError):
                os.kill(pid, how)  # ours, and nobody has waited for it: the number is still its own
            if how is signal.SIGKILL:
                self._reap(pid)

    def _reap(self, pid: int) -> None:
        _, status, used = os.wait4(pid, 0)
        self._ended[pid] = os.waitstatus_to_exitcode(status)
        self._cpu_ns += round((used.ru_utime + used.ru_stime) * 1e9)

    def _let_go(self, pidfds: Sequence[int]) -> None:
        """Have the target go on where a profiler that ended half-way left it stopped, or will have:
        on a busy host a signal is pending until its process gets a core. SIGCONT takes that back.

        What is to be stopped by a fault stays so.
        """
        if self._is_to_stand():
            return
        is_broken = any(self._ended.values()) or not self._ended
        for pid, pidfd in zip(self.target.pids, pidfds, strict=True):
            if is_broken or is_stopped(pid):
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGCONT)
        if self._is_to_stand():  # since just now
            for pidfd in pidfds:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(pidfd, signal.SIGSTOP)

    def _is_to_stand(self) -> bool:
        """Whether the target is stopped by a fault, or for a moment by a limit of its CPU time."""
        node = self.target.node
        return node is not None and (
            self.cluster.conditions.get(node) is Condition.PAUSED
            or self.cluster.runtime.is_held(node)
        )


def _said(text: str) -> str:
    """What a profiler said last, or first of what it calls an error."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return (errors[:1] or lines[-1:] or [""])[0][-WORDS:]
