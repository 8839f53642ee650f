"""A check of the user's own may never end, and the judge waits for it: it gets a time."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

CHECK_S = 300.0  # a judge of ten million operations takes some 15 s for all its own checks
AGAIN_S = 1.0  # it is interrupted again and again: it may catch what ends it


class _OverError(BaseException):
    """The time is over. No Exception: checks catch these."""


@contextmanager
def limited(seconds: float | None) -> Iterator[None]:
    """Raise TimeoutError where what runs meanwhile takes longer; None: it has all the time.

    Only Python's main thread can be interrupted, and only between two steps of Python: in another
    thread there is no limit, and a library that never returns from C is waited for.
    """
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGALRM, _end)
    begun_s = time.monotonic()
    left_s, every_s = signal.setitimer(signal.ITIMER_REAL, seconds, AGAIN_S)
    try:
        yield
    except _OverError:
        raise TimeoutError(f"it did not end within {seconds:g} s") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if left_s:  # an alarm of somebody else's comes when it was to come
            passed_s = time.monotonic() - begun_s
            signal.setitimer(signal.ITIMER_REAL, max(left_s - passed_s, 1e-6), every_s)


def _end(_number: int, _frame: FrameType | None) -> None:
    raise _OverError
