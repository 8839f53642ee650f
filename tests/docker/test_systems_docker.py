"""Systems that nobody here wrote, in containers: an image of the host's program, a given image, and
a pod.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from kit.desk import ROOT, Desk
from kit.verdicts import answers

from harness.runtimes.docker.labels import container_name

pytestmark = [pytest.mark.docker, pytest.mark.systems]
TINY = ROOT / "tests" / "systems" / "tiny"
LOAD = """
topology = "three.toml"
system = "{system}"
[[phase]]
name = "load"
duration_s = 4
[[phase.stream]]
operation = "{operation}"
rate_per_s = 5
payload_bytes = 64
[[phase]]
name = "settle"
duration_s = 2
"""


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "systemsd", runtime="docker")
    made.write("three.toml", "[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def played(desk: Desk, system: str, operation: str) -> dict[str, str]:
    done = desk.harness(
        "run",
        str(desk.write("scenario.toml", LOAD.format(system=system, operation=operation))),
        "--json",
    )
    assert done.stdout, done.stderr
    return answers(json.loads(done.stdout)["findings"])


def sound(operation: str) -> dict[str, str]:
    """What every sound run without a budget says."""
    return {
        "budget": "MEASURED",
        "nodes: alive throughout": "PASS",
        f"operations that came true: {operation}": "PASS",
    }


@pytest.mark.parametrize(
    ("system", "operation", "ledger", "answer"),
    [
        ("opendht", "dht_listen", "DHT listeners: told of the values put for them", "PASS"),
        ("serf", "broadcast", "broadcasts: in the journals of all 2 other nodes", "MEASURED"),
    ],
)
def test_a_program_of_this_host_becomes_an_image(desk, system, operation, ledger, answer):
    """The image has the program and its libraries."""
    assert played(desk, system, operation) == {
        **sound(operation),
        ledger: answer,
        f"load: {operation}": "PASS",
    }


def command_file(desk: Desk, image: str, placement: str) -> None:
    shutil.copy(TINY / "tinynode.py", desk.folder)
    text = (TINY / "tinynode.toml").read_text().replace('budget = "tinynode-budget.toml"', "")
    desk.write(
        "tiny.toml",
        text.replace(
            'files = ["tinynode.py"]',
            f'files = ["tinynode.py"]\nimage = "{image}"\nplacement = "{placement}"',
        ),
    )


@pytest.mark.parametrize("placement", ["entered", "pod"])
def test_a_stranger_s_image_is_entered_or_stands_in_a_pod(desk, image, placement):
    command_file(desk, image, placement)
    assert played(desk, "tiny.toml", "broadcast") == {
        **sound("broadcast"),
        "broadcasts: in the journals of all 2 other nodes": "PASS",
        "load: broadcast": "PASS",
    }


def test_a_node_of_a_pod_is_in_its_wired_namespace(desk, image):
    """It has no rights over the namespace, and starts again in the same."""
    command_file(desk, image, "pod")
    desk.ok("up", "three.toml", "--system", "tiny.toml")
    node = desk.status()["nodes"][1]
    said = desk.ok("exec", "node-1", "--", "ip", "-o", "-4", "addr")
    assert node["address"] in said
    inode = os.stat(f"/proc/{node['pid']}/ns/net").st_ino
    assert f"[{inode}]" in os.readlink(f"/proc/{node['pid']}/ns/net")
    [effective] = [
        line.split()[1]
        for line in Path(f"/proc/{node['pid']}/status").read_text().splitlines()
        if line.startswith("CapEff")
    ]
    assert not int(effective, 16) >> 21 & 1  # CAP_SYS_ADMIN
    names = subprocess.run(
        [
            "docker",
            "ps",
            "--format",
            "{{.Names}}",
            "--filter",
            f"label=p2p-harness.cluster={desk.cluster}",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert sorted(names) == sorted(
        container_name(desk.cluster, desk.state, f"node-{index}{suffix}")
        for index in range(3)
        for suffix in ("", "-pod")
    )
    assert "tinynode listens" in desk.ok("logs", "node-1")
    desk.ok("condition", "node-1", "stopped")
    desk.ok("condition", "node-1", "running")
    again = desk.status()["nodes"][1]
    assert again["pid"] != node["pid"]
    assert os.stat(f"/proc/{again['pid']}/ns/net").st_ino == inode


def test_an_image_that_nobody_has_is_said(desk):
    command_file(desk, "nobody.invalid/tiny:1", "entered")
    done = desk.harness("up", "three.toml", "--system", "tiny.toml")
    assert done.returncode == 69
    assert "the image nobody.invalid/tiny:1 is not on this host" in done.stderr


def test_a_script_is_no_program_that_an_image_can_be_made_of(desk):
    command_file(desk, "x", "entered")
    script = desk.write("script", "#!/bin/sh\nexec python3 tinynode.py 0.0.0.0 ''\n")
    script.chmod(0o755)
    text = (
        (desk.folder / "tiny.toml")
        .read_text()
        .replace('image = "x"\n', "")
        .replace('argv = ["python3",', 'argv = ["./script",')
    )
    desk.write("tiny.toml", text)
    done = desk.harness("up", "three.toml", "--system", "tiny.toml")
    assert done.returncode == 69
    assert (
        "is a script, and an image is made of a binary and its libraries only: name an image"
        in done.stderr
    )
