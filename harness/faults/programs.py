"""The program that nodes start with from a restart on, instead of their own: another command,
another image, or both. Values.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

from harness.choices import possible
from harness.errors import BadFileError

PROGRAM, ARGUMENTS = "program", "arguments"
FIELDS = (PROGRAM, ARGUMENTS, "name", "index", "address", "directory")
OWN = f"{{{PROGRAM}}} {{{ARGUMENTS}}}"  # the command that the system gave the node
FIELD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a node starts with. Raises BadFileError.

    `command` is a shell's words, without a shell: ``{program}`` and ``{arguments}`` stand for what
    the system gave the node, the other FIELDS for the node's own. `image` empty: the node's own.
    """

    command: str = OWN
    image: str = ""

    def __post_init__(self) -> None:
        if not _words(self.command):
            raise BadFileError("command: expected a program and its arguments, found nothing")
        for name in FIELD.findall(self.command):
            if name not in FIELDS:
                said = possible(f"{{{name}}}", (f"{{{one}}}" for one in FIELDS))
                raise BadFileError(f"command: there is no field {{{name}}}{said}")

    @property
    def file(self) -> str | None:
        """The program's name or path, as far as it is the same one for every node; None: it is each
        node's own.
        """
        first = _words(self.command)[0]
        return None if FIELD.search(first) else first

    @property
    def words(self) -> str:
        """What it is, as a person says it, without what only its owner knows."""
        other = ["another command"] if self.command != OWN else []
        return (
            " of ".join([*other, *(["another image"] if self.image else [])]) or "its own command"
        )

    def argv(self, own: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
        """Return the command of a node whose own is this one; `values` fill in the fields."""
        found: list[str] = []
        known = {**values, PROGRAM: own[0]}
        for word in _words(self.command):
            if word == f"{{{ARGUMENTS}}}":
                found += own[1:]
            else:
                found.append(FIELD.sub(lambda match: known.get(match[1], match[0]), word))
        return tuple(found)

    def as_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Read what `as_json` said. Raises TypeError, BadFileError."""
        return cls(**said)


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise BadFileError(f"command: {error}: {command!r}") from None
