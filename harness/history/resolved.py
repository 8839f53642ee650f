"""Resolved faults: on which paths each fault was that came, as faults.jsonl keeps them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.errors import BadFileError
from harness.history import shape

Block = tuple[frozenset[str], frozenset[str]]  # each of the first to each other of the second
FIELDS: Mapping[str, Any] = dict.fromkeys(("paths", "far"), list[tuple[list[str], list[str]]])


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedFault:
    """The paths that a fault was on, or, of a cut, between whom nothing passed.

    `number` is what events name it by.
    """

    number: int
    paths: tuple[Block, ...] = ()
    far: tuple[Block, ...] = ()

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> ResolvedFault:
        """Read a line of faults.jsonl. Raises BadFileError."""
        if wrong := shape.misses(said, {"number": int, **FIELDS}):
            raise BadFileError(wrong)
        return cls(number=said["number"], paths=_blocks(said["paths"]), far=_blocks(said["far"]))


def _blocks(said: Iterable[Any]) -> tuple[Block, ...]:
    return tuple((frozenset(sources), frozenset(targets)) for sources, targets in said)
