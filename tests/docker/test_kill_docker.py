"""kill -9 of the supervisor while containers start and while load runs: what remains is removed,
and nobody else's container.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time

import pytest
from kit.desk import Desk, small_scenario, wait_for

pytestmark = [pytest.mark.docker, pytest.mark.root]
FIVE = "[nodes]\ncount = 5\n[shape]\nkind = 'full-mesh'\n"


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "killdesk", "docker")
    made.write("five.toml", FIVE)
    yield made
    made.close()


@pytest.fixture
def foreign(image):
    """A container of somebody else's cluster: same image, another label."""
    made = subprocess.run(
        ["docker", "create", "--label", "p2p-harness.cluster=somebody-else", image, "meshnode"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    yield made
    subprocess.run(["docker", "rm", made], capture_output=True, check=True)


def exists(container: str) -> bool:
    return (
        subprocess.run(
            ["docker", "inspect", container], capture_output=True, check=False
        ).returncode
        == 0
    )


def doctored(desk: Desk, foreign: str, containers: int) -> None:
    """Doctor names and removes exactly these containers and the folder; the foreign one stays."""
    said = desk.ok("doctor")
    assert said.startswith(f"{desk.cluster}: removed "), said
    assert (
        said.count("container ") == said.count(f"container {desk.cluster}-node-") == containers
    ), said
    desk.assert_nothing_left()
    assert exists(foreign)


def test_supervisor_killed_while_ten_nodes_share_a_container(desk, foreign):
    desk.write("packed.toml", "[nodes]\ncount = 101\n[shape]\nkind = 'ring'\n")
    desk.ok("up", "packed.toml")
    assert len(desk.census()["containers"]) == 11
    os.kill(desk.supervisor(), signal.SIGKILL)
    wait_for(lambda: desk.supervisor() is None)
    assert desk.ok("doctor").count(f"container {desk.cluster}-zygote-") == 11
    desk.assert_nothing_left()
    assert exists(foreign)


def test_supervisor_and_client_killed_while_containers_start(desk, foreign):
    """The client would remove what its supervisor left; killed as well, it leaves that to
    doctor.
    """
    up = desk.start("up", "five.toml")
    wait_for(lambda: desk.census()["containers"])
    up.kill()
    os.kill(desk.supervisor(), signal.SIGKILL)
    up.communicate(timeout=60)
    wait_for(lambda: desk.supervisor() is None)
    # The engine may still be making one that was asked for.
    settled = wait_for(lambda: settled_count(desk))
    doctored(desk, foreign, settled)


def settled_count(desk: Desk) -> int:
    """How many containers of ours there are, once two looks a second apart agree; 0 before."""
    before = desk.census()["containers"]
    time.sleep(1)
    return len(before) if before == desk.census()["containers"] else 0


def test_supervisor_killed_while_containers_start(desk, foreign):
    """The waiting client says one sentence and removes the containers itself."""
    up = desk.start("up", "five.toml")
    wait_for(lambda: desk.census()["containers"])
    os.kill(desk.supervisor(), signal.SIGKILL)
    _, errors = up.communicate(timeout=120)
    assert up.returncode in (69, 70), errors
    assert errors.startswith("harness: ")
    assert "Traceback" not in errors
    desk.ok("doctor")
    desk.assert_nothing_left()
    assert exists(foreign)


def test_supervisor_and_client_killed_during_load(desk, foreign):
    run = desk.start("run", str(small_scenario(desk, 30)))
    wait_for(lambda: run.poll() is not None or desk.doing() == "phase load", desk.doing, 120)
    time.sleep(random.Random(1).uniform(0, 2))
    pid = desk.status()["pid"]
    run.kill()
    os.kill(pid, signal.SIGKILL)
    run.communicate(timeout=60)
    wait_for(
        lambda: not [line for line in desk.processes().values() if "locust" in line], desk.processes
    )
    assert len(desk.census()["containers"]) == 10
    doctored(desk, foreign, 10)
    assert desk.harness("judge", str(desk.runs / "latest")).returncode == 2
