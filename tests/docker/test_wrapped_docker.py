"""A node is all that its program starts, in a container that enters its namespace and in a pod."""

from __future__ import annotations

import os
import signal

import pytest
from kit.desk import Desk, wait_for
from kit.wrapped import burnt_ns, copy, of_node, others, sampled, topology

pytestmark = [pytest.mark.docker, pytest.mark.systems]
KINDS = ("respawn", "prefork", "unwaited", "orphans")


@pytest.mark.parametrize("placement", ["entered", "pod"])
def test_whatever_a_program_starts_is_its_node(tmp_path, image, placement):
    desk = Desk(tmp_path, "wrapped", runtime="docker")
    try:
        copy(tmp_path)
        given = f'[start]\nimage = "{image}"\nplacement = "{placement}"\n'
        file = tmp_path / "wrapped.toml"
        text = file.read_text().replace("[start]\n", given)
        file.write_text(text.replace('"sh", "{directory}/wrap.sh"', '"python3", "server.py"'))
        desk.ok("up", topology(desk, KINDS), "--system", "wrapped.toml")

        spent = {name: burnt_ns(desk, name) for name in ("unwaited", "orphans")}
        rows = sampled(desk)
        assert all(rows[name][-1]["cpu_ns"] >= 0.9 * used for name, used in spent.items())
        assert 40e6 < rows["prefork"][-1]["rss_bytes"] < 100e6
        assert rows["prefork"][-1]["processes"] == 4

        [server] = others(desk, "respawn")
        os.kill(server, signal.SIGKILL)
        wait_for(lambda: server not in of_node(desk, "respawn"))
        wait_for(lambda: len(of_node(desk, "respawn")) == 2)
        assert {node["condition"] for node in desk.status()["nodes"]} == {"running"}

        for name in KINDS:
            desk.ok("condition", name, "paused")
            assert set(of_node(desk, name).values()) == {"T"}, name
            desk.ok("condition", name, "stopped")
            assert of_node(desk, name) == {}, name
        desk.ok("condition", "prefork", "running")
        assert len(of_node(desk, "prefork")) == 4
        desk.ok("down")
        desk.assert_nothing_left()
    finally:
        desk.close()
