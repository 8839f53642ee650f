"""Docs that are generated are up to date, and what they show is accepted."""

from __future__ import annotations

import importlib.util
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest

from harness.cli import main
from harness.network.injectors import injector
from harness.operations import Operation
from harness.scenario import files
from harness.systems import adapter, adapters

ROOT = Path(__file__).parent.parent.parent
ADDING = ROOT / "docs" / "adding.md"
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES += sorted((ROOT / "docs").glob("*.md"))
FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINE_COLUMNS_MAX = 100
# Beside the rooms: names of earlier versions, and what the build puts there.
NO_ROOMS = {"adapters/", "ports.py", "py.typed", "_data/", "__pycache__/"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def loaded(path: Path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def generator():
    return loaded(ROOT / "scripts" / "make_docs.py")


def fences(page: Path) -> list[str]:
    return FENCE.findall(page.read_text())


def codes(page: Path) -> list[str]:
    """What stands in backticks, a text each, and the lines of fences, of what is typed without its
    prompt.
    """
    spans = re.findall(r"`([^`]+)`", FENCE.sub("", page.read_text()))
    lines = [line.removeprefix("$ ") for fence in fences(page) for line in fence.splitlines()]
    return [" ".join(span.split()) for span in spans] + lines


def test_files_page_is_what_the_tables_say():
    assert generator().page() == (ROOT / "docs" / "files.md").read_text(), (
        "run: python scripts/make_docs.py"
    )


def test_python_page_is_what_the_docstrings_say():
    said = loaded(ROOT / "scripts" / "make_python_docs.py").page()
    assert said == (ROOT / "docs" / "python.md").read_text(), (
        "run: python scripts/make_python_docs.py"
    )


def test_the_examples_on_the_page_are_good_files():
    topology, _, budget = re.findall(r"```toml\n(.*?)```", generator().page(), re.DOTALL)
    assert len(files.topology_from(tomllib.loads(topology), "page", "page").nodes) == 101
    assert files.budget_from(tomllib.loads(budget), "page", "page").rows


def test_links_between_documents_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pages
def test_every_path_that_a_page_names_exists(page):
    """Paths in backticks that begin with a folder of this repository; NAME and <name> are the
    reader's to fill in.
    """
    missing = []
    for span in re.findall(r"`([\w.*/-]+/[\w.*/-]*)`", page.read_text()):
        top, rest = span.split("/", 1)
        if top == "runs" or not (ROOT / top).is_dir() or "NAME" in span:
            continue
        if not (list((ROOT / top).glob(rest)) if rest else [top]):
            missing.append(span)
    assert missing == []


@pages
def test_every_command_that_a_page_shows_is_one(page):
    """Commands of `harness`, with their options, and targets of make."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    wrong = []
    for code in codes(page):
        if target := re.match(r"make ([a-z-]+)(?=[ `]|$)", code):
            wrong += [code] if target[1] not in targets else []
        elif code.startswith("harness "):
            wrong += [f"{code}: {why}" for why in [refusal(code)] if why is not None]
    assert wrong == []


def refusal(shown: str) -> str | None:
    """Why the command line refuses a command; None where it takes it. A command without arguments
    is only a name.
    """
    words = shlex.split(re.split(r" [|&#]| ─", shown)[0])[1:]
    command: click.Command = main
    while words and isinstance(command, click.Group):
        name = words.pop(0)
        if name not in command.commands:
            return f"there is no command {name!r}"
        command = command.commands[name]
    if not words:
        return None
    try:
        command.make_context(command.name, words)
    except click.exceptions.Exit:  # --help
        return None
    except click.UsageError as error:
        return error.format_message()
    return None


def test_the_page_of_systems_says_what_each_can_do():
    """Each shipped system has a column, in the order of the table, and each operation a row."""
    lines = (ROOT / "docs" / "systems.md").read_text().splitlines()
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line[:1] == "|"]
    assert rows[0][1:] == list(adapters.TABLE)
    shown = {row[0].strip("`"): row[1:] for row in rows}
    systems = [adapters.named(name) for name in adapters.TABLE]
    for operation in Operation:
        can = [operation in system.operations for system in systems]
        counted = [operation.word in system.exempt for system in systems]
        words = ["counted" if exempt else "yes" for exempt in counted]
        expected = [word if able else "–" for able, word in zip(can, words, strict=True)]
        assert shown[operation.word] == expected, operation.word


@pages
def test_lines_of_a_page_are_not_wide(page):
    """All but tables' and those of a file that is shown."""
    wide = [
        line
        for line in FENCE.sub("", page.read_text()).splitlines()
        if len(line) > LINE_COLUMNS_MAX and not line.startswith("|")
    ]
    assert wide == []


def test_the_rooms_are_what_is_in_the_house():
    """The drawing in architecture.md has every entry of harness/, at the rank that the
    architecture test holds it to.
    """
    drawn, rank = {}, 0
    for line in fences(ROOT / "docs" / "architecture.md")[0].splitlines():
        number, name = re.match(r"(\d?)\s+([\w.]+/?)\s+\S", line).groups()
        rank = int(number or rank)
        drawn[name] = rank
    ranks = loaded(ROOT / "tests" / "test_architecture.py").RANK
    entries = {entry.name + "/" * entry.is_dir() for entry in (ROOT / "harness").iterdir()}
    assert drawn == {
        name: ranks[name.removesuffix("/").removesuffix(".py")] + 1 for name in entries - NO_ROOMS
    }


def test_a_walk_names_rooms_that_exist_and_none_twice():
    walks = [fence for fence in fences(ROOT / "docs" / "architecture.md") if " → " in fence]
    assert len(walks) == 4
    house = ROOT / "harness"
    for walk in walks:
        rooms = [room.strip() for room in walk.split("→")]
        assert len(set(rooms)) == len(rooms), walk
        for room in rooms:
            found = [house / room, house / f"{room}.py", house / "network" / room]
            assert room == "the node" or any(path.exists() for path in found), room


def test_the_coverage_page_has_every_row_of_every_budget():
    """It has no other row."""
    module = loaded(ROOT / "scripts" / "make_coverage.py")
    wanted = [
        line.split("|")[1:4]
        for line in module.page(ROOT / "no-runs").splitlines()
        if line.startswith("|")
    ]
    shown = [
        line.split("|")[1:4]
        for line in (ROOT / "docs" / "coverage.md").read_text().splitlines()
        if line.startswith("|")
    ]
    assert shown == wanted, "run: python scripts/make_coverage.py"


def test_the_no_ops_of_adding_have_what_their_ports_want():
    """The examples in adding.md are whole: they run, and lack no member of a port."""
    known: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", ADDING.read_text(), re.DOTALL):
        exec(block, known)
    for part, port in (
        ("Idle", adapter.DrivenAdapter),
        ("Driver", adapter.Driver),
        ("Nothing", injector.Injector),
    ):
        assert members(port) <= set(dir(known[part])), part
    assert known["check"](None) == []


def members(port: type) -> set[str]:
    """What a Protocol, and those that it extends, want."""
    kinds = [kind for kind in port.__mro__ if kind.__module__.startswith("harness.")]
    names = {name for kind in kinds for name in [*vars(kind), *kind.__annotations__]}
    return {name for name in names if not name.startswith("_")}
