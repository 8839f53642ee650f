"""Evidence: kill -9 of the supervisor at 20 random moments of up, load and down on each runtime;
nothing is left after doctor.

Every other time the client that waits is killed with it, for a client that lives removes what it
can by itself. The table tells what the cluster was doing when it was hit, what was left when all
had come to rest, and what after doctor.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress

import pytest
from kit.desk import TEN, Desk, small_scenario, wait_for

from harness.control.client import Client

MOMENTS = int(os.environ.get("HARNESS_KILLS", "20"))
SPREAD_S = {
    ("up", "netns"): 0.6,
    ("up", "docker"): 1.8,
    ("load", "netns"): 8.0,
    ("load", "docker"): 8.0,
    ("down", "netns"): 0.1,
    ("down", "docker"): 0.4,
}
pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("runtime", ["netns", pytest.param("docker", marks=pytest.mark.docker)])
def test_twenty_kills(tmp_path, monkeypatch, runtime):
    desk = Desk(tmp_path, f"kills-{runtime}", runtime)
    monkeypatch.setenv("HARNESS_STATE", str(desk.state))
    desk.write("ten.toml", TEN)
    rng = random.Random(20)
    print(
        "\n| runtime | during | after, s | it was | client | left when at rest | after doctor "
        f"|\n|{'---|' * 7}"
    )
    try:
        for number in range(MOMENTS):
            during = ("up", "load", "down")[number % 3]
            after_s = rng.uniform(0, SPREAD_S[during, runtime])
            with_client = number % 2 == 1
            after_s, was, code, told = killed(desk, during, after_s, with_client=with_client)
            if not with_client:
                assert "Traceback" not in told, told
                assert (
                    during != "load"
                    or (code in (69, 70) and told.startswith("harness: "))
                    or was == "gone"
                ), (code, was, told)
            rest = at_rest(desk)
            desk.ok("doctor")
            desk.assert_nothing_left()
            after = left(desk.census(), desk.census_before)
            print(
                f"| {runtime} | {during} | {after_s:.2f} | {was} | "
                f"{'killed too' if with_client else code} | {words(rest)} | {words(after)} |",
                flush=True,
            )
            assert not after
    finally:
        desk.close()


def killed(
    desk: Desk, during: str, after_s: float, *, with_client: bool
) -> tuple[float, str, int, str]:
    """Begin, wait, kill: after how long, what the supervisor said it was doing just before, the
    client's exit code and words.
    """
    if during == "down":
        desk.ok("up", "ten.toml")
    client = desk.start(
        *{
            "up": ("up", "ten.toml"),
            "load": ("run", str(small_scenario(desk, 6))),
            "down": ("down",),
        }[during]
    )
    # A pid may end, and be another's, while we wait.
    pidfd = os.pidfd_open(wait_for(desk.supervisor))
    if during == "load":
        wait_for(lambda: desk.doing() in {"phase quiet", "phase load"})
    elif during == "down" and with_client:
        client.kill()  # asked by us: the client's start would take longer than all of down
        with Client.connect(desk.cluster) as asking:
            asking.call("down")
    elif during == "down":
        wait_for(lambda: desk.doing() != "up")
        after_s /= 10
    time.sleep(after_s)
    was = desk.doing()
    if with_client:
        client.kill()
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    os.close(pidfd)
    _, errors = client.communicate(timeout=200)
    return after_s, was, client.returncode, errors


def at_rest(desk: Desk) -> dict[str, int]:
    """What is left once supervisor and load generator have ended and two looks half a second apart
    agree.
    """

    def looks() -> dict[str, dict] | None:
        first = desk.census()
        time.sleep(0.5)
        second = desk.census()
        return (
            {"now": second}
            if first == second
            and not any(
                word in line
                for line in second["processes"]
                for word in ("locust", "harness.supervisor")
            )
            else None
        )

    return left(wait_for(looks, desk.census)["now"], desk.census_before)


def left(now: dict[str, list[str]], before: dict[str, list[str]]) -> dict[str, int]:
    """How many of each kind there are that were not there before."""
    counts = {what: (Counter(now[what]) - Counter(before[what])).total() for what in now}
    return {what: count for what, count in counts.items() if count}


def words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing"


def test_what_is_left_is_counted():
    """Two processes of one command line are two; what was there before is none."""
    assert left(
        {"processes": ["node", "node"], "files": ["lock"]}, {"processes": [], "files": ["lock"]}
    ) == {"processes": 2}
    assert words({"processes": 2, "files": 1}) == "2 processes, 1 files"


@pytest.mark.parametrize("runtime", ["netns", pytest.param("docker", marks=pytest.mark.docker)])
def test_the_census_sees_a_cluster(tmp_path, runtime):
    """The same counting on a cluster that is up finds its ten nodes: nothing left is not nothing
    seen.
    """
    desk = Desk(tmp_path, f"seen-{runtime}", runtime)
    try:
        desk.ok("up", str(desk.write("ten.toml", TEN)))
        found = left(desk.census(), desk.census_before)
        nodes = {node["pid"] for node in desk.status()["nodes"]}
        assert found["files"] > 10
        assert found["containers" if runtime == "docker" else "processes"] >= 10
        assert runtime == "docker" or nodes <= set(desk.processes())
        desk.ok("down")
        desk.assert_nothing_left()
        gone = subprocess.run(
            ["ps", "-o", "pid=", "-p", ",".join(map(str, nodes))],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        assert not gone.split(), gone
    finally:
        desk.close()
