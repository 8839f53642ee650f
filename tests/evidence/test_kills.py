"""Evidence: kill -9 of the supervisor at 20 random moments of up, load and down on each runtime; nothing is left after doctor."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import suppress

import pytest
from cluster_helpers import TEN, Desk, small_scenario, wait_for

MOMENTS = int(os.environ.get("HARNESS_KILLS", "20"))
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("runtime", ["netns", pytest.param("docker", marks=pytest.mark.docker)])
def test_twenty_kills(tmp_path, runtime):
    desk = Desk(tmp_path, f"kills-{runtime}", runtime)
    desk.write("ten.toml", TEN)
    scenario = small_scenario(desk, 6)
    rng = random.Random(20)
    print(f"\n{'runtime':8} {'during':6} {'after s':>8} {'left before doctor':40} left after")
    try:
        for number in range(MOMENTS):
            during = ("up", "load", "down")[number % 3]
            if during == "down":
                desk.ok("up", "ten.toml")
                pid = desk.supervisor()
                client = desk.start("down")
                after_s = rng.uniform(0.3, 1.0)
            else:
                client = desk.start("run", str(scenario)) if during == "load" else desk.start("up", "ten.toml")
                pid = wait_for(desk.supervisor)
                after_s = rng.uniform(0, 12) if during == "load" else rng.uniform(0, 3 if runtime == "docker" else 0.8)
            time.sleep(after_s)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            _, errors = client.communicate(timeout=200)
            assert "Traceback" not in errors, errors
            now = desk.census()
            left = {what: len(set(map(str, now[what])) - set(map(str, desk.census_before[what]))) for what in now}
            desk.ok("doctor")
            desk.assert_nothing_left()
            told = ", ".join(f"{count} {what}" for what, count in left.items() if count) or "nothing"
            print(f"{runtime:8} {during:6} {after_s:8.2f} {told:40} nothing", flush=True)
    finally:
        desk.close()
