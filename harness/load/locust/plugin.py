"""The wiring: Locust's events and messages to the master and the worker of a run. A locustfile
calls `install`.

    init            a cluster must be up, else one sentence and exit 69
    test_start      master: `begin` at the supervisor, the plan goes to the workers
    test_stopping   master: workers stop at one moment, wait for answers, close their records; `end`
    test_stop       master: the run is judged and its verdict printed
    quitting        the process's exit code: the worst verdict, or what broke; 130 before any run

In a process without workers (``--processes 0``) both sides live in one: Locust delivers messages to
itself.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gevent
from gevent.lock import BoundedSemaphore
from locust import events
from locust import log as locust_log
from locust.runners import MasterRunner, WorkerRunner

from harness.control.client import raised
from harness.errors import HarnessError, UsageError
from harness.kernel import priority
from harness.load.locust import (
    exits,
    interrupts,
    options,
    own_operations,
    precision,
    statistics,
)
from harness.load.locust.exits import ExitCode, end_now
from harness.load.locust.follower import Follower
from harness.load.locust.starts import Starts
from harness.load.locust.users import USERS
from harness.load.locust.workers import Workers
from harness.load.master import JUDGE, Master

if TYPE_CHECKING:
    from harness.load.locust.tabs import Desk

PR_SET_PDEATHSIG = 1

log = logging.getLogger(__name__)
_exit_code = ExitCode()
_forked_by = 0


def install() -> None:
    """Make this process a p2p load generator. Call it once, from a locustfile, before Locust reads
    its options.
    """
    precision.install()
    _exit_code.install()
    _choose_port()
    _count_users()
    priority.be_prompt()
    os.register_at_fork(before=_note_parent, after_in_child=_die_with_parent)
    if (
        os.environ.get(JUDGE) == "never"
    ):  # started by `harness run`: without it nobody wants the load
        _signal_at_parents_death(signal.SIGTERM)
    events.init_command_line_parser.add_listener(options.add)
    events.init.add_listener(_init)
    events.worker_report.add_listener(_complete)  # now: before the master's own listener


def _complete(client_id: str, data: dict[str, Any]) -> None:
    """A worker that is told to quit while it still starts reports without this key, and the master
    would break on it. One that reports nothing says nothing of when the load began.
    """
    del client_id
    data.setdefault("user_classes_count", {})
    total = data.get("stats_total")
    if total is not None and not total["num_requests"]:
        total["start_time"] = inf


def _choose_port() -> None:
    """Master and workers of one command meet on a free port of loopback, so that two commands do
    not collide.
    """
    if {"--master", "--worker"} & set(sys.argv) or "LOCUST_MASTER_BIND_PORT" in os.environ:
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    os.environ["LOCUST_MASTER_BIND_PORT"] = os.environ["LOCUST_MASTER_NODE_PORT"] = port


def _count_users() -> None:
    """Have Locust count on a user for each stream, also of what the system has of its own."""
    if own_operations.here():
        for name in ("LOCUST_USERS", "LOCUST_SPAWN_RATE"):
            os.environ.setdefault(name, str(len(USERS)))


def _die_with_parent() -> None:
    """Locust's master leaves its workers alone when it ends early; the kernel does not, except for
    one that has ended already.
    """
    _signal_at_parents_death(signal.SIGKILL)
    if os.getppid() != _forked_by:
        os._exit(HarnessError.exit_code)


def _note_parent() -> None:
    global _forked_by  # noqa: PLW0603 - a fork hook has no other place to say it to the child
    _forked_by = os.getpid()


def _signal_at_parents_death(number: signal.Signals) -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, number)


def _init(environment: Any, runner: Any, web_ui: Any, **_: Any) -> None:
    _exit_code.initialised = True
    interrupts.install()
    # Locust's run time is counted from the time that its event loop last saw: before the imports,
    # which take seconds on a busy host.
    gevent.get_hub().loop.update_now()
    if not isinstance(runner, WorkerRunner):
        try:
            _lead(environment, runner, web_ui)
        except HarnessError as error:
            end_now(error)
    if not isinstance(runner, MasterRunner):
        Follower(environment, runner, _exit_code).listen()


def _lead(environment: Any, runner: Any, web_ui: Any) -> None:
    """Make this process the master of runs."""
    starts = Starts(runner, has_workers=isinstance(runner, MasterRunner))
    workers = Workers(runner) if isinstance(runner, MasterRunner) else None

    def missing() -> set[str]:
        if workers is None or master.plan is None:
            return set()
        return workers.gone(set(master.plan.workers))

    def leave() -> None:
        is_alone = workers is not None and not workers.are_left()
        if web_ui and not is_alone:  # the page stays, with the verdict, for the next run
            runner.stop()
            options = environment.parsed_options
            if not (options.autostart and options.autoquit >= 0):
                return
            gevent.sleep(options.autoquit)
        runner.quit()
        if web_ui:
            web_ui.stop()

    def leave_soon() -> None:
        gevent.spawn(leave)  # the caller may be a greenlet that leaving ends

    master = Master(None, send=runner.send_message, missing=missing, leave=leave_soon)
    _name_target(environment, f"cluster {master.cluster}")
    desk = _desk(web_ui, environment, master, starts) if web_ui else None
    _hear(runner, master, workers)
    environment.events.test_start.add_listener(
        _starter(environment, runner, master, starts, leave_soon, desk)
    )
    _listen(environment, runner, master, starts, desk)


def _desk(web_ui: Any, environment: Any, master: Master, starts: Starts) -> Desk:
    """Add our tabs to Locust's page."""
    from harness.load.locust import tabs  # late: a run without a page needs none of it

    desk = tabs.Desk(master, starts)
    tabs.add(web_ui, environment, desk)
    exits.end_where_busy(web_ui)
    return desk


def _name_target(environment: Any, target: str) -> None:
    """Have Locust's pages and reports call the target by its name."""
    if environment.host:
        raise UsageError(
            f"--host: the load goes to {target}, found {environment.host!r}: HARNESS_CLUSTER "
            "chooses another cluster"
        )
    environment.host = target


def _hear(runner: Any, master: Master, workers: Workers | None) -> None:
    """Let the master hear what workers say."""
    if workers is not None:
        runner.register_message(
            "p2p-here", lambda msg, **_: workers.here(msg.data["client"], msg.data["pid"])
        )
    runner.register_message(
        "p2p-progress", lambda msg, **_: master.heard(msg.data["client"], msg.data)
    )
    runner.register_message(
        "p2p-drained", lambda msg, **_: master.heard_drained(msg.data["client"], msg.data)
    )
    runner.register_message(
        "p2p-broken", lambda msg, **_: master.fail(raised(msg.data["kind"], msg.data["error"]))
    )


def _note_begin(runner: Any, master: Master, desk: Desk | None) -> None:
    """Let Locust's rates, and what the tabs look at, begin with the run."""
    if master.plan is None:  # it was ended while it began
        return
    runner.stats.total.start_time = statistics.wall_s(master.plan.t0_ns)
    if desk is not None:
        desk.begin(Path(master.plan.run))


def _starter(
    environment: Any,
    runner: Any,
    master: Master,
    starts: Starts,
    leave_soon: Callable[[], None],
    desk: Desk | None,
) -> Callable[..., None]:
    """Make the listener that begins a run when Locust starts."""

    def workers() -> list[str]:
        if not isinstance(runner, MasterRunner):
            return [runner.client_id]
        return sorted((client.id for client in runner.clients.ready), key=runner.get_worker_index)

    def begin() -> None:
        try:
            master.start(environment.parsed_options, environment.user_classes, workers())
        except Exception as error:  # Locust would log it and run without load
            if not isinstance(error, HarnessError):
                log.exception("the load cannot start")
            print(f"locust: {error}", file=sys.stderr, flush=True)
            _exit_code.add(getattr(error, "exit_code", HarnessError.exit_code))
            if desk is None:
                leave_soon()
            else:
                desk.refusal = str(error)
            raise gevent.GreenletExit from error  # the only way to keep Locust from starting users

    def test_start(**_: Any) -> None:
        if desk is not None:
            desk.refusal = ""
        with starts.one():
            begin()
            _note_begin(runner, master, desk)

    return test_start


def _listen(
    environment: Any, runner: Any, master: Master, starts: Starts, desk: Desk | None
) -> None:
    """Let Locust's stop and end be those of runs."""
    distributed = isinstance(runner, MasterRunner)

    settling = BoundedSemaphore()  # Locust may stop in one greenlet while it quits in another

    def test_stopping(**_: Any) -> None:
        with settling:
            master.stop()

    def settle(**_: Any) -> None:
        with settling:
            master.stop()
            if desk is not None:
                desk.end()
            code = master.judge(even_broken=desk is not None)
            if code is not None:
                _exit_code.add(code)

    def quitting(**_: Any) -> None:
        starts.end()
        runner.stop(**({"send_stop_to_client": False} if distributed else {}))
        settle()
        if locust_log.unhandled_greenlet_exception:
            _exit_code.add(HarnessError.exit_code)
        environment.process_exit_code = _exit_code.decide()

    environment.events.test_stopping.add_listener(test_stopping)
    environment.events.test_stop.add_listener(settle)
    environment.events.quitting.add_listener(quitting)
