"""Seeded damage to a run folder, by kind, and what rests on what was damaged."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checks.metrics import METRICS
from harness.history import history as h
from harness.history import journal
from harness.history.gaps import ALWAYS, Part, Parts
from harness.history.manifest import SEGMENT_BYTES
from harness.scenario.budget import Row
from kit import alterations as alter
from kit.run_folders import NODES, T0, TIMELINE, at_ns

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
    "faults.jsonl": frozenset({Part.FAULTS}),
    "proofs.jsonl": frozenset({Part.PROOFS}),
    "histograms.jsonl": frozenset({Part.HISTOGRAMS, Part.GAUGES}),
    "manifest.json": frozenset(Part),
}
LINES = ("events.jsonl", "proofs.jsonl", "histograms.jsonl")
JSON = ("metadata.json", "timeline.json", "topology.json", "measurements.json", "manifest.json")
TABLES = {"samples.arrow": h.SAMPLES, "host.arrow": h.HOST}
OPERATIONS = frozenset({Part.OPERATIONS})


@dataclass(frozen=True, slots=True)
class Damage:
    """What was done to a folder, and what of it shows where the manifest was made anew.

    `shows`: whether the verdict must be UNKNOWN then. `gone`: parts that no row may be PASS on
    then. `phase`, `nodes`: it is about that one, or these, alone.
    """

    words: str
    shows: bool
    gone: Parts = frozenset()
    phase: str | None = None
    nodes: frozenset[str] = frozenset()


Act = Callable[[random.Random, Path], Damage]


def part_of(name: str) -> Parts:
    """Say what rests on a file of a run folder."""
    if name.startswith("load/"):
        return OPERATIONS
    return frozenset({Part.JOURNAL}) if name.startswith("journal/") else PARTS[name]


def nodes_of(names: Iterable[str]) -> frozenset[str]:
    """Name the nodes whose record these files are; empty: of all."""
    if any(not name.startswith("journal/") for name in names):
        return frozenset()
    return frozenset(Path(name).stem for name in names)


def files(folder: Path) -> list[str]:
    """Name the files of a folder, in order."""
    found = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return sorted(found)


def changed(good: Path, folder: Path) -> dict[str, bool]:
    """Name the files that are not as they were, and whether their first segment differs: then the
    old manifest lets nothing of them be believed.
    """
    found = {}
    for name in sorted({*files(good), *files(folder)}):
        before, now = (
            (one / name).read_bytes() if (one / name).is_file() else b"" for one in (good, folder)
        )
        if before != now:
            found[name] = before[:SEGMENT_BYTES] != now[:SEGMENT_BYTES]
    return found


def touched(names: Iterable[str]) -> list[Damage]:
    """Say of each changed file what rests on it, and of whom it is."""
    return [Damage(name, shows=True, gone=part_of(name), nodes=nodes_of([name])) for name in names]


def disbelieved(folder: Path, files_changed: Mapping[str, bool]) -> list[Damage]:
    """Say what may not be believed while the old manifest stands, file by file."""
    names = [name for name, is_first in files_changed.items() if is_first]
    if (folder / "manifest.json").is_file():
        names = [name for name in names if name != "manifest.json"]
    return touched(names)


def needs_of(row: Row) -> Parts:
    """Say what a row rests on, beside what everything does."""
    needs = METRICS[row.metric].needs | ALWAYS
    return needs | ({Part.PROOFS, Part.PLAN} if row.conditions.under else set())


def rests_on(row: Row, damages: Iterable[Damage]) -> bool:
    """Whether a row needs something that is gone by one of these (of its phase, of its nodes)."""
    metric, named = METRICS[row.metric], row.conditions.node

    def by(one: Damage) -> bool:
        of_others = metric.by_node and one.nodes and named is not None and named not in one.nodes
        elsewhen = one.phase not in (None, row.conditions.phase) and not metric.whole_run
        return bool(needs_of(row) & one.gone and not of_others and not elsewhen)

    return any(map(by, damages))


def cut(chance: random.Random, folder: Path) -> Damage:
    """Cut a file anywhere."""
    name = chance.choice([one for one in files(folder) if one != "manifest.json"])
    data = (folder / name).read_bytes()
    at = chance.randrange(len(data))
    (folder / name).write_bytes(data[:at])
    # Whole proofs and whole records that are gone show by a manifest alone; every node tells at the
    # end of every phase; an end of line is no loss, nor is the end of a table that went on longer
    # than its run.
    hidden = (
        (name == "proofs.jsonl" and data[at - 1 : at] == b"\n")
        or (name.endswith(".bin") and at and (at - journal.HEADER_BYTES) % 40 == 0)
        or name.endswith(".toml")
        or (name.endswith(".json") and at >= len(data) - 1)
        or (name in TABLES and at >= len(data) - 8)
    )
    return Damage(f"{name} cut at {at}", not hidden, nodes=nodes_of([name]))


def delete(chance: random.Random, folder: Path) -> Damage:
    """Delete a file."""
    name = chance.choice(files(folder))
    (folder / name).unlink()
    if name == "manifest.json":
        return Damage(f"{name} deleted", shows=False)
    return Damage(f"{name} deleted", shows=True, gone=part_of(name), nodes=nodes_of([name]))


def drop_worker(chance: random.Random, folder: Path) -> Damage:
    """Drop the record of a load worker, by chance also the word that there was one, or that the
    schedule was dealt to two: then, as of an older folder, nothing is replayed.
    """
    worker = chance.randrange(2)
    (folder / f"load/operations-{worker}.arrow").unlink()
    unsaid = chance.choice(["", "workers", "shares"])
    if unsaid == "workers":
        alter.facts(folder, lambda said: said["load"]["workers"].pop(worker))
    elif unsaid == "shares":
        alter.facts(folder, lambda said: said["load"].pop("shares"))
    return Damage(f"no worker {worker}, unsaid: {unsaid}", shows=True, gone=OPERATIONS)


def _operations(chance: random.Random, folder: Path) -> tuple[str, list[dict[str, Any]], int, str]:
    """A worker's table, its rows, the place of one of them, and the phase of that."""
    name = f"load/operations-{chance.randrange(2)}.arrow"
    rows = alter.rows(folder / name)
    at = chance.randrange(len(rows) - 5)
    due_ns = rows[at]["intended_ns"]
    return name, rows, at, next(p.name for p in TIMELINE.phases if due_ns < at_ns(p.end_s or 0))


def drop_operations(chance: random.Random, folder: Path) -> Damage:
    """Drop operations from a worker's record, which is closed off as if they had never been."""
    name, rows, at, phase = _operations(chance, folder)
    count = chance.randrange(1, 6)
    end_ns = at_ns(next(one.end_s or 0 for one in TIMELINE.phases if one.name == phase))
    kept = rows[:at] + [one for one in rows[at : at + count] if one["intended_ns"] >= end_ns]
    alter.write_rows(folder / name, kept + rows[at + count :], h.OPERATIONS)
    return Damage(f"{name} lacks {count} from {at}", shows=True, gone=OPERATIONS, phase=phase)


def drop_node(chance: random.Random, folder: Path) -> Damage:
    """Drop all samples of a node, all that it told, or all that there was of it."""
    index, what = chance.randrange(len(NODES)), chance.randrange(3)
    if what in (0, 2):
        rows = [one for one in alter.rows(folder / "samples.arrow") if one["node"] != index]
        alter.write_rows(folder / "samples.arrow", rows, h.SAMPLES)
    if what in (1, 2):
        said = alter.lines(folder / "histograms.jsonl")
        kept = [one for one in said if one["node"] != index]
        alter.write_lines(folder / "histograms.jsonl", kept)
    if what == 2:
        (folder / "journal" / f"{NODES[index]}.bin").unlink()
        if chance.random() < 0.5:
            alter.facts(folder, lambda said: said["nodes"].pop(index))
            return Damage(f"no {NODES[index]} at all", shows=True)
    gone = (PARTS["samples.arrow"], PARTS["histograms.jsonl"], PARTS["samples.arrow"])[what]
    words = f"{NODES[index]}: no {('samples', 'word', 'record')[what]}"
    return Damage(words, shows=True, gone=gone, nodes=frozenset({NODES[index]}))


def drop_seconds(chance: random.Random, folder: Path) -> Damage:
    """Drop seconds of samples: of one it cannot be known that it was ever taken."""
    name = chance.choice(sorted(TABLES))
    begin, count = chance.randrange(5, 12), chance.choice([1, 4])
    from_ns, to_ns = T0 + begin * SECOND, T0 + (begin + count) * SECOND
    rows = [one for one in alter.rows(folder / name) if not from_ns <= one["at_ns"] < to_ns]
    alter.write_rows(folder / name, rows, TABLES[name])
    gone = PARTS[name] if count > 1 else frozenset()
    return Damage(f"{count} s of {name} from {begin} s", count > 1, gone, phase="load")


def swap(chance: random.Random, folder: Path) -> Damage:
    """Swap two journals."""
    one, other = (folder / "journal" / f"{name}.bin" for name in chance.sample(NODES, 2))
    data = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(data)
    return Damage(f"{one.name} and {other.name} swapped", shows=True)


def repeat(chance: random.Random, folder: Path) -> Damage:
    """Repeat operations, records of a journal, or a line."""
    name = chance.choice(["load", f"journal/{chance.choice(NODES)}.bin", *LINES])
    if name == "load":
        name, rows, at, phase = _operations(chance, folder)
        alter.write_rows(folder / name, rows[: at + 1] + rows[at:], h.OPERATIONS)
        return Damage(f"{name} repeats {at}", shows=True, gone=OPERATIONS, phase=phase)
    data = (folder / name).read_bytes()
    more = data[-40:] if name.endswith(".bin") else data[data[:-1].rindex(b"\n") + 1 :]
    (folder / name).write_bytes(data + more * chance.randrange(1, 5))
    return Damage(f"{name} repeats", shows=False, nodes=nodes_of([name]))


def move(chance: random.Random, folder: Path) -> Damage:
    """Move a time: of an operation, a record, a sample, an event, a proof, or the plan."""
    by_ns = chance.choice([-1, 1]) * chance.choice([1, 1_000_000, SECOND, 7 * SECOND])
    name = chance.choice(["load", "journal", "table", "line", "timeline.json", "metadata.json"])
    if name == "load":
        name, rows, at, phase = _operations(chance, folder)
        column = chance.choice(["intended_ns", "sent_ns", "done_ns"])
        rows[at][column] += by_ns
        alter.write_rows(folder / name, rows, h.OPERATIONS)
        is_due = column == "intended_ns"
        gone, of_phase = (OPERATIONS, phase) if is_due and abs(by_ns) < SECOND else ((), None)
        words = f"{name} {at} {column} moved by {by_ns} ns"
        return Damage(words, is_due, frozenset(gone), of_phase)
    if name == "journal":
        node = chance.choice(NODES)
        alter.move_record(folder / "journal" / f"{node}.bin", chance, by_ns)
        return Damage(
            f"a record of {node} moved by {by_ns} ns", shows=False, nodes=frozenset({node})
        )
    if name == "metadata.json":
        alter.facts(folder, lambda said: said.update(t0_ns=said["t0_ns"] + by_ns))
        return Damage(f"t0 moved by {by_ns} ns", shows=True, gone=OPERATIONS)
    if name == "timeline.json":
        said = json.loads((folder / name).read_text())
        chance.choice(said["changes"])["at_s"] += by_ns / 1e9
        (folder / name).write_text(json.dumps(said))
    elif name == "table":
        name = chance.choice(sorted(TABLES))
        rows = alter.rows(folder / name)
        chance.choice(rows)["at_ns"] += by_ns
        alter.write_rows(folder / name, rows, TABLES[name])
    else:
        name = chance.choice(LINES[:2])
        lines = alter.lines(folder / name)
        chance.choice(lines)["at_ns"] += by_ns
        alter.write_lines(folder / name, lines)
    return Damage(f"a time of {name} moved by {by_ns} ns", shows=False)


def count(chance: random.Random, folder: Path) -> Damage:
    """Change a count: of operations, of shares, of what a node counted, of a sample, of a proof."""
    what = chance.randrange(6)
    if what == 0:
        workers = chance.choice([1, 3, 4])
        alter.facts(folder, lambda said: said["load"].update(shares=workers))
        return Damage(f"shares {workers}", shows=True, gone=OPERATIONS)
    if what == 1:
        at, rate = chance.randrange(4), chance.choice([0.5, 1.5, 100.0])
        alter.facts(folder, lambda said: said["load"]["streams"][at].update(asked_per_s=rate))
        phase = "load" if at < 2 else "settle"
        return Damage(f"stream {at} at {rate}/s", shows=True, gone=OPERATIONS, phase=phase)
    if what == 2:
        name, rows, at, _ = _operations(chance, folder)
        rows[at][chance.choice(["payload_bytes", "hops"])] += chance.randrange(1, 99)
        alter.write_rows(folder / name, rows, h.OPERATIONS)
    elif what == 3:
        name = chance.choice(sorted(TABLES))
        rows = alter.rows(folder / name)
        row = chance.choice(rows)
        row[
            chance.choice(
                ["cpu_ns", "rss_bytes", "bytes_out"] if "node" in row else ["cpu_busy_ns"]
            )
        ] *= 2
        alter.write_rows(folder / name, rows, TABLES[name])
    else:
        name = LINES[what - 3]
        lines = alter.lines(folder / name)
        said = chance.choice(lines)
        if name == "proofs.jsonl":
            said["n"] += 7
        else:
            said["histograms"]["verify"]["500"] += chance.choice([-90, 90])
        alter.write_lines(folder / name, lines)
    return Damage(f"a count of {name} changed", shows=False)


def delete_proofs(chance: random.Random, folder: Path) -> Damage:
    """Delete a proof, or all of a fault."""
    lines = alter.lines(folder / "proofs.jsonl")
    one = chance.choice(lines)
    if chance.random() < 0.5:
        alter.write_lines(folder / "proofs.jsonl", [said for said in lines if said is not one])
        return Damage(f"a proof of {one['fault']} deleted", shows=False)
    kept = [said for said in lines if said["fault"] != one["fault"]]
    alter.write_lines(folder / "proofs.jsonl", kept)
    gone = PARTS["proofs.jsonl"] if one["fault"] == "slow" else frozenset()
    return Damage(f"all proofs of {one['fault']} deleted", shows=True, gone=gone)


def tear(chance: random.Random, folder: Path) -> Damage:
    """Take some bytes out of the middle of a journal, as a kill does that another life follows."""
    node = chance.choice(NODES)
    path = folder / "journal" / f"{node}.bin"
    data = path.read_bytes()
    at = journal.HEADER_BYTES + 40 * chance.randrange((len(data) - 64) // 40)
    kept = chance.randrange(1, 40)
    path.write_bytes(data[: at + kept] + data[at + 40 :])
    return Damage(f"{path.name} torn at {at} + {kept}", shows=True, nodes=frozenset({node}))


def garble(chance: random.Random, folder: Path) -> Damage:
    """Put a byte that is no UTF-8 into a line."""
    name = chance.choice(LINES)
    data = bytearray((folder / name).read_bytes())
    data[chance.randrange(len(data))] = 0xFF
    (folder / name).write_bytes(data)
    return Damage(f"{name} garbled", name != "proofs.jsonl")


def retype(chance: random.Random, folder: Path) -> Damage:
    """Put a value of a wrong type into a line."""
    name = chance.choice(LINES)
    lines = alter.lines(folder / name)
    said = chance.choice(lines)
    key = chance.choice(sorted(said.keys() - {"event"}))
    said[key] = chance.choice([[1], {"a": 1}, "words", 1e400, 10**30])
    alter.write_lines(folder / name, lines)
    return Damage(f"{name}: {key} {said[key]!r}", shows=False)


def retype_json(chance: random.Random, folder: Path) -> Damage:
    """Put a number that cannot be, or a value of a wrong type, into a JSON file."""
    name = chance.choice(JSON)
    said = json.loads((folder / name).read_text())
    at, keys = said, []
    while isinstance(at, dict | list) and at:
        within, key = at, chance.choice(list(at) if isinstance(at, dict) else range(len(at)))
        at, keys = within[key], [*keys, key]
    within[key] = chance.choice([1e400, -1e400, 1e300, 10**30, -(10**18), [1], {"a": 1}, "words"])
    (folder / name).write_text(json.dumps(said))
    return Damage(f"{name}: {keys} {within[key]!r}", shows=False)


def flip(chance: random.Random, folder: Path) -> Damage:
    """Flip a bit of any file: a time, a count, a name, a table's own numbers."""
    name = chance.choice(files(folder))
    data = bytearray((folder / name).read_bytes())
    at = chance.randrange(len(data))
    data[at] ^= 1 << chance.randrange(8)
    (folder / name).write_bytes(data)
    return Damage(f"{name} byte {at} flipped", shows=False, nodes=nodes_of([name]))


def drop_line(chance: random.Random, folder: Path) -> Damage:
    """Delete an event, or what a node told."""
    name = chance.choice(["events.jsonl", "histograms.jsonl"])
    lines = alter.lines(folder / name)
    lost = lines.pop(chance.randrange(len(lines)))
    alter.write_lines(folder / name, lines)
    shows = name == "histograms.jsonl" or lost["event"] == "phase"
    return Damage(f"{name} lacks {lost}", shows)


ACTS: dict[str, Act] = {
    "cut a file anywhere": cut,
    "drop a worker": drop_worker,
    "drop operations": drop_operations,
    "drop a node": drop_node,
    "drop seconds of samples": drop_seconds,
    "swap two journals": swap,
    "repeat records": repeat,
    "move a time": move,
    "change a count": count,
    "delete a proof": delete_proofs,
    "delete a file": delete,
    "tear a journal": tear,
    "garble a line": garble,
    "change a value's type": retype,
    "change a value in a JSON file": retype_json,
    "flip a bit": flip,
    "drop a line": drop_line,
}
