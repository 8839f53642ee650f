"""Operations of a system's own, read from its command file: ``[send.NAME]`` with a ledger. What a
scenario may ask of a system stands there, beside how the system is asked for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.choices import did_you_mean, one_of
from harness.errors import BadFileError, HarnessError
from harness.operations import OWN_FIRST, Operation
from harness.operations.own import LEDGERS, MOST, made
from harness.scenario import shipped
from harness.scenario.tables import Table, load, with_file

KEYS = ("ledger", "to")  # of a [send.NAME], which say what it is


def read(send: Table) -> tuple[Operation, ...]:
    """Read the operations of a system's own from the ``[send]`` of a command file, in their order.
    Raises BadFileError.
    """
    known = [operation.word for operation in Operation]
    words = [word for word in send.keys if word not in known]
    if len(words) > MOST:
        raise BadFileError(
            f"{send.where}: expected at most {MOST} operations of its own, found {len(words)}"
        )
    return tuple(_one(send, OWN_FIRST + at, word, known) for at, word in enumerate(words))


def _one(send: Table, number: int, word: str, known: Iterable[str]) -> Operation:
    table = send.table(word)
    if "ledger" not in table:
        hint = did_you_mean(word, known) or "."
        raise BadFileError(
            f"{table.where}: unknown key{hint} An operation of your own says "
            f"its ledger, by which it is counted: one of {', '.join(LEDGERS)}; found none"
        )
    ledger, to = table.take("ledger", str), table.take_or_none("to", str)
    return with_file(table.where, lambda: made(number, word, ledger, to))


def of_system(name: str) -> tuple[Operation, ...]:
    """Return the operations of a system's own by its name or file; none of one that is no command
    file. Raises BadFileError.
    """
    file = Path(name)
    if not name.endswith(".toml"):
        file = shipped.root() / "systems" / f"{name}.toml"
        if ":" in name or not shipped.is_file(file):
            return ()
    return read(Table(load(file), str(file)).table("send"))


def kind(
    word: str, where: str, systems: Iterable[str], error: type[HarnessError] = BadFileError
) -> Operation:
    """Return the operation of a word: one of the harness, or one that these systems have of their
    own, the first that has it. Raises `error` where none has, beginning with `where`.
    """
    known = {operation.word: operation for operation in Operation}
    for system in systems if word not in known else ():
        for each in of_system(system):
            known.setdefault(each.word, each)
    if word not in known:
        raise error(f"{where}: {one_of(word, known)}")
    return known[word]
