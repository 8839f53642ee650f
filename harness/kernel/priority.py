"""Who goes first where there are too few cores: what measures, before what is measured.

A scheduler that groups processes by session (autogroup) heeds nice(2) within one session only, so
the priority of the session is set too. What is not allowed is left as it is.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

STEPS = 20  # of nice, from us to a node: of two that want one core, we get 98 % and more
_FIRST, _LAST = -20, 19
_REAL_TIME = 1  # the least: below what holds packets
_HOLDS_PACKETS = 10
_SESSION = Path("/proc/self/autogroup")


def lead_session() -> None:
    """Put the calling process, which leads a session of its own, before all others.

    Threads and children made later inherit it. A process without the right stays where it is: then
    nodes alone are moved, behind it.
    """
    _try(lambda: os.setpriority(os.PRIO_PROCESS, 0, _FIRST))
    _try(lambda: _SESSION.write_text(str(os.getpriority(os.PRIO_PROCESS, 0))))


def lead(pid: int) -> None:
    """Put the session that a process leads before all others, and its processes among each other
    where they are: sessions that they begin later do not inherit it.
    """
    _try(lambda: Path(f"/proc/{pid}/autogroup").write_text(str(_FIRST)))


def be_prompt() -> None:
    """Run the calling thread as soon as it wants to, whatever else wants a core: by the least
    real-time priority, else by nice.

    Threads and children made later inherit it; threads that did not, such as those of ZeroMQ, would
    be what it waits for.
    """
    if not _try(lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(_REAL_TIME))):
        _try(lambda: os.setpriority(os.PRIO_PROCESS, 0, _FIRST))


@contextmanager
def prompt(thread: int = 0) -> Iterator[None]:
    """Run a thread, by its number in the kernel, or else the calling one, as soon as it wants to
    meanwhile, where that is allowed; what it starts meanwhile is ordinary.
    """
    is_already = os.sched_getscheduler(thread) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    raised = not is_already and _try(
        lambda: _schedule(thread, os.SCHED_RR | os.SCHED_RESET_ON_FORK, _REAL_TIME)
    )
    try:
        yield
    finally:  # the mark is root's to take off
        if raised and not _try(lambda: _schedule(thread, os.SCHED_OTHER)):
            _try(lambda: _schedule(thread, os.SCHED_OTHER | os.SCHED_RESET_ON_FORK))


def _schedule(thread: int, policy: int, priority: int = 0) -> None:
    os.sched_setscheduler(thread, policy, os.sched_param(priority))


def put_first(pid: int) -> None:
    """Run a process that holds packets before all that are prompt, where that is allowed."""
    _try(lambda: os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(_HOLDS_PACKETS)))


def be_ordinary() -> None:
    """Take `be_prompt` back: the calling thread and its later children wait for their turn."""
    _try(lambda: os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0)))
    _try(lambda: os.setpriority(os.PRIO_PROCESS, 0, max(os.getpriority(os.PRIO_PROCESS, 0), 0)))


def of_nodes() -> int:
    """Compute the nice value of the nodes of the calling process."""
    return min(os.getpriority(os.PRIO_PROCESS, 0) + STEPS, _LAST)


def _try(act: Callable[[], object]) -> bool:
    with suppress(OSError):
        act()
        return True
    return False
