"""An outlet passes on what a command beside a node prints to who asked for it, without the secrets
of the cluster. Where there are none, the command writes there itself.
"""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable

from harness import redaction

AT_ONCE = 1 << 16  # bytes
THREAD = "a command's output"
LOOK_S = 0.1  # between looks whether who waits for the rest is still there


class Outlet:
    """A pipe to one of a client's descriptors. The command, and what it has started, write to its
    `end`; the pipe lasts until nobody does any more, or nobody reads.
    """

    def __init__(self, to: int) -> None:
        """`to` stays the caller's."""
        self._to = os.dup(to)
        self._read, self.end = os.pipe()
        self._drained = threading.Event()

    def begin(self, pidfd: int) -> None:
        """Pass on what is written. The command of this descriptor has the end by now."""
        os.close(self.end)
        args = (os.dup(pidfd),)
        threading.Thread(target=self._pass_on, args=args, name=THREAD, daemon=True).start()

    def discard(self) -> None:
        """Close the pipe, of which no command has the end."""
        for descriptor in (self.end, self._read, self._to):
            os.close(descriptor)

    def drain(self, is_wanted: Callable[[], bool]) -> None:
        """Wait until all has been passed on that the command printed before it ended, as long as
        that is wanted.
        """
        while not self._drained.wait(LOOK_S) and is_wanted():
            pass

    def _pass_on(self, pidfd: int) -> None:
        stream = redaction.Stream()
        try:
            if self._has_more(pidfd, stream):  # a child of the command has the end, too
                self._drained.set()
                while data := os.read(self._read, AT_ONCE):
                    self._write(stream.feed(data))
            self._write(stream.end())
        except OSError:  # who reads it is gone; the next write of the command tells it so
            pass
        finally:
            for descriptor in (pidfd, self._read, self._to):
                os.close(descriptor)
            self._drained.set()

    def _has_more(self, pidfd: int, stream: redaction.Stream) -> bool:
        """Pass on what is written until the command has ended; return whether somebody else may
        write on.
        """
        both, own = select.poll(), select.poll()
        for descriptor in (self._read, pidfd):
            both.register(descriptor, select.POLLIN)
        own.register(self._read, select.POLLIN)
        while True:
            ready = [descriptor for descriptor, _ in both.poll()]
            if self._read not in ready and not own.poll(0):
                return True  # what it wrote last was there before it had ended
            data = os.read(self._read, AT_ONCE)
            if not data:
                return False
            self._write(stream.feed(data))

    def _write(self, data: bytes) -> None:
        while data:
            try:
                data = data[os.write(self._to, data) :]
            except BlockingIOError:  # a client may have made it so
                room = select.poll()
                room.register(self._to, select.POLLOUT)
                room.poll()


def outlets(out: int, err: int) -> list[Outlet]:
    """Make the outlets of a command's stdout and stderr; none where there is no secret. Where both
    are one file they are one, so that what is written to it keeps its order.
    """
    if not redaction.is_needed():
        return []
    first = Outlet(out)
    return [first, first if os.path.sameopenfile(out, err) else Outlet(err)]
