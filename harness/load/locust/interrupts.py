"""Ctrl-C in a process whose loop sends and receives: it ends what the main greenlet waits for, and
nothing that is just being done. An interrupt in the middle of an answer would lose the answer.
"""

from __future__ import annotations

import signal
from typing import Any

import gevent


def install() -> None:
    """Have SIGINT raise KeyboardInterrupt in the main greenlet alone."""
    signal.signal(signal.SIGINT, _interrupt)


def _interrupt(number: int, frame: Any) -> None:
    del number, frame
    hub = gevent.get_hub()
    main = hub.parent
    if gevent.getcurrent() is main:
        raise KeyboardInterrupt
    hub.loop.run_callback(main.throw, KeyboardInterrupt)
