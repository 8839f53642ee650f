"""Exemptions of a command file: what its system may do with an operation that another may not."""

from __future__ import annotations

from collections.abc import Collection

from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError
from harness.operations import Operation
from harness.operations.promises import COVERS, words_for
from harness.scenario.tables import Table


def read(table: Table, operations: Collection[Operation]) -> dict[str, tuple[str, ...]]:
    """Read ``exempt = { OPERATION = WORD or [WORD, …] }``. Raises BadFileError."""
    found, words = table.rest(), [one.word for one in operations]
    made = {}
    for word, said in found.items():
        if word not in words:
            raise BadFileError(
                f"{table.where}: the file has no send.{word}{did_you_mean(word, words)}; possible: "
                f"{', '.join(words)}"
            )
        where = f"{table.where}.{word}"
        each = said if isinstance(said, list) else [said]
        if not each:
            raise BadFileError(f"{where}: {one_of('', COVERS)}")
        operation = next(one for one in operations if one.word == word)
        made[word] = tuple(_checked(one, operation, where) for one in each)
    return made


def _checked(said: object, operation: Operation, where: str) -> str:
    if not isinstance(said, str) or said not in COVERS:
        raise BadFileError(f"{where}: {one_of(said, COVERS)}")
    if said not in (possible := words_for(operation)):
        raise BadFileError(
            f"{where}: {said!r} exempts from nothing that a {operation.word} is held to; possible: "
            f"{', '.join(possible) or 'none'}"
        )
    return said
