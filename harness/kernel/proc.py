"""What /proc says, mostly as pure functions of its text.

Imports nothing heavy: a process that will enter a user namespace may have one thread only, and
importing pyarrow starts more.
"""

from __future__ import annotations

import functools
import os
import select
import signal
import time
from contextlib import suppress

from harness.errors import HarnessError

_LINE_BYTES = 512  # of /proc/net/snmp: more than 15 numbers of 20 digits


def is_readable(descriptor: int, timeout_s: float = 0.0) -> bool:
    """Wait, at most so long, until a descriptor can be read or its other end is gone; whether that
    happened. A pidfd can be read once its process has ended.

    Each call has a poll object of its own: one that threads share raises "concurrent poll()
    invocation".
    """
    poll = select.poll()  # select.select cannot take descriptors above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; False where it is gone."""
    return _state(pid) in (b"T", b"t")


def is_ended(pid: int) -> bool:
    """Whether a process has ended, also where nobody has waited for it yet."""
    return _state(pid) in (b"", b"Z", b"X")


def doing(pid: int) -> str:
    """Say what a process does, for an error that must tell why it does not answer."""
    state = _state(pid)
    if state in (b"S", b"D"):
        with suppress(OSError), open(f"/proc/{pid}/wchan") as file:
            return f"waiting in the kernel ({file.read().strip() or state.decode()})"
    words = {b"R": "running, or waiting for a core", b"T": "stopped", b"t": "traced", b"": "gone"}
    return words.get(state, state.decode())


def _state(pid: int) -> bytes:
    """Read the state of /proc/PID/stat; empty where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return b""
    # The name in parentheses may hold anything; the state is the field after it.
    return text[text.rindex(b")") + 2 :].split(None, 1)[0]


def command_line(pid: int) -> tuple[str, ...]:
    """Read a process's command line; empty of one that has ended. Raises OSError where it is
    gone.
    """
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        text = file.read().decode("utf-8", "replace")
    return tuple(text.removesuffix("\0").split("\0")) if text else ()


def age_ns() -> int:
    """Compute how long ago the calling process was started, to a clock tick (10 ms)."""
    with open("/proc/self/stat", "rb") as file:
        started = int(file.read().rsplit(b")", 1)[1].split()[19])
    since_boot_ns = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return since_boot_ns - started * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def process_cpu_clock(pid: int) -> int:
    """Compute the clock id of a process's CPU time over all threads: MAKE_PROCESS_CPUCLOCK(pid,
    CPUCLOCK_SCHED) of linux/posix-timers.h.
    """
    return (~pid << 3) | 2


def run_delay_ns(schedstat: bytes) -> int:
    """Read how long a thread could run and waited for a core, from its schedstat in /proc: the
    second number (the kernel's Documentation/scheduler/sched-stats.rst). 0 of one that has ended.
    """
    return int(schedstat.split(None, 2)[1]) if schedstat else 0


def run_delay_of_threads_ns(pid: int) -> int:
    """Sum the run delay of all threads that a process has. 0 of one that has ended."""
    total = 0
    with suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            with suppress(OSError), open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as file:
                total += run_delay_ns(file.read())
    return total


def established(snmp: bytes) -> int:
    """Read CurrEstab of /proc/net/snmp: TCP connections in ESTABLISHED or CLOSE_WAIT, both IP
    versions, loopback too (RFC 4022).
    """
    start = snmp.index(b"Tcp: ")
    names_end = snmp.index(b"\n", start)
    column = _column_of_established(snmp[start:names_end])
    return int(snmp[names_end + 1 : names_end + _LINE_BYTES].split(None, column + 1)[column])


@functools.cache  # the names are the same in every namespace of a kernel
def _column_of_established(names: bytes) -> int:
    return names.split().index(b"CurrEstab")


def cpu_ticks(stat: bytes) -> tuple[int, int]:
    """Read how long all CPUs were (busy, stolen), in clock ticks, from /proc/stat. Busy is user,
    nice, system, irq and softirq (proc(5)).
    """
    user, nice, system, _idle, _iowait, irq, softirq, steal = (
        int(value) for value in stat.split(None, 9)[1:9]
    )
    return user + nice + system + irq + softirq, steal


def psi_some_us(pressure: bytes) -> int | None:
    """Read the cumulative `total` of the ``some`` line of a /proc/pressure file, in µs; None where
    there is no such line.
    """
    for line in pressure.splitlines():
        if line.startswith(b"some "):
            return int(line.rpartition(b"total=")[2])
    return None


def packets_dropped(softnet: bytes) -> int | None:
    """Read from /proc/net/softnet_stat how many packets were dropped because a CPU's backlog was
    full (net.core.netdev_max_backlog), in all namespaces together: its second column, in hex.
    None where nothing can be read.
    """
    return None if not softnet else sum(int(line.split()[1], 16) for line in softnet.splitlines())


def memory_available_bytes(meminfo: bytes) -> int:
    """Read MemAvailable of /proc/meminfo. Raises HarnessError where the kernel (before 3.14) does
    not say it.
    """
    _, found, rest = meminfo.partition(b"MemAvailable:")
    if not found:
        raise HarnessError("/proc/meminfo: expected a line MemAvailable, found none")
    return int(rest.split(None, 1)[0]) * 1024


def host_pid(pidfd: int) -> int:
    """Look up the pid behind a pidfd, as this process's PID namespace sees it; -1 when the process
    has ended, 0 when it is not visible.
    """
    with open(f"/proc/self/fdinfo/{pidfd}", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pid:"))


def send(pidfd: int, number: signal.Signals) -> None:
    """Send a signal; nothing happens to a process that has ended."""
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, number)
