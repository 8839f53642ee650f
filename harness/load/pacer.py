"""A timer of the kernel's resolution inside gevent's loop (``gevent.sleep`` has a floor of one
millisecond).
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from time import monotonic_ns

import gevent

CLOCK_MONOTONIC = 1
TFD_NONBLOCK = 0o4000
TFD_CLOEXEC = 0o2000000
TFD_TIMER_ABSTIME = 1
READABLE = 1

_libc = ctypes.CDLL(None, use_errno=True)


class _Timespec(ctypes.Structure):
    _fields_ = [("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long)]


class _Itimerspec(ctypes.Structure):
    _fields_ = [("interval", _Timespec), ("value", _Timespec)]


class Timer:
    """Sleeps until a moment of CLOCK_MONOTONIC, by timerfd; for one greenlet at a time."""

    def __init__(self) -> None:
        self._descriptor = _libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")
        self.late_ns = 0  # how late it returned at worst, since somebody set this to 0
        self._watcher = gevent.get_hub().loop.io(self._descriptor, READABLE)

    def sleep_until(self, at_ns: int) -> None:
        """Return at `at_ns` or just after; other greenlets run meanwhile. A moment that has passed
        returns at once.
        """
        if at_ns <= monotonic_ns():
            return
        when = _Itimerspec(_Timespec(0, 0), _Timespec(*divmod(at_ns, 1_000_000_000)))
        if _libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, ctypes.byref(when), None) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_settime: {os.strerror(number)}")
        gevent.get_hub().wait(self._watcher)
        with suppress(BlockingIOError):
            os.read(self._descriptor, 8)
        self.late_ns = max(self.late_ns, monotonic_ns() - at_ns)

    def close(self) -> None:
        """Close the descriptor."""
        self._watcher.stop()
        self._watcher.close()
        os.close(self._descriptor)
