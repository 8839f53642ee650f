"""A run that is being begun is begun: whatever stops or ends the runner waits for that.

Locust's own stop passes over a start under way, or kills it half-way: the run that it began would
go on without an end, or be left open at the supervisor.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent.lock import RLock


class Starts:
    """The starts of a runner, one after another."""

    def __init__(self, runner: Any, *, has_workers: bool) -> None:
        """`has_workers`: the runner is a MasterRunner. Not looked at here: who imports Locust is
        patched by gevent.
        """
        self.is_under_way = False  # a run is being begun
        self._are_over = False
        self._turn = RLock()  # reentrant: a start may stop its runner itself
        self._stop, runner.stop = runner.stop, self._stop_after
        self._handing_out: Any = None  # the greenlet that hands out users, once a run is begun
        if has_workers:  # a stop of the other kind of runner ends that by itself
            self._start, runner.start = runner.start, self._start_here

    @contextmanager
    def one(self) -> Iterator[None]:
        """Begin a run within this: no stop, and no end, comes in between."""
        with self._turn:
            if self._are_over:
                raise gevent.GreenletExit
            self.is_under_way = True
            try:
                yield
            finally:
                self.is_under_way = False

    def wait(self) -> None:
        """Wait until no run is being begun."""
        with self._turn:
            pass

    def end(self) -> None:
        """Wait, and let no other start come."""
        self._are_over = True
        self.wait()

    def _start_here(self, *given: Any, **named: Any) -> None:
        self._handing_out = gevent.getcurrent()
        try:
            self._start(*given, **named)
        finally:
            self._handing_out = None

    def _stop_after(self, *given: Any, **named: Any) -> None:
        """Stop once a run is begun. What hands out users would say later that the run goes on."""
        self.wait()
        if self._handing_out not in (None, gevent.getcurrent()):
            self._handing_out.kill()
        self._stop(*given, **named)
