"""A case is a scenario with its topology and its budget, as their files say them: what `shrink`
makes smaller. Pure.

It is kept as documents, not as what they are read into: a key that is not known here stays.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain, count
from typing import Any

from harness.scenario import files, writer
from harness.topology.topology import Node

Document = dict[str, Any]
BETWEEN_NAMES = re.compile(r"[\s,]*<?->[\s,]*|[\s,]+")
FILE, TOPOLOGY, BUDGET = ".toml", ".topology.toml", ".budget.toml"
COMMENT = writer.COMMENT
TABLES = ("fault", "churn", "stream")  # of a phase


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its documents as a JSON text, so that it is compared, kept and never changed."""

    text: str

    def documents(self) -> Documents:
        """Return the documents, to be changed and made a case again."""
        return Documents(**json.loads(self.text))

    @property
    def digest(self) -> str:
        """A short name that no other case has: of SHA-256, hex."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:12]


@dataclass(slots=True, kw_only=True)
class Documents:
    """The documents of a case while they are changed."""

    scenario: Document
    topology: Document
    budget: Document | None

    @property
    def phases(self) -> list[Document]:
        """The phases, in order."""
        phases: list[Document] = self.scenario["phase"]
        return phases

    @property
    def seconds(self) -> float:
        """How long all phases last, at most."""
        total = 0.0
        for phase in self.phases:
            total += phase.get("duration_s") or phase.get("at_most_s") or 0.0
        return total

    def faults(self) -> Iterator[tuple[Document, int, Document]]:
        """Yield each fault with its phase and its position there."""
        for phase in self.phases:
            for position, fault in enumerate(phase.get("fault", ())):
                yield phase, position, fault

    def churns(self) -> Iterator[tuple[Document, int, Document]]:
        """Yield each churn with its phase and its position there."""
        for phase in self.phases:
            for position, churn in enumerate(phase.get("churn", ())):
                yield phase, position, churn

    def streams(self) -> Iterator[tuple[Document, int, Document]]:
        """Yield each stream with its phase and its position there."""
        for phase in self.phases:
            for position, stream in enumerate(phase.get("stream", ())):
                yield phase, position, stream

    def nodes(self) -> tuple[Node, ...]:
        """Return the topology's nodes. Raises BadFileError where it is none."""
        return files.topology_from(self.topology, "topology", "topology").nodes

    def named(self) -> set[str]:
        """Return the nodes that a document names one by one, and the first of each of several
        regions: those must be there.
        """
        nodes = self.nodes()
        names = {node.name for node in nodes}
        said = {word for text in _texts([self.scenario, self.budget]) for word in _words(text)}
        listed = [one["name"] for one in self.topology.get("node", ())]
        ends = [end for one in self.topology.get("link", ()) for end in one["between"]]
        found = names & {*said, *listed, *ends}
        first = {node.region: node.name for node in reversed(nodes)}
        return found | (set(first.values()) if len(first) > 1 else set())

    def case(self) -> Case:
        """Return the case that these documents are."""
        whole = {"scenario": self.scenario, "topology": self.topology, "budget": self.budget}
        return Case(json.dumps(whole))

    def counts(self) -> dict[str, float]:
        """Return how big it is: how many of what, and how many seconds."""
        return {
            "phases": len(self.phases),
            "faults": sum(1 for _ in (*self.faults(), *self.churns())),
            "streams": sum(1 for _ in self.streams()),
            "nodes": len(self.nodes()),
            "seconds": self.seconds,
        }

    def size(self) -> str:
        """Say how big it is: ``2 phases, 1 fault, 1 stream, 4 nodes, 12 s``."""
        *counts, (_, seconds) = self.counts().items()
        said = [f"{count} {what[:-1] if count == 1 else what}" for what, count in counts]
        return ", ".join([*said, f"{seconds:g} s"])

    def written(self, stem: str, header: str = "") -> dict[str, str]:
        """Return the files that it is: name → text. `stem`: of their names; `header`: lines of a
        comment on top of the scenario. `harness run` plays the first.
        """
        scenario = {**self.scenario, "topology": f"{stem}{TOPOLOGY}"}
        found = {f"{stem}{FILE}": "", f"{stem}{TOPOLOGY}": writer.text_of(self.topology)}
        if self.budget is not None:
            scenario["budget"] = f"{stem}{BUDGET}"
            found[f"{stem}{BUDGET}"] = writer.text_of(self.budget)
        lines = "".join(f"# {line}".rstrip() + "\n" for line in header.splitlines())
        found[f"{stem}{FILE}"] = "\n".join([*([lines] if lines else []), writer.text_of(scenario)])
        return found


def differences(before: Case, after: Case) -> tuple[list[str], list[str]]:
    """Return what of a case is left out in a smaller one, and what is changed, a line each."""
    whole = before.documents()
    names = [one["name"] for _, _, one in (*whole.faults(), *whole.churns())]
    shared = {name for name in names if names.count(name) > 1}
    old, new = _things(whole, shared), _things(after.documents(), shared)
    dropped = [_line(what, keys) for what, keys in old.items() if what not in new]
    changed = [
        f"{what}: {key} {_shown(new[what].get(key))}, was {_shown(keys.get(key))}"
        for what, keys in old.items()
        if what in new
        for key in keys | new[what]
        if keys.get(key) != new[what].get(key)
    ]
    return dropped, changed


def _things(found: Documents, shared: Collection[str]) -> dict[str, Document]:
    """Everything of a case that has a name, and what is said of it; faults of `shared` names are
    told apart by their phases.
    """
    things = {"topology": {"nodes": len(found.nodes())}}
    for phase in found.phases:
        things[f"phase {phase['name']}"] = {
            key: value for key, value in phase.items() if key not in ("name", *TABLES)
        }
    for kind, all_ in (("fault", found.faults()), ("churn", found.churns())):
        for phase, _, one in all_:
            of = f" of phase {phase['name']}" if one["name"] in shared else ""
            what = _free(f"{kind} {one['name']}{of}", things)
            things[what] = {key: value for key, value in one.items() if key != "name"}
    for phase, _, stream in found.streams():
        what = _free(f"stream {stream['operation']} of phase {phase['name']}", things)
        things[what] = {key: value for key, value in stream.items() if key != "operation"}
    return things


def _free(name: str, taken: Collection[str]) -> str:
    """Return a name, with a number where others have it."""
    numbered = (f"{name} ({number})" for number in count(2))
    return next(one for one in chain([name], numbered) if one not in taken)


def _line(what: str, keys: Document) -> str:
    said = ", ".join(f"{key} {_shown(value)}" for key, value in keys.items())
    return f"{what}: {said}" if said else what


def _shown(value: object) -> str:
    return "none" if value is None else value if isinstance(value, str) else json.dumps(value)


def _texts(value: object) -> Iterator[str]:
    """Every text that stands anywhere in a document."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def _words(text: str) -> list[str]:
    return BETWEEN_NAMES.split(text)
