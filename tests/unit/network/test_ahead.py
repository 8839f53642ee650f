"""Looks give way to a change that is about to come, and to no other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from harness.faults.fault import Fault
from harness.network.ahead import Precedence, Ready

SOON_NS, LATER_NS = 10**8, 10**12


def look(precedence: Precedence) -> tuple[threading.Thread, threading.Event]:
    """Look in a thread of its own; what is set when it began."""
    began = threading.Event()

    def act() -> None:
        precedence.give_way()
        began.set()

    thread = threading.Thread(target=act)
    thread.start()
    return thread, began


def waits(precedence: Precedence) -> bool:
    """Whether somebody waits until a change was made."""
    return bool(precedence._news._waiters)  # type: ignore[attr-defined]


def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        time.sleep(0.001)


def test_a_look_begins_when_the_change_was_made() -> None:
    precedence = Precedence()
    precedence.expect(1, time.monotonic_ns() + SOON_NS)
    thread, began = look(precedence)
    until(lambda: waits(precedence) or began.is_set())
    assert not began.is_set()
    precedence.expect(2, time.monotonic_ns() + SOON_NS)  # announced later: it does not wait for it
    precedence.made(1)
    thread.join()


def test_a_look_waits_for_no_change_that_is_far() -> None:
    precedence = Precedence()
    precedence.expect(1, time.monotonic_ns() + LATER_NS)
    precedence.expect(2, time.monotonic_ns() - LATER_NS)  # it was due long ago
    precedence.give_way()


def test_a_change_that_is_never_made_keeps_no_look_away() -> None:
    precedence = Precedence()
    precedence.expect(1, time.monotonic_ns() + SOON_NS)
    precedence.give_way()


def test_what_was_made_ready_is_of_the_very_same_faults() -> None:
    one, other = Fault(name="a"), Fault(name="b")
    ready = Ready(faults={"a": one}, compiled=None)
    assert ready.is_of({"a": one})
    assert not ready.is_of({"a": Fault(name="a")})
    assert not ready.is_of({"a": one, "b": other})
    assert not ready.is_of({})
