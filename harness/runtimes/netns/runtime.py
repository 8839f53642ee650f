"""Nodes as bare processes, each in its network namespace: no daemon, no image, a thousand of them
in seconds.

Each distinct zygote command runs once, as PID 1 of a PID namespace; spawner.py takes that part for
programs without a zygote. So no node outlives the supervisor: its death kills the zygote
(PR_SET_PDEATHSIG), and the kernel kills every process of a PID namespace whose PID 1 ends.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from harness.errors import HarnessError, UnavailableError, close_all
from harness.faults.programs import Program
from harness.kernel import accounts, priority
from harness.kernel.accounts import Account
from harness.runtimes import processes, zygote
from harness.runtimes.runtime import Cost, Ending, Place, Process, Running
from harness.runtimes.zygote import Zygote

END_TIMEOUT_S = 5.0
MANY = 250  # nodes of one zygote are worth it to come up later, for it rehearses a whole start
REHEARSAL = "ZYGOTE_REHEARSAL"  # meshnode PROTOCOL.md, section 3
PASSED_ON = ("HOME", "LANG", "TMPDIR")
SPAWNER = (sys.executable, "-IS", str(Path(__file__).with_name("spawner.py")))


@dataclass(slots=True)
class _Guarded:
    """A zygote and the process that holds its PID namespace."""

    zygote: Zygote
    guard: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until the namespace has ended, which takes no more than some seconds."""
        try:
            self.guard.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.guard.kill()  # its PDEATHSIG kills PID 1, and that all the others
            self.guard.wait()


class NetnsRuntime(processes.HostProcesses):
    """One cluster's nodes as processes of this host. Raises as Runtime says."""

    name = "netns"
    in_user_namespace = True

    def __init__(self, *, label: str, state: Path) -> None:
        super().__init__(label=label, state=state)
        self._zygotes: dict[tuple[str, ...], _Guarded] = {}
        self._to_come = 0  # about how many nodes each zygote is to fork, where that is known
        self._accounts: dict[str, Account] = {}  # of nodes that are executed, not forked

    @classmethod
    def require_program(cls, program: Program) -> None:
        """See Runtime. There are no images, and the program is one of the host's."""
        if program.image:
            raise _no_image("nodes", program.image)
        if program.file is not None:
            _program(program.file)

    def warm(self, zygotes: Collection[tuple[str, ...]], nodes: int = 0) -> None:
        """See Runtime. Must be called from the main thread, as `start`."""
        self._to_come = nodes
        for command in zygotes:
            self._zygote(command)

    def start(
        self,
        launches: Iterable[tuple[Place, Process]],
        started: Callable[[Running], None],
        doing: Callable[[str], None] = lambda _: None,
    ) -> None:
        """See Runtime. Must be called from the main thread: the kernel ends the zygotes with the
        thread that started them.
        """
        del doing  # nothing takes time before
        zygote.start_all(
            ((self._zygote_for(place, process), place, process) for place, process in launches),
            lambda place, process, running: started(self._register(place, process, running)),
        )

    def cost(self, nodes: int) -> Cost:
        """See Runtime. A node takes the same, however many there are."""
        del nodes
        return Cost(node_bytes=5_000_000, node_tasks=1)

    def ending(self, node: str) -> Ending:
        """See Runtime. The zygote reaps its processes, and says how each ended."""
        zygote_ = self._zygotes[self._resident(node).process.zygote].zygote
        return self._with_left(node, zygote_.ending(node))

    def require(self, node: str, process: Process) -> None:
        """See Runtime."""
        if process.image != self.process(node).image:
            raise _no_image(f"node {node}", process.image.name)
        _program(process.argv[0])

    def replace(self, node: str, process: Process) -> None:
        """See Runtime. Told by its whole path, a program is executed and not forked by a zygote
        that has one of its name.
        """
        program, *arguments = process.argv
        super().replace(node, replace(process, argv=(_program(program), *arguments)))

    def facts(self) -> Mapping[str, str]:
        """See Runtime."""
        return {"runtime": self.name, "python": sys.version.split()[0]}

    def close(self) -> None:
        """See Runtime."""
        guards = list(self._zygotes.values())
        close_all(
            "the netns runtime",
            *(one.zygote.close for one in guards),  # it kills and reaps its children, and ends
            *(one.wait for one in guards),
            self._kill_all,
            self._zygotes.clear,
        )

    def _account(self, running: Running) -> Account | None:
        account = self._accounts.get(running.node)  # its own: whoever is in it came by this start
        return account if account is not None and account.pids() else None

    def _spawn(self, place: Place, process: Process) -> Running:
        if (account := self._accounts.get(place.node.name)) is not None:
            self._accounts[place.node.name] = account.anew()
        return (
            self._zygotes[process.zygote].zygote.ask(place, process).result(zygote.ANSWER_TIMEOUT_S)
        )

    def _zygote_for(self, place: Place, process: Process) -> Zygote:
        """Return who starts it, and has what it needs: a node that is executed has an account."""
        name = place.node.name
        account = None if process.zygote else accounts.make(self.owner_of_groups, name)
        if account is not None:
            self._accounts[name] = account
        return self._zygote(process.zygote)

    def _zygote(self, command: tuple[str, ...]) -> Zygote:
        if command not in self._zygotes:
            made = self._zygotes[command] = self._make_zygote(command)
            priority.lead(made.guard.pid)
        return self._zygotes[command].zygote

    def _group(self, node: str) -> str | None:
        """The file by which a node enters its control group."""
        return None if node not in self._accounts else self._accounts[node].entrance

    def _make_zygote(self, command: tuple[str, ...]) -> _Guarded:
        if threading.current_thread() is not threading.main_thread():
            raise HarnessError(
                "netns: start was called from a helper thread; PR_SET_PDEATHSIG would end the "
                "nodes with that thread"
            )
        # setpriv ties unshare to us, unshare ties the zygote to itself: no code of ours between
        # fork and exec. Nodes go behind us, where cores are few.
        command = command or SPAWNER
        argv = [
            _program("nice"),
            "-n",
            str(priority.STEPS),
            _program("setpriv"),
            "--pdeathsig",
            "KILL",
            _program("unshare"),
            "--pid",
            "--fork",
            "--kill-child=SIGKILL",
            _program(command[0]),
            *command[1:],
        ]
        log = self.state / f"zygote-{len(self._zygotes)}.log"
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment = {**passed_on, "PATH": _path(), **self.environment}
        # Where it is to fork many, it may take its time to rehearse, in a folder that goes with us.
        rehearsal = {REHEARSAL: str(self.state)} if self._to_come >= MANY else {}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            # A session of its own: Ctrl-C at the terminal is for the supervisor, which then ends
            # the nodes in order.
            with theirs, log.open("ab") as output:
                guard = subprocess.Popen(
                    [*argv, "--socket-fd", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment | rehearsal,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
        except OSError as error:
            ours.close()
            raise UnavailableError(
                f"the zygote {' '.join(command)!r} could not be started: {error.strerror}"
            ) from error
        said = partial(processes.last_lines, log)
        return _Guarded(
            Zygote(ours, environment=environment, last_words=said, group=self._group), guard
        )


def _no_image(who: str, image: str) -> UnavailableError:
    return UnavailableError(
        f"{who} cannot start from the image {image}: the runtime {NetnsRuntime.name} has no "
        "images; possible: command, or the runtime docker"
    )


def _path() -> str:
    """Where programs are sought: beside this Python (a virtual environment need not be activated),
    then on PATH.
    """
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def _program(name: str) -> str:
    """Find a program's full path. Raises UnavailableError."""
    path = _path()
    found = shutil.which(name, path=path)
    if found is None:
        looked = "" if os.path.dirname(name) else f"; looked in {path}"
        raise UnavailableError(f"the program {name!r} is needed and not installed{looked}")
    return found
