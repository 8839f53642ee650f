"""How long nodes may be silent."""

from __future__ import annotations

import time
from contextlib import closing

from harness.supervisor.readiness import Readiness


def test_the_silence_of_nodes_that_were_held_before_the_wait_is_none(tmp_path):
    """They are expected when the first is asked for, and begin when the last has started."""
    ticks: list[int] = []
    with closing(Readiness(tmp_path / "socket")) as readiness:
        readiness.expect("a")
        time.sleep(0.3)
        begun_s = time.monotonic()
        assert readiness.wait(["a"], 0.3, ticks.append) == ["a"]
        assert time.monotonic() - begun_s >= 0.3
    assert ticks
