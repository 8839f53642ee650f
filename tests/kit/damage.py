"""Seeded damage to a run folder, and what a judge of it must and must not say."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from harness.checks.metrics import METRICS
from harness.history import history as h
from harness.history import journal
from harness.history.gaps import ALWAYS, Part, Parts
from harness.scenario.budget import Row
from kit.run_folders import NODES, T0

SECOND = 1_000_000_000
PARTS: dict[str, Parts] = {
    "metadata.json": frozenset({Part.METADATA}),
    "events.jsonl": frozenset({Part.EVENTS}),
    "timeline.json": frozenset({Part.PLAN}),
    "topology.json": frozenset({Part.TOPOLOGY}),
    "measurements.json": frozenset({Part.MEASUREMENTS}),
    "budget.toml": frozenset({Part.BUDGET}),
    "samples.arrow": frozenset({Part.SAMPLES}),
    "host.arrow": frozenset({Part.HOST}),
    "proofs.jsonl": frozenset({Part.PROOFS}),
    "histograms.jsonl": frozenset({Part.HISTOGRAMS, Part.GAUGES}),
    "manifest.json": frozenset(Part),
}


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to a folder.

    `shows`: it shows without the old manifest too. `node`: it is about this node's record alone.
    """

    words: str
    parts: Parts
    shows: bool
    node: str | None = None


Act = Callable[[random.Random, Path], Damage]


def part_of(name: str) -> Parts:
    """Say what rests on a file of a run folder."""
    if name.startswith("load/"):
        return frozenset({Part.OPERATIONS})
    return frozenset({Part.JOURNAL}) if name.startswith("journal/") else PARTS[name]


def files(folder: Path) -> list[str]:
    """Name the files of a folder, in order, without what nothing rests on."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(found)


def node_of(name: str) -> str | None:
    """Name the node whose journal a file is."""
    return Path(name).stem if name.startswith("journal/") else None


def cut(chance: random.Random, folder: Path) -> Damage:
    """Cut a file anywhere."""
    name = chance.choice([one for one in files(folder) if one != "manifest.json"])
    data = (folder / name).read_bytes()
    at = chance.randrange(len(data))
    (folder / name).write_bytes(data[:at])
    whole_lines = name.endswith(".jsonl") and name != "events.jsonl" and data[at - 1 : at] == b"\n"
    whole_records = name.endswith(".bin") and at and (at - journal.HEADER_BYTES) % 40 == 0
    told = name == "histograms.jsonl"  # every node tells at the end of every phase
    shows = told or not (whole_lines or whole_records or name.endswith(".toml"))
    # An end of line alone is no loss; that of events, proofs and counts is asked for all the same.
    shows = shows and not (name.endswith(".json") and at >= len(data) - 1)
    return Damage(f"{name} cut at {at}", part_of(name), shows, node_of(name))


def delete(chance: random.Random, folder: Path) -> Damage:
    """Delete a file."""
    name = chance.choice(files(folder))
    (folder / name).unlink()
    shows = name not in {"budget.toml", "topology.json", "manifest.json"}
    return Damage(f"{name} deleted", part_of(name), shows, node_of(name))


def drop_node(chance: random.Random, folder: Path) -> Damage:
    """Drop all samples of a node, or all that it told."""
    index = chance.randrange(len(NODES))
    if chance.random() < 0.5:
        _filter(
            folder, "samples.arrow", h.SAMPLES, lambda table: pc.not_equal(table["node"], index)
        )
        return Damage(f"no samples of {NODES[index]}", PARTS["samples.arrow"], True, NODES[index])
    _lines(folder, "histograms.jsonl", lambda said: None if said["node"] == index else said)
    return Damage(f"{NODES[index]} told nothing", PARTS["histograms.jsonl"], True, NODES[index])


def drop_seconds(chance: random.Random, folder: Path) -> Damage:
    """Drop seconds of samples: of one it cannot be known that it was ever taken."""
    name, schema = chance.choice([("samples.arrow", h.SAMPLES), ("host.arrow", h.HOST)])
    begin, count = chance.randrange(5, 12), chance.choice([1, 4])
    from_ns, to_ns = T0 + begin * SECOND, T0 + (begin + count) * SECOND
    outside = lambda table: pc.or_(  # noqa: E731
        pc.less(table["at_ns"], from_ns), pc.greater_equal(table["at_ns"], to_ns)
    )
    _filter(folder, name, schema, outside)
    return Damage(f"{count} s of {name} from {begin} s", PARTS[name], count > 1)


def swap(chance: random.Random, folder: Path) -> Damage:
    """Swap two journals."""
    one, other = (folder / "journal" / f"{name}.bin" for name in chance.sample(NODES, 2))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    return Damage(f"{one.name} and {other.name} swapped", frozenset({Part.JOURNAL}), True)


def repeat(chance: random.Random, folder: Path) -> Damage:
    """Repeat records of a journal, or a line."""
    name = chance.choice([f"journal/{chance.choice(NODES)}.bin", "proofs.jsonl"])
    data = (folder / name).read_bytes()
    more = data[-40:] if name.endswith(".bin") else data[data[:-1].rindex(b"\n") + 1 :]
    (folder / name).write_bytes(data + more * chance.randrange(1, 5))
    return Damage(f"{name} repeats", part_of(name), False, node_of(name))


def tear(chance: random.Random, folder: Path) -> Damage:
    """Take some bytes out of the middle of a journal, as a kill does that another life follows."""
    node = chance.choice(NODES)
    path = folder / "journal" / f"{node}.bin"
    data = path.read_bytes()
    at = journal.HEADER_BYTES + 40 * chance.randrange((len(data) - 64) // 40)
    kept = chance.randrange(1, 40)
    path.write_bytes(data[: at + kept] + data[at + 40 :])
    return Damage(f"{path.name} torn at {at} + {kept}", frozenset({Part.JOURNAL}), True, node)


def garble(chance: random.Random, folder: Path) -> Damage:
    """Put a byte that is no UTF-8 into a line."""
    name = chance.choice(["events.jsonl", "proofs.jsonl", "histograms.jsonl"])
    data = bytearray((folder / name).read_bytes())
    data[chance.randrange(len(data))] = 0xFF
    (folder / name).write_bytes(data)
    return Damage(f"{name} garbled", part_of(name), name != "proofs.jsonl")


def retype(chance: random.Random, folder: Path) -> Damage:
    """Put a value of a wrong type into a line."""
    name = chance.choice(["events.jsonl", "proofs.jsonl", "histograms.jsonl"])
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    at = chance.randrange(len(lines))
    said = json.loads(lines[at])
    key = chance.choice(sorted(said.keys() - {"event"}))
    said[key] = chance.choice([[1], {"a": 1}, "words", 1e400, 10**30])
    lines[at] = json.dumps(said).encode() + b"\n"
    (folder / name).write_bytes(b"".join(lines))
    return Damage(f"{name} line {at} {key} {said[key]!r}", part_of(name), False)


def change(chance: random.Random, folder: Path) -> Damage:
    """Change a byte of any file: a time, a count, a name, a table's own numbers."""
    name = chance.choice(files(folder))
    data = bytearray((folder / name).read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(data)
    return Damage(f"{name} byte {at} changed", part_of(name), False, node_of(name))


def drop_line(chance: random.Random, folder: Path) -> Damage:
    """Delete a proof, an event, or what a node told."""
    name = chance.choice(["events.jsonl", "proofs.jsonl", "histograms.jsonl"])
    lines = (folder / name).read_bytes().splitlines(keepends=True)
    del lines[chance.randrange(len(lines))]
    (folder / name).write_bytes(b"".join(lines))
    return Damage(f"{name} lacks a line", part_of(name), name == "histograms.jsonl")


ACTS: tuple[Act, ...] = (
    cut,
    delete,
    drop_node,
    drop_seconds,
    swap,
    repeat,
    tear,
    garble,
    retype,
    change,
    drop_line,
)


def _filter(folder: Path, name: str, schema: pa.Schema, keep: Callable[[pa.Table], object]) -> None:
    with pa.ipc.open_stream((folder / name).read_bytes()) as stream:
        table = stream.read_all()
    with pa.ipc.new_stream(str(folder / name), schema) as writer:
        writer.write_table(table.filter(keep(table)))


def _lines(folder: Path, name: str, make: Callable[[dict], dict | None]) -> None:
    said = [make(json.loads(line)) for line in (folder / name).read_text().splitlines()]
    text = "".join(json.dumps(one) + "\n" for one in said if one is not None)
    (folder / name).write_text(text)


def needs_of(row: Row) -> Parts:
    """Say what a row rests on, beside what everything does."""
    needs = METRICS[row.metric].needs | ALWAYS
    return needs | ({Part.PROOFS, Part.PLAN} if row.conditions.under else set())
