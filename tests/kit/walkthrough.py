"""A walk through the harness that a page of docs shows: files to write, and commands to type with
what comes of them. What is shown is what is played.

In the part of the page below a heading, a fence of TOML whose first line is ``# NAME.toml`` is a
file, and in a fence of the console each line that begins with ``$`` is a command; lines below it
are of its output. ``…`` stands for lines that are left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

GUIDE = Path(__file__).parents[2] / "docs" / "your-own-node.md"
HEADING = "## Ten minutes with Redis"
FENCE = re.compile(r"^```(toml|console)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d[\d,.:T-]*")
LEFT_OUT = "…"


@dataclass(frozen=True)
class File:
    """A file to write."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command to type, and the lines of its output that are shown."""

    line: str
    shows: tuple[str, ...]


def part(page: Path = GUIDE, heading: str = HEADING) -> str:
    """The text of a page from a heading to the next one as high."""
    _, found, rest = page.read_text().partition(f"{heading}\n")
    assert found, f"{page.name} has no {heading!r}"
    return re.split(r"^## ", rest, maxsplit=1, flags=re.MULTILINE)[0]


def steps(page: Path = GUIDE, heading: str = HEADING) -> Iterator[File | Command]:
    """What is to be done, in order."""
    for kind, text in FENCE.findall(part(page, heading)):
        if kind == "toml":
            name = re.match(r"# (\S+\.toml)\n", text)
            assert name is not None, f"a file without a name: {text[:80]!r}"
            yield File(name[1], text)
            continue
        for command in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
            line, *shows = command.rstrip("\n").split("\n")
            yield Command(line, tuple(each for each in shows if each.strip()))


@dataclass(frozen=True)
class Mistake:
    """A row of a table: what is written instead of what, and what is said then; ``…`` stands for
    what is left out.
    """

    instead_of: str
    found: str
    says: str

    def made(self, text: str) -> str:
        """The file with the mistake in it."""
        assert text.count(self.instead_of) == 1, self
        return text.replace(self.instead_of, self.found)

    def lacks(self, said: str) -> list[str]:
        """The parts of what is said that are not there, in their order; numbers may be others."""
        rest, lacking = _plain(said), []
        for part_ in (_plain(each.strip(" `")) for each in self.says.split(LEFT_OUT)):
            _, found, after = rest.partition(part_) if part_ else ("", part_, rest)
            if found or not part_:
                rest = after
            else:
                lacking.append(part_)
        return lacking


def mistakes(heading: str, page: Path = GUIDE) -> list[Mistake]:
    """The rows of the table below a heading that begins so: instead of, you write, says."""
    _, found, rest = page.read_text().partition(f"\n{heading}")
    assert found, f"{page.name} has no {heading!r}"
    table = re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("| `")]
    return [Mistake(*(cell.strip().strip("`").strip() for cell in row)) for row in rows]


def missing(shows: Sequence[str], output: str) -> list[str]:
    """The shown lines that the output does not have, in their order; numbers may be others."""
    said = iter([_plain(line) for line in output.splitlines()])
    return [line for line in shows if line != LEFT_OUT and _plain(line) not in said]


def _plain(line: str) -> str:
    return " ".join(NUMBER.sub("N", line).split())
