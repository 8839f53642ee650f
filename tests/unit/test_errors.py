"""Ends run whole: a step that raises keeps no other from running."""

from __future__ import annotations

import pytest

from harness.errors import HarnessError, StorageError, attempt, close_all


def steps(ran: list[int], *broken: int, error: Exception):
    def step(number: int):
        ran.append(number)
        if number in broken:
            raise error

    return [lambda number=number: step(number) for number in range(4)]


@pytest.mark.parametrize("broken", [(), (0,), (3,), (0, 1, 2, 3)])
def test_every_step_runs(broken):
    ran: list[int] = []
    error = ValueError("broken")
    assert attempt(*steps(ran, *broken, error=error)) == [error] * len(broken)
    assert ran == [0, 1, 2, 3]


def test_what_was_raised_is_raised_at_the_end():
    ran: list[int] = []
    with pytest.raises(HarnessError, match=r"the fake .*: ValueError: a; ValueError: a"):
        close_all("the fake", *steps(ran, 0, 2, error=ValueError("a")))
    assert ran == [0, 1, 2, 3]
    with pytest.raises(StorageError, match="full"):
        close_all("the fake", *steps(ran, 1, error=StorageError("full")))
    close_all("the fake", *steps(ran, error=ValueError()))
