"""The asking side of a zygote: it pipelines requests, and a thread takes the answers (meshnode
PROTOCOL.md, section 3).
"""

from __future__ import annotations

import json
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from harness.errors import HarnessError, NodeStartError, UnavailableError
from harness.kernel import descriptors, proc
from harness.runtimes import processes
from harness.runtimes.runtime import Ending, Place, Process, Running

PACKET_BYTES_MAX = 65536
ANSWER_TIMEOUT_S = 60.0
ENDING_TIMEOUT_S = 2.0  # from the end of a process until its zygote has said how
# requests under way: enough to keep a zygote busy, and few descriptors in flight (RLIMIT_NOFILE
# bounds them)
WINDOW = 64


class Zygote:
    """One zygote at the other end of a SOCK_SEQPACKET connection. When it ends, every request under
    way fails.
    """

    def __init__(
        self,
        connection: socket.socket,
        *,
        environment: dict[str, str],
        last_words: Callable[[], str],
        container: str | None = None,
        group: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        """`environment`: what every node gets beside its own; `last_words`: what the zygote logged,
        for errors; `group`: the file by which a node enters its control group.
        """
        self._connection = connection
        self._environment = environment
        self._last_words = last_words
        self._container, self._group = container, group
        self._guard = threading.Lock()
        self._asked: dict[str, tuple[Place, Future[Running]]] = {}
        self._pids: dict[str, int] = {}  # node → its last process, as the zygote sees it
        self._endings: dict[str, Ending] = {}  # node → how that one ended
        self._news = threading.Condition(self._guard)
        self._ended = False
        self._thread = threading.Thread(target=self._listen, name="zygote", daemon=True)
        self._thread.start()

    def ask(self, place: Place, process: Process, *, held: bool = False) -> Future[Running]:
        """Ask for a process; the future ends in a Running, NodeStartError or UnavailableError.
        `held`: more are to come; what the zygote forks, instead of executing it, waits for them.
        """
        name, future = place.node.name, Future[Running]()
        request = {
            "op": "spawn",
            "name": name,
            "argv": process.argv,
            "directory": str(place.directory),
            "environment": {**self._environment, **process.environment},
            "held": held,
            "group": self._group(name),
        }
        log = processes.open_log(place)
        try:
            with self._guard:
                if self._ended:
                    raise self._gone(place)
                if name in self._asked:
                    raise HarnessError(f"node {name} is being started already")
                self._asked[name] = (place, future)
            socket.send_fds(
                self._connection, [json.dumps(request).encode()], [place.namespace, log]
            )
        except OSError as error:
            with self._guard:
                self._asked.pop(name, None)
            if isinstance(error, ConnectionError):
                raise self._gone(place) from error
            raise UnavailableError(
                f"node {name} could not be asked for: {error.strerror}"
            ) from error
        finally:
            os.close(log)
        return future

    def ending(self, name: str) -> Ending:
        """Tell how a node's last process ended; waits until the zygote has said so, or has ended
        itself.
        """
        with self._news:
            self._news.wait_for(lambda: name in self._endings or self._ended, ENDING_TIMEOUT_S)
            return self._endings.get(name, Ending(with_holder=self._ended))

    def close(self) -> None:
        """Hang up: the zygote kills its children and ends."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join(ANSWER_TIMEOUT_S)
        self._connection.close()

    def _listen(self) -> None:
        while True:
            try:
                packet, received = descriptors.receive(self._connection, PACKET_BYTES_MAX, 1)
                if not packet:
                    break
                self._take(json.loads(packet), received)
            except (
                OSError,
                ValueError,
                KeyError,
            ):  # hung up, or no zygote at all: both end what is under way
                break
        with self._guard:
            self._ended = True
            self._news.notify_all()
            orphans, self._asked = list(self._asked.values()), {}
        for place, future in orphans:
            future.set_exception(self._gone(place))

    def _take(self, answer: dict[str, Any], received: list[int]) -> None:
        with self._guard:
            place, future = (
                self._asked.pop(answer["name"], (None, None))
                if answer["op"] in {"spawned", "failed"}
                else (None, None)
            )
            if answer["op"] == "spawned":
                self._pids[answer["name"]] = answer["pid"]
                self._endings.pop(answer["name"], None)  # one of before, told since it was asked
            elif answer["op"] == "exited" and self._pids.get(answer["name"]) == answer["pid"]:
                ending = Ending(code=answer["code"], signal=answer["signal"])
                self._endings[answer["name"]] = ending
                self._news.notify_all()
        if place is None or future is None:  # that a process ended, its pidfd says
            for descriptor in received:
                os.close(descriptor)
            return
        name = place.node.name
        if answer["op"] == "failed":
            tail = processes.last_lines(processes.log_of(place))
            future.set_exception(
                NodeStartError(f"node {name} could not be started: {answer['error']}{tail}")
            )
        elif not received:
            future.set_exception(HarnessError(f"node {name}: the zygote's answer carried no pidfd"))
        else:
            pid = proc.host_pid(received[0])
            if pid <= 0:
                os.close(received[0])
                future.set_exception(
                    NodeStartError(
                        f"node {name} ended as soon as it had "
                        f"started{processes.last_lines(processes.log_of(place))}"
                    )
                )
            else:
                future.set_result(
                    Running(node=name, pid=pid, pidfd=received[0], container=self._container)
                )

    def _gone(self, place: Place) -> UnavailableError:
        return UnavailableError(
            f"node {place.node.name} could not be started: its zygote has ended{self._last_words()}"
        )


def start_all(
    asks: Iterable[tuple[Zygote, Place, Process]],
    started: Callable[[Place, Process, Running], None],
) -> None:
    """Start many, `WINDOW` of them under way at a time; `started` is called for each, in order, on
    this thread. What can be held begins when `asks`, which may take its time, has ended: the last
    of each zygote is asked for only then.

    Raises the first error, also one of `asks`, once every request was answered: nothing starts
    after the caller has heard of it.
    """
    window: deque[tuple[Place, Process, Future[Running]]] = deque()
    failures: list[HarnessError] = []
    latest: dict[Zygote, tuple[Place, Process]] = {}

    def answer() -> None:
        place, process, future = window.popleft()
        try:
            running = future.result(ANSWER_TIMEOUT_S)
        except TimeoutError:
            failures.append(
                UnavailableError(
                    f"node {place.node.name}: its zygote has not answered for "
                    f"{ANSWER_TIMEOUT_S:.0f} s"
                )
            )
        except HarnessError as error:
            failures.append(error)
        else:
            started(place, process, running)

    def ask(zygote: Zygote, place: Place, process: Process, *, held: bool) -> None:
        if len(window) >= WINDOW:
            answer()
        if not failures:
            window.append((place, process, zygote.ask(place, process, held=held)))

    try:
        for zygote, place, process in asks:
            if zygote in latest:
                ask(zygote, *latest[zygote], held=True)
            latest[zygote] = (place, process)
            if failures:
                break
        for zygote, (place, process) in latest.items():
            ask(zygote, place, process, held=False)
    except HarnessError as error:
        failures.append(error)
    while window:
        answer()
    if failures:
        raise failures[0]
