"""What docs/your-own-node.md has a stranger write is good, and what it says goes wrong does."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from kit import walkthrough
from kit.walkthrough import Command, File

from harness.errors import HarnessError
from harness.experiments import validation

STEPS = list(walkthrough.steps())
FILES = {step.name: step.text for step in STEPS if isinstance(step, File)}
WRONG = walkthrough.mistakes("### Said by")
SYSTEM = "my-redis.toml"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """What is written in the guide, on a host that has Redis."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "redis-server").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_guide_has_files_and_commands_in_turn():
    assert [step.name for step in STEPS if isinstance(step, File)] == list(FILES)
    assert list(FILES) == [SYSTEM, "first.toml", "promises.toml", "killed.toml"]
    assert sum(isinstance(step, Command) for step in STEPS) >= 10


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (SYSTEM, "system"),
        ("first.toml", "scenario"),
        ("promises.toml", "budget"),
        ("killed.toml", "scenario"),
    ],
)
def test_each_file_of_the_guide_is_good(folder, name, kind):
    assert validation.validate(folder / name).kind == kind


@pytest.mark.parametrize("mistake", WRONG, ids=lambda mistake: mistake.found)
def test_check_says_what_the_guide_says(folder, mistake):
    file = folder / SYSTEM
    file.write_text(mistake.made(FILES[SYSTEM]))
    with pytest.raises(HarnessError) as refused:
        validation.validate(file)
    assert mistake.lacks(f"{refused.value}".replace(f"{folder}/", "")) == []


def test_what_is_shown_is_looked_for_in_order_and_numbers_are_not():
    said = "one 1\nPASS in 3.5 s\n  three\n"
    assert walkthrough.missing(["one 7", "…", "three"], said) == []
    assert walkthrough.missing(["FAIL in 3.5 s"], said) == ["FAIL in 3.5 s"]
    assert walkthrough.missing(["three", "one 1"], said) == ["one 1"]


def test_the_shipped_redis_says_to_redis_what_the_guide_does():
    """What is in the guide and in systems/redis.toml does not drift apart."""
    shipped = (Path(validation.shipped.root()) / "systems" / "redis.toml").read_text()
    prepare = next(line for line in FILES[SYSTEM].splitlines() if line.startswith("prepare"))
    assert prepare in shipped
    for line in re.findall(r"^(?:ok|length|end|to) = \S+", FILES[SYSTEM], re.MULTILINE):
        assert line in shipped, line
