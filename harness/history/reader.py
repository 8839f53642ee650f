"""The reader makes a History of a run folder: on any machine, later, and after a crash.

What cannot be read of it, or is not as it was when the run was closed, is a gap of the history and
no error.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import BadFileError
from harness.history import (
    doubts,
    events,
    gaps,
    history,
    journal,
    metrics,
    phases,
    plan,
    shape,
    snapshots,
    tables,
)
from harness.history.events import Event, NodeStarted, RunEnded
from harness.history.files import Files
from harness.history.gaps import CHANGING_NS, END_NS, EVERYTHING, Gap, Part, Parts
from harness.history.history import Before, History
from harness.history.metadata import find, kinds, numbers, own_of, timeout_ns, untold
from harness.history.metadata import read as metadata
from harness.history.plan import Plan
from harness.history.proof import Proof
from harness.history.resolved import ResolvedFault
from harness.history.snapshots import Gains, Snapshot
from harness.operations.records import FORMERLY_COUNTED

__all__ = ["find", "metadata", "read"]

# How far a record's time may lie before the first event of a run, and after the last: of one that
# ended, and of one of whose end nobody told. A torn record may bear any time.
EARLY_NS, LATE_NS, LATER_NS = 60_000_000_000, 60_000_000_000, 3_600_000_000_000
NOTHING: Mapping[str, int] = {}
NOT_RUNNING = (*events.DOWN, "paused")  # conditions in which a node begins no journal
# Files that are read as one, or only kept: what rests on each.
WHOLE: Mapping[str, Part] = {
    "metadata.json": Part.METADATA,
    "timeline.json": Part.PLAN,
    "scenario.toml": Part.PLAN,
    "topology.json": Part.TOPOLOGY,
    "measurements.json": Part.MEASUREMENTS,
    "budget.toml": Part.BUDGET,
}


def read(path: Path) -> History:
    """Read the history of a run folder. Raises BadFileError where it is not one."""
    facts = metadata(path)
    folder = Folder(Files(path, has_manifest=facts.get("manifest", False)), facts)
    happened = folder.events()
    return history_of(folder, happened, folder.journals(happened))


def history_of(folder: Folder, happened: Sequence[Event], journals: history.Records) -> History:
    """Make the history of a folder in which this happened."""
    facts, told, planned = folder.facts, folder.told(), folder.plan(happened)
    found = History(
        nodes=folder.nodes,
        wire_ids=tuple(bytes.fromhex(node["wire_id"]) for node in facts["nodes"]),
        phases=phases.windows(happened, planned),
        plan=planned,
        resolved=folder.resolved(),
        operations=folder.operations(),
        own=(*own_of(facts), *untold(facts)),
        values=folder.values(),
        samples=folder.sampled("samples.arrow", history.SAMPLES, Part.SAMPLES),
        journal=journals,
        histograms=told.histograms,
        gauges=told.gauges,
        told=told.told,
        links=folder.links(),
        measurements=folder.measurements(),
        ready_s=facts.get("ready_s"),
        ready_others=facts.get("ready_others"),
        uncounted=frozenset(facts.get("uncounted", ())),
        name=facts["name"],
        proofs=folder.proofs(),
        exempt=facts.get("exempt", {}),
        side_by_side=frozenset(facts.get("side_by_side", ())),
        given_up=frozenset(facts.get("given_up", ())),
        unpromised={word: tuple(said) for word, said in facts.get("unpromised", {}).items()},
        metrics=folder.metrics(),
        checks=tuple(facts.get("checks", ())),
        kept=frozenset(facts.get("records", FORMERLY_COUNTED)),
        ports=tuple(facts.get("ports", ())),
        doubts=doubts.read(facts),
        can_send_per_s=facts["host"].get("calibration", {}).get("messages_per_s"),
        planned_per_s=_planned(facts["load"].get("streams", []), numbers(facts)),
        host=folder.sampled("host.arrow", history.HOST, Part.HOST),
        cores=facts["host"]["cores"],
        events=tuple(happened),
        before=_before(facts),
        failed_is_certain=facts.get("failed_is_certain", False),
        ended=any(isinstance(event, RunEnded) for event in happened),
        sealed=folder.source.is_sealed,
    )
    lacking = [*gaps.found(found, facts), *metrics.gaps(found, gaps.lives(found, facts))]
    return replace(found, gaps=gaps.merged([*folder.gaps, *lacking]))


class Folder:
    """The files of one run folder, each read as far as it can be; `gaps` are what they lack."""

    def __init__(self, source: Files, facts: Mapping[str, Any]) -> None:
        self.source, self.facts = source, facts
        self.nodes = tuple(node["name"] for node in facts["nodes"])
        self.gaps: list[Gap] = []
        for name, part in WHOLE.items():
            content = source.open(name)
            is_missing = not content.exists and name in facts.get("inputs", ())
            if wrong := content.wrong or (f"{name} is missing" if is_missing else ""):
                self._miss(frozenset({part}), wrong)

    def _miss(
        self,
        what: Parts,
        why: str,
        from_ns: int = 0,
        to_ns: int = END_NS,
        of: tuple[str, ...] = (),
    ) -> None:
        self.gaps.append(Gap(what=what, of=of, from_ns=from_ns, to_ns=to_ns, why=why))

    def events(self) -> list[Event]:
        """What happened, as far as it is told. That no manifest was written is no wonder where no
        end is told of.
        """
        found = self._lines("events.jsonl", events.read, Part.EVENTS)
        if problem := self.source.problem:
            is_cut = not any(isinstance(event, RunEnded) for event in found)
            self._miss(EVERYTHING, f"the run was cut short: {problem}" if is_cut else problem)
        return found

    def proofs(self) -> tuple[Proof, ...]:
        """What was seen of faults."""
        return tuple(self._lines("proofs.jsonl", Proof.from_json, Part.PROOFS))

    def resolved(self) -> dict[int, ResolvedFault]:
        """Where each fault was that came, by its number."""
        found, breaks = self.source.lines("faults.jsonl", ResolvedFault.from_json)
        for one in breaks:
            self._miss(frozenset({Part.FAULTS}), one.why)
        return {one.number: one for one in found}

    def _lines(self, name: str, make: Any, part: Part) -> list[Any]:
        found, breaks = self.source.lines(name, make)
        for one in breaks:
            before, after = found[: one.after], found[one.after :]
            ends = (before[-1].at_ns if before else 0, after[0].at_ns if after else END_NS)
            from_ns, to_ns = min(ends), max(ends)
            if part is Part.EVENTS:  # of what began before it, and lasts
                from_ns, to_ns = max(from_ns - CHANGING_NS, 0), END_NS
            self._miss(frozenset({part}), one.why, from_ns, to_ns)
        return found

    def told(self) -> Gains:
        """What the nodes told of themselves at the phases' ends."""
        name = "histograms.jsonl"
        found, breaks = self.source.lines(name, Snapshot.from_json)
        for one in breaks:
            self._miss(frozenset({Part.HISTOGRAMS, Part.GAUGES}), one.why)
        return snapshots.gains(one for one in found if one.node < len(self.nodes))

    def operations(self) -> pa.Table:
        """All operations of all load workers."""
        what = frozenset({Part.OPERATIONS})
        names = self.source.names("load/operations-*.arrow")
        batches: list[pa.RecordBatch] = []
        for name in names:
            found, why = self.source.batches(name, history.OPERATIONS)
            batches += found
            if why:  # what was under way then is not in it either
                from_ns = max((_last_ns(one) for one in found), default=0)
                self._miss(what, why, max(from_ns - timeout_ns(self.facts), 0))
        count = self._workers(len(names))
        for worker in range(count):
            if f"load/operations-{worker}.arrow" not in names:
                self._miss(what, f"load worker {worker} of {count} left no record")
        table = tables.joined(batches, history.OPERATIONS)
        below = dict.fromkeys(("source", "target", "answered_by"), len(self.nodes))
        return self._known(self._usable(table, {"error"}, below, Part.OPERATIONS))

    def _known(self, table: pa.Table) -> pa.Table:
        """The operations of which somebody says what they are."""
        known = pa.array([int(each) for each in kinds(self.facts)], pa.uint8())
        is_known = pc.is_in(table.column("operation"), known)
        if not pc.all(is_known).as_py() and table.num_rows:
            found = table.filter(is_known)
            strange = pc.unique(table.filter(pc.invert(is_known)).column("operation")).to_pylist()
            self._miss(
                frozenset({Part.OPERATIONS}),
                f"{table.num_rows - found.num_rows:,} operations have a number "
                f"({', '.join(map(str, strange[:3]))}) of which the folder does not say what it is",
            )
            return found
        return table

    def values(self) -> pa.Table:
        """What load workers put and read under keys of the DHT; one that did neither has no
        file.
        """
        batches: list[pa.RecordBatch] = []
        for name in self.source.names("load/values-*.arrow"):
            found, why = self.source.batches(name, history.VALUES)
            batches += found
            if why:
                self._miss(frozenset({Part.OPERATIONS}), why)
        return self._usable(tables.joined(batches, history.VALUES), {"value"}, {}, Part.OPERATIONS)

    def _workers(self, least: int) -> int:
        """How many load workers the run had, as far as anything says."""
        said = self.facts["load"].get("workers", 0)
        return max(least, said if isinstance(said, int) else len(said))

    def sampled(
        self, name: str, schema: pa.Schema, part: Part, below: Mapping[str, int] = NOTHING
    ) -> pa.Table:
        """A table of samples; `below`: limits of more of its columns than its nodes."""
        batches, why = self.source.batches(name, schema)
        table = tables.joined(batches, schema)
        if why and self.nodes:  # a bench takes no samples
            times = table.column("at_ns").to_numpy()
            self._miss(frozenset({part}), why, int(times.max()) if len(times) else 0)
        optional = {field.name for field in schema if field.nullable}
        return self._usable(table, optional, {"node": len(self.nodes), **below}, part)

    def metrics(self) -> metrics.Metrics:
        """What nodes told of themselves once a second; where nobody asked, nothing."""
        if "metrics" not in self.facts:
            return metrics.Metrics()
        what = frozenset({Part.METRICS})
        batches, why = self.source.batches(metrics.Files.SERIES, metrics.SERIES)
        told = tables.joined(batches, metrics.SERIES)
        series: tuple[metrics.Series, ...] = ()
        try:
            series = tuple(map(metrics.Series.read, *(one.to_pylist() for one in told.columns)))
        except ValueError as error:
            why = why or f"{metrics.Files.SERIES} cannot be read: {error}"
        if why:
            self._miss(what, why)
        below = {"node": len(self.nodes), "series": len(series)}
        return metrics.Metrics(
            values=self.sampled(metrics.Files.VALUES, metrics.VALUES, Part.METRICS, below),
            series=series,
            scrapes=self.sampled(metrics.Files.SCRAPES, metrics.SCRAPES, Part.METRICS),
            is_asked=True,
        )

    def _usable(
        self, table: pa.Table, optional: set[str], below: dict[str, int], part: Part
    ) -> pa.Table:
        found = tables.usable(table, optional, below)
        if lost := table.num_rows - found.num_rows:
            self._miss(frozenset({part}), f"{lost:,} rows of {part} have values that cannot be")
        return found

    def journals(self, happened: Sequence[Event]) -> history.Records:
        """All journals as one array, the node's index in each record."""
        times = [event.at_ns for event in happened]
        begin_ns = max(min(times, default=0) - EARLY_NS, 1)
        has_ended = any(isinstance(event, RunEnded) for event in happened)
        late_ns = LATE_NS if has_ended else LATER_NS
        end_ns = min(max(times, default=END_NS), END_NS - late_ns) + late_ns
        ran = {
            one["name"] for one in self.facts["nodes"] if one.get("condition") not in NOT_RUNNING
        }
        ran |= {event.node for event in happened if isinstance(event, NodeStarted)}
        parts = [
            self._journal(index, begin_ns, end_ns, has_run=name in ran)
            for index, name in enumerate(self.nodes)
        ]
        made = np.empty(sum(map(len, parts)), journal.JOURNAL)
        at = len(made)
        while parts:  # each file is let go as soon as it is copied
            node, part = len(parts) - 1, parts.pop()
            journal.put(part, node, made[at - len(part) : at])
            at -= len(part)
        return made

    def _journal(self, index: int, begin_ns: int, end_ns: int, *, has_run: bool) -> history.Records:
        """The records of one node's journal, as they are in its file; one that did not run in this
        run never began one.
        """
        node, name = self.facts["nodes"][index], f"journal/{self.nodes[index]}.bin"
        wire_id = bytes.fromhex(node["wire_id"])
        records, torn, content = self.source.journal(name, wire_id, begin_ns, end_ns)
        why = content.wrong
        if not content.exists and not why and has_run:
            why = f"{name} is missing"
        if why:
            torn = [one for one in torn if one.after < len(records)]
            torn.append(journal.Torn(after=len(records), why=""))
        # Records are in order but for little, and operations of before may have ended in the gap.
        slack_ns = timeout_ns(self.facts)
        for one in torn:
            before, after = records["at_ns"][: one.after], records["at_ns"][one.after :]
            self._miss(
                frozenset({Part.JOURNAL}),
                f"{name} {one.why}" if one.why else why,
                max(int(before[-1]) - slack_ns, 0) if len(before) else 0,
                int(after[0]) + slack_ns if len(after) else END_NS,
                of=(self.nodes[index],),
            )
        return records

    def plan(self, happened: Sequence[Event]) -> Plan | None:
        """What the run was to do; None where nothing that can be read says it."""
        try:
            return plan.read(self.facts, self._json("timeline.json", Part.PLAN) or {}, happened)
        except BadFileError as error:
            self._miss(frozenset({Part.PLAN}), str(error))
            return None

    def links(self) -> frozenset[tuple[int, int]]:
        """The topology's links as pairs of node indexes."""
        found = self._json("topology.json", Part.TOPOLOGY)
        if found is None:
            return frozenset()
        order = {name: index for index, name in enumerate(self.nodes)}
        links: Any = found.get("links")
        if not shape.fits(links, list[tuple[str, str]]) or any(
            end not in order for link in links for end in link
        ):
            self._miss(frozenset({Part.TOPOLOGY}), "topology.json: links between nodes of no name")
            return frozenset()
        return frozenset((order[a], order[b]) for a, b in links)

    def measurements(self) -> dict[str, npt.NDArray[np.float64]]:
        """What was measured beside the nodes: name → values in the base unit of their kind."""
        found = self._json("measurements.json", Part.MEASUREMENTS)
        if found is None:
            return {}
        if not shape.fits(found, dict[str, list[float]]):
            self._miss(frozenset({Part.MEASUREMENTS}), "measurements.json holds no numbers")
            return {}
        return {name: np.array(values, np.float64) for name, values in found.items()}

    def _json(self, name: str, part: Part) -> dict[str, Any] | None:
        """A file that is one JSON table; None where there is none that can be read."""
        content = self.source.open(name)
        if not content.exists or content.wrong:  # which WHOLE tells
            return None
        try:
            found = json.loads(content.text.decode())
            if not isinstance(found, dict):
                raise BadFileError("expected a table")
        except (ValueError, RecursionError, BadFileError) as error:
            self._miss(frozenset({part}), f"{name} cannot be read: {error}")
            return None
        return found


def _before(facts: Mapping[str, Any]) -> Before | None:
    """Who else may have sent to the run's cluster; None where nothing says it."""
    said = facts.get("before")
    if said is None:
        return None
    runs = tuple(bytes.fromhex(one) for one in said["runs"])
    id_keys = tuple(bytes.fromhex(one) for one in said.get("id_keys", ()))
    return Before(runs=runs, id_keys=id_keys, commands=said["commands"])


def _last_ns(batch: pa.RecordBatch) -> int:
    """When the last thing happened that a batch of operations tells of."""
    columns = [batch.column(name).drop_null().to_numpy() for name in ("intended_ns", "done_ns")]
    return int(max((column.max() for column in columns if len(column)), default=0))


def _planned(
    streams: list[Mapping[str, Any]], known: Mapping[str, int]
) -> dict[tuple[str, int], float]:
    """Return the operations a second that each phase was to have, by the operation's number.

    Streams of the same operation add up.
    """
    found: dict[tuple[str, int], float] = {}
    for stream in streams:
        key = (stream["phase"], known[stream["operation"]])
        found[key] = found.get(key, 0.0) + stream["rate_per_s"]
    return found
