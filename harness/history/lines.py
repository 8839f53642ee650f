"""Files of JSON lines, read as far as they can be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.errors import BadFileError
from harness.history.manifest import Content

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Break:
    """A place at which something cannot be read: after so many of those that can; and why."""

    after: int
    why: str


def read(
    name: str, content: Content, make: Callable[[Mapping[str, Any]], T], first: int = 1
) -> tuple[list[T], list[Break]]:
    """Make something of each line; `make` raises BadFileError for what it cannot use.

    `first`: the number of its first line. What is torn, no UTF-8, no JSON, or of wrong types is
    left out and told.
    """
    found: list[T] = []
    breaks: list[Break] = []
    lines = content.text.split(b"\n")
    last = first + len(lines) - 1
    for number, line in enumerate(lines, first):
        if not line:
            continue
        if number == last and not content.wrong:
            breaks.append(Break(after=len(found), why=f"{name}: line {number} is torn"))
            continue
        if number == last:
            continue
        try:
            said = json.loads(line.decode())
            if not isinstance(said, dict):
                raise BadFileError("expected a table")
            found.append(make(said))
        except (ValueError, RecursionError, BadFileError) as error:
            why = f"{name}: line {number} cannot be read: {str(error)[:120]}"
            breaks.append(Break(after=len(found), why=why))
    if content.wrong:
        breaks.append(Break(after=len(found), why=content.wrong))
    return found, breaks
