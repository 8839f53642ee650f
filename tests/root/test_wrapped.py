"""A node is all that its program starts, whichever way: one cluster of servers behind all kinds of
wrappers, each of which was judged, stopped or counted wrongly in some way.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from kit.desk import Desk, wait_for
from kit.wrapped import burnt_ns, copy, of_node, others, sampled, topology

pytestmark = pytest.mark.root
KINDS = (
    "exec",  # the shell becomes the server
    "child",  # a shell that waits
    "session",  # a server in a session of its own
    "respawn",  # a supervisor, which starts it again
    "outlives",  # a child whose parent has gone
    "waits",  # a daemon, and a shell that waits for its pid file
    "prefork",  # workers that share memory
    "unwaited",  # children that end, and nobody waits for them
    "orphans",  # the same whose parents are gone before
    "grouped",  # a control group of its own, in that which it was given
    "jailed",  # a PID namespace of its own
    "apart",  # a network namespace too
)
OWN_NAMESPACES = ("jailed", "apart")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path, "wrapped")
    copy(tmp_path)
    yield made
    made.close()


def possible() -> tuple[str, ...]:
    """The kinds that this host can have: not every one lets a process make namespaces."""
    trial = ["unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "true"]
    can = subprocess.run(trial, capture_output=True, check=False).returncode == 0
    return tuple(kind for kind in KINDS if can or kind not in OWN_NAMESPACES)


def test_whatever_a_program_starts_is_its_node(desk):
    kinds = possible()
    desk.ok("up", topology(desk, kinds), "--system", "wrapped.toml")
    for name in kinds:
        assert of_node(desk, name), name

    # Resources: memory that forks share once, CPU of those that came and went, all namespaces.
    spent = {name: burnt_ns(desk, name) for name in ("unwaited", "orphans")}
    rows = sampled(desk)
    for name in kinds:
        cpu = [row["cpu_ns"] for row in rows[name]]
        assert cpu == sorted(cpu), name
        assert rows[name][-1]["cpu_ns"] >= 0.9 * spent.get(name, 0), name
        least = 8e6 if name != "prefork" else 40e6
        assert least < rows[name][-1]["rss_bytes"] < 100e6, name
    assert rows["prefork"][-1]["processes"] == 4
    assert rows["exec"][-1]["processes"] == 1

    # What a supervisor starts again is the same node, which lived on.
    [server] = others(desk, "respawn")
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: server not in of_node(desk, "respawn") and len(of_node(desk, "respawn")) == 2)
    assert {node["condition"] for node in desk.status()["nodes"]} == {"running"}

    # Conditions reach every process.
    desk.ok("fault", "set", "all", "--condition", "paused", "--name", "p")
    for name in kinds:
        assert set(of_node(desk, name).values()) == {"T"}, name
    desk.ok("fault", "clear", "p")
    for name in kinds:
        wait_for(lambda name=name: "T" not in of_node(desk, name).values())
    for name in (
        "session",
        "waits",
        "outlives",
        "prefork",
        "grouped",
        *(set(kinds) & {*OWN_NAMESPACES}),
    ):
        desk.ok("condition", name, "stopped")
        assert of_node(desk, name) == {}, name
    desk.ok("condition", "waits", "running")
    assert of_node(desk, "waits")

    # Nothing outlives the supervisor, however that ends.
    os.kill(desk.supervisor(), signal.SIGKILL)
    wait_for(lambda: not any(of_node(desk, name) for name in kinds))
    desk.ok("doctor")
    desk.assert_nothing_left()


def test_a_daemon_is_refused_with_what_to_do(desk):
    """It was "ended while starting", with a log that says that it is ready."""
    done = desk.harness("up", topology(desk, ("leaves",)), "--system", "wrapped.toml")
    assert done.returncode == 69
    assert "node leaves ended while starting: exit code 0" in done.stderr
    assert "have a program that goes into the background stay in front" in done.stderr
    desk.assert_nothing_left()
