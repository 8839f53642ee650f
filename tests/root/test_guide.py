"""The guide to a node of one's own, typed word by word: each file and command of
docs/your-own-node.md, and what it says that comes of them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from kit import walkthrough
from kit.desk import Desk
from kit.walkthrough import File, Mistake

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
        said = typed(desk, step.line).replace(desk.cluster, "main")
        assert walkthrough.missing(step.shows, said) == [], (step.line, said)


BRIEF = "silence_s = 8\n[nodes]\ncount = 3\n[shape]\nkind = 'full-mesh'\n"


def test_what_goes_wrong_looks_as_shown(tmp_path):
    """Each mistake of the guide that a check cannot see, on three nodes; all at once."""
    of_up = [(one, "up three.toml") for one in walkthrough.mistakes("### Said by `harness up`")]
    of_run = [(one, "run first.toml") for one in walkthrough.mistakes("### Said by the verdict")]
    assert (len(of_up), len(of_run)) == (4, 2)
    with ThreadPoolExecutor(len(of_up) + len(of_run)) as threads:
        said = threads.map(lambda case: made_wrong(tmp_path, *case), [*of_up, *of_run])
        for (mistake, _), output in zip([*of_up, *of_run], said, strict=True):
            assert mistake.lacks(output) == [], output


def made_wrong(folder: Path, mistake: Mistake, command: str) -> str:
    """What comes of a mistake, in a state folder of its own."""
    here = folder / str(abs(hash(mistake)))
    here.mkdir()
    desk = Desk(here, "wrong")
    try:
        for name, text in FILES.items():
            desk.write(name, text.replace('"cluster-10"', '"three.toml"'))
        desk.write("three.toml", BRIEF)
        desk.write(SYSTEM, mistake.made(FILES[SYSTEM]))
        return typed(desk, f"COLUMNS=400 harness {command} --system {SYSTEM}")
    finally:
        desk.harness("down")
        desk.assert_nothing_left()
        desk.close()
