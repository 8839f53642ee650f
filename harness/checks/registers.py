"""The DHT as registers: who wrote what under each key, and who read what of it. Pure.

An operation took effect at one moment between its sending and its end, as its sender was told. A
put without an answer may have taken effect at any time since, or never; one that failed did not,
unless somebody read its value. A get that brought no value tells nothing of the key.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from harness.checks.silences import FOR_EVER_NS
from harness.history.history import History, once
from harness.operations import Operation, Outcome
from harness.operations.operation import ID_BYTES
from harness.scenario.schedule import EARLY_STREAM, IDENTIFIER

NOBODY = -1


@dataclass(frozen=True, slots=True)
class Put:
    """A value, which is the operation's id, as it was written. CLOCK_MONOTONIC ns.

    `end_ns` FOR_EVER_NS: nobody acknowledged it. `node`: the index of who sent it, NOBODY where
    the record does not tell.
    """

    value: bytes
    begin_ns: int
    end_ns: int
    outcome: Outcome
    node: int = NOBODY

    @property
    def is_acknowledged(self) -> bool:
        """Whether its sender was told that it is stored."""
        return self.outcome is Outcome.OK


@dataclass(frozen=True, slots=True)
class Get:
    """A read that was sent. CLOCK_MONOTONIC ns. `value` None: it brought none, or none is told.

    `node`: as of a put.
    """

    value: bytes | None
    begin_ns: int
    end_ns: int
    outcome: Outcome
    node: int = NOBODY

    @property
    def is_told(self) -> bool:
        """Whether it brought a value that the record tells."""
        return self.outcome is Outcome.OK and self.value is not None


@dataclass(slots=True)
class Register:
    """What became of one key, its puts by their values."""

    key: bytes
    puts: dict[bytes, Put] = field(default_factory=dict)
    gets: list[Get] = field(default_factory=list)

    @property
    def acknowledged_ns(self) -> int:
        """When its first put was acknowledged; FOR_EVER_NS: none was."""
        ends = (put.end_ns for put in self.puts.values() if put.is_acknowledged)
        return min(ends, default=FOR_EVER_NS)


@dataclass(frozen=True, slots=True)
class Registers:
    """All keys that were read.

    `keys`: operation → the key that it named; `acknowledged`: how many keys have a put that was;
    `untold`: how many gets brought a value that the record does not tell; `keyless`: of how many
    puts it does not tell the key.
    """

    read: Mapping[bytes, Register]
    keys: Mapping[bytes, bytes]
    acknowledged: int
    untold: int
    keyless: int

    @property
    def not_told(self) -> str | None:
        """Say what the record does not tell of what was read; None where it tells all."""
        said = [f"which values {self.untold:,} gets brought"] if self.untold else []
        if self.keyless and self.read:
            said.append(f"under which keys {self.keyless:,} puts wrote")
        return f"the record does not tell {', and '.join(said)}" if said else None


@once
def of(history: History) -> Registers:
    """Find the registers of a run in its operations and values."""
    table = history.values
    named = [table.column(name).to_pylist() for name in ("id", "key", "value")]
    keys = dict(zip(named[0], named[1], strict=True))
    values = dict(zip(named[0], named[2], strict=True))
    made: dict[bytes, Register] = {}
    recorded, keyless, untold = set[bytes](), set[bytes](), 0
    for id_, kind, begin_ns, end_ns, how, node in _ended(history):
        recorded.add(id_)
        if not begin_ns:
            continue  # it was never sent
        is_get, value = kind == Operation.DHT_GET, values.get(id_)
        untold += is_get and how is Outcome.OK and value is None
        if id_ not in keys:
            keyless |= set() if is_get else {id_}
            continue
        register = made.setdefault(keys[id_], Register(keys[id_]))
        if is_get:
            register.gets.append(Get(value, begin_ns, end_ns, how, node))
        else:
            register.puts[id_] = Put(id_, begin_ns, end_ns, how, node)
    for id_ in _early(named[0]):
        made.setdefault(keys[id_], Register(keys[id_])).puts[id_] = Put(id_, 0, 0, Outcome.OK)
    acknowledged = sum(one.acknowledged_ns < FOR_EVER_NS for one in made.values())
    read = {key: register for key, register in made.items() if register.gets}
    unknown = _under_way(history) | keyless
    for register in read.values():
        _add_unknown(register, keys, recorded, unknown)
    return Registers(read, keys, acknowledged, untold, len(keyless))


def _early(ids: list[bytes]) -> set[bytes]:
    """Those of the puts that the load made before its clock started: they were acknowledged, and no
    operation tells of them.
    """
    if not ids:
        return set()
    streams = np.frombuffer(b"".join(ids), IDENTIFIER)["stream"]
    return {ids[at] for at in np.flatnonzero(streams == EARLY_STREAM).tolist()}


def _ended(history: History) -> Iterator[tuple[bytes, int, int, int, Outcome, int]]:
    """The puts and gets: id, kind, begin (0: never sent), end, outcome, who was to send it."""
    kinds = history.column("operation")
    mine = (kinds == Operation.DHT_PUT) | (kinds == Operation.DHT_GET)
    ids = history.operations.column("id").filter(pa.array(mine)).to_pylist()
    columns = (
        history.column(name)[mine].tolist()
        for name in ("operation", "sent_ns", "done_ns", "outcome", "source")
    )
    for id_, kind, sent_ns, done_ns, outcome, node in zip(ids, *columns, strict=True):
        how = Outcome(outcome)
        yield id_, kind, sent_ns, done_ns if how is Outcome.OK else FOR_EVER_NS, how, node


def _under_way(history: History) -> set[bytes]:
    """The operations that a look at a run under way does not tell of yet."""
    open_ = history.under_way.tobytes()
    return {open_[at : at + ID_BYTES] for at in range(0, len(open_), ID_BYTES)}


def _add_unknown(
    register: Register, keys: Mapping[bytes, bytes], recorded: set[bytes], unknown: set[bytes]
) -> None:
    """Add the puts that were read, and of which is not known how they ended, or not even their
    key.
    """
    for value in {get.value for get in register.gets if get.value is not None}:
        is_of_it = keys[value] == register.key if value in keys else value in unknown
        if value not in register.puts and is_of_it and (value in unknown or value not in recorded):
            register.puts[value] = Put(value, 0, FOR_EVER_NS, Outcome.UNKNOWN)
