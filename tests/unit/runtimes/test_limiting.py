"""Limits of real processes, which have limits of their own before."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator

import pytest

from harness.faults.limits import UNLIMITED, Limits
from harness.history.proof import ProofAnswer
from harness.network.proof.limits import judge_limits
from harness.network.proof.verdicts import Look
from harness.runtimes.limiting import Limiter

LOOK, AFTER = Look(at_ns=7, fault="f"), Look(at_ns=7, fault="f", gone=True)


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Two processes, which may have 500 and 100 descriptors, and a thousand where they want to."""
    made = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    for one, soft in zip(made, (500, 100), strict=True):
        resource.prlimit(one.pid, resource.RLIMIT_NOFILE, (soft, 1000))
    yield [one.pid for one in made]
    for one in made:
        one.kill()
        one.wait()


def soft(pid: int) -> int:
    return resource.prlimit(pid, resource.RLIMIT_NOFILE)[0]


@pytest.mark.parametrize(
    ("fds", "limited"), [(64, [64, 64]), (100, [100, 100]), (200, [200, 100]), (900, [500, 100])]
)
def test_a_limit_gives_nobody_more_and_leaves_each_what_it_had(pids, fds, limited):
    """One above a process's own raised it; each got the first one's back; and one that was the same
    as the own was "still" there: UNKNOWN.
    """
    limiter = Limiter("nobody", "node", lambda: pids, lambda _: None)
    asked = Limits(fds=fds)
    for _ in range(2):
        limiter.limit(asked)
        assert [soft(pid) for pid in pids] == limited
        assert judge_limits(LOOK, "node", asked, limiter.reading()).answer is ProofAnswer.IN_FORCE
        limiter.limit(UNLIMITED)
        assert [soft(pid) for pid in pids] == [500, 100]
        after = judge_limits(AFTER, "node", UNLIMITED, limiter.reading(), asked)
        assert after.answer is ProofAnswer.GONE


def test_a_child_that_has_its_parents_limit_gets_its_parents_own(pids):
    limiter = Limiter("nobody", "node", lambda: pids, lambda _: None)
    limiter.limit(Limits(fds=64))
    child = subprocess.Popen(["sleep", "600"])
    resource.prlimit(child.pid, resource.RLIMIT_NOFILE, (64, 1000))
    pids.append(child.pid)
    limiter.limit(Limits(fds=32))
    assert [soft(pid) for pid in pids] == [32, 32, 32]
    limiter.limit(UNLIMITED)
    assert [soft(pid) for pid in pids] == [500, 100, 500]
    child.kill()
    child.wait()
