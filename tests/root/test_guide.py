"""The guide to a node of one's own, typed word by word: each file and command of
docs/your-own-node.md, and what it says that comes of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from kit import walkthrough
from kit.desk import Desk
from kit.walkthrough import File

pytestmark = [pytest.mark.root, pytest.mark.redis]
FILES = {step.name: step.text for step in walkthrough.steps() if isinstance(step, File)}
SYSTEM = "my-redis.toml"
LONGEST_S = 240


@pytest.fixture
def desk(tmp_path):
    made = Desk(tmp_path, "guide")
    yield made
    made.harness("down")
    made.assert_nothing_left()
    made.close()


def typed(desk: Desk, line: str) -> str:
    """What a line says that is typed into a shell, in which `harness` is on PATH."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", line],
        cwd=desk.folder,
        env={**desk.environment, "PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
        check=False,
    ).stdout


def test_all_comes_of_it_that_is_shown(desk):
    for step in walkthrough.steps():
        if isinstance(step, File):
            desk.write(step.name, step.text)
            continue
        said = typed(desk, step.line)
        assert walkthrough.missing(step.shows, said) == [], (step.line, said)
