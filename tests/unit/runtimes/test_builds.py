"""A program is built once for this host, by whoever asks first, and nothing else is left of it.

The tool is a script that does what cargo does to files, and counts how often it was asked.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UnavailableError
from harness.runtimes import builds
from harness.runtimes.builds import Build

TOOL = """#!/bin/sh
echo asked >> {folder}/asked
while [ "$1" != --target-dir ]; do shift; done
mkdir -p "$2/release"
printf '   Compiling one v1.0.0\\n' >&2
printf '    Building [=>   ] 1/2: one\\r    Building [===> ] 2/2: two\\r' >&2
{then}
"""
WELL = 'echo program > "$2/release/thing"; chmod +x "$2/release/thing"'


@pytest.fixture
def crate(tmp_path, monkeypatch):
    """A crate, with an empty cache and a tool that builds it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    for name in ("crate/src", "bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("Cargo.toml", "Cargo.lock", "src/main.rs"):
        (tmp_path / "crate" / name).write_text(name)
    tool(tmp_path, WELL)
    return Build(tool="cargo", source=str(tmp_path / "crate"), program="thing")


def tool(folder, then: str) -> None:
    script = folder / "bin" / "cargo"
    script.write_text(TOOL.format(folder=folder, then=then))
    script.chmod(0o755)


def asked(folder) -> int:
    log = folder / "asked"
    return len(log.read_text().split()) if log.exists() else 0


def kept(folder) -> set[str]:
    return {path.name.partition("-")[0] for path in (folder / "cache" / "p2p-harness").iterdir()}


ASKING = """
from harness.runtimes import builds
builds.make(builds.Build(tool="cargo", source="{crate}", program="thing"), lambda *_: None)
"""


def last_number(file: Path) -> int:
    return int(file.read_text() or 0) if file.exists() else 0


def wait_for(look: Callable[[], Any]) -> Any:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        if found := look():
            return found
        time.sleep(0.05)
    raise AssertionError("it did not come about in 60 s")


def silent(*_: object) -> None:
    pass


def test_it_is_built_once_and_told_of(crate, tmp_path):
    told: list[tuple[str, int, int]] = []
    made = builds.make(crate, lambda *each: told.append(each))
    assert made.read_text() == "program\n"
    what = "building thing with cargo, once for this host"
    assert told == [(what, 0, 1), (what, 2, 2), (what, 1, 1)]
    told.clear()
    assert builds.make(crate, lambda *each: told.append(each)) == made == builds.find(crate)
    assert (asked(tmp_path), told) == (1, [])
    assert kept(tmp_path) == {"thing", "thing.lock"}


@pytest.mark.parametrize("file", ["src/main.rs", "Cargo.lock", "build.rs", "texts/a"])
def test_other_sources_are_another_program(crate, tmp_path, file):
    before = builds.make(crate, silent)
    changed = tmp_path / "crate" / file
    changed.parent.mkdir(exist_ok=True)
    changed.write_text("other")
    assert builds.find(crate) is None
    assert builds.make(crate, silent) != before
    assert asked(tmp_path) == 2


def test_who_asks_meanwhile_waits(crate, tmp_path):
    tool(tmp_path, f"sleep 0.3; {WELL}")
    together = [threading.Thread(target=builds.make, args=(crate, silent)) for _ in range(3)]
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert builds.find(crate) is not None
    assert asked(tmp_path) == 1


def test_a_failure_says_what_the_tool_said_and_keeps_nothing(crate, tmp_path):
    tool(tmp_path, "echo 'error: rustc 1.63.0 is not supported' >&2; exit 101")
    with pytest.raises(UnavailableError) as caught:
        builds.make(crate, silent)
    said = str(caught.value)
    assert said.startswith("cargo could not build thing: ")
    assert said.endswith("error: rustc 1.63.0 is not supported")
    assert "Building" not in said
    assert kept(tmp_path) == {"thing.lock"}


def test_a_cache_that_cannot_be_written_is_said(crate, tmp_path):
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UnavailableError, match="thing cannot be kept in our cache: "):
        builds.make(crate, silent)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_is_built_ends_with_who_asked_for_it(crate, tmp_path, number):
    """Ctrl-C, and a kill that nothing can catch."""
    tool(tmp_path, f"sleep 60 & echo $! > {tmp_path}/running; wait")
    asking = subprocess.Popen(
        [sys.executable, "-c", ASKING.format(crate=crate.source)], stderr=subprocess.PIPE
    )
    running = wait_for(lambda: last_number(tmp_path / "running"))
    asking.send_signal(number)
    asking.communicate(timeout=60)
    wait_for(lambda: not Path(f"/proc/{running}").exists())
    if number == signal.SIGINT:
        assert kept(tmp_path) == {"thing.lock"}


def test_what_a_killed_build_left_is_taken_away(crate, tmp_path):
    left = tmp_path / "cache" / "p2p-harness" / "thing.build" / "half"
    left.mkdir(parents=True)
    builds.make(crate, silent)
    assert kept(tmp_path) == {"thing", "thing.lock"}


def test_without_the_tool_it_says_how_to_get_it(crate, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    for ask in (builds.require, lambda build: builds.make(build, silent)):
        with pytest.raises(UnavailableError, match="cargo, which builds it, is not here: install"):
            ask(crate)
    assert not (tmp_path / "cache").exists()


def test_what_is_on_the_path_is_taken(crate, tmp_path):
    mine = tmp_path / "bin" / "thing"
    mine.write_text("mine")
    mine.chmod(0o755)
    assert builds.make(crate, silent) == mine.resolve()
    assert asked(tmp_path) == 0
