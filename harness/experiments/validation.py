"""Validation finds what `up` and `run` would refuse in a file, and starts nothing.

It asks the same functions that refuse it there. Nothing of a stranger's runs: a system or a check
that is Python of the user's own (``module:Class``, ``module:function``) is imported only where that
is asked for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.checks import rows as budget_rows
from harness.checks import selection
from harness.choices import one_of
from harness.errors import BadFileError, HarnessError, UsageError
from harness.experiments import run, suite
from harness.host import capabilities
from harness.network import injectors
from harness.network.fabric import plan_addresses
from harness.runtimes.runtime import Place
from harness.scenario import files, shipped, tables
from harness.scenario import gate as gates
from harness.scenario.scenario import Scenario
from harness.systems import adapters
from harness.systems.adapter import NodeAdapter
from harness.topology.impairment import Impairment
from harness.topology.topology import Node, Topology

# A key that only files of one kind have; where none of them stands, the folder says the kind.
KEYS = {
    "soak": "scenario",
    "parts": "suite",
    "criterion": "gate",
    "phase": "scenario",
    "row": "budget",
    **dict.fromkeys(("start", "ready", "send", "received"), "system"),
}
FOLDERS = {"scenarios": "scenario", "budgets": "budget", "gates": "gate"}
OTHERS = "topology"


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that is good: its kind, and a sentence about it."""

    kind: str
    sentence: str


def validate(file: Path, *, imports: bool = False) -> Checked:
    """Validate a topology, scenario, suite, budget, gate or command file.

    `imports`: whether what is named ``module:Class`` may be imported, which runs its code.
    Raises BadFileError, and UnavailableError for impairments that nothing on this host can make.
    """
    keys = tables.load(file).keys()
    kind = next(
        (KEYS[key] for key in KEYS if key in keys),
        FOLDERS.get(file.resolve().parent.name, OTHERS),
    )
    try:
        return Checked(kind, tables.with_file(str(file), lambda: _VALIDATORS[kind](file, imports)))
    except UsageError as error:  # what is asked for stands in the file
        raise BadFileError(f"{file}: {error}") from None


def _suite(file: Path, imports: bool) -> str:
    planned = files.read_suite(file)
    assert planned is not None
    suite.check(planned, imports=imports)
    unseen = {_playable(files.read_scenario(part), imports) for part in planned.parts}
    return f"{len(planned.parts)} scenarios{''.join(sorted(unseen))}"


def _scenario(file: Path, imports: bool) -> str:
    planned = files.read_scenario(file)
    unseen = _playable(planned, imports)
    return f"{len(planned.phases)} phases on {len(planned.topology.nodes)} nodes{unseen}"


def _topology(file: Path, imports: bool) -> str:
    built = files.read_topology(file)
    unseen = _startable(built, imports, built.baseline.values())
    return (
        f"{len(built.nodes)} nodes, {len(built.links)} links, {len(built.regions)} regions{unseen}"
    )


def _budget(file: Path, _: bool) -> str:
    rows = files.read_budget(file).rows
    budget_rows.validate(rows)
    return f"{len(rows)} rows"


def _system(file: Path, _: bool) -> str:
    built = adapters.named(str(file.resolve()))
    _rehearse(built, Topology(name="check", nodes=(Node(name="a"), Node(name="b")), links=_PAIR))
    if built.budget is not None:
        _budget(shipped.find(built.budget, "budgets"), False)
    return f"{built.name} can do {', '.join(sorted(one.word for one in built.operations))}"


def _gate(file: Path, imports: bool) -> str:
    planned = gates.read(file)
    for one in planned.criteria:
        if one.gate is not None:
            _gate(one.gate, imports)
        elif one.soak is not None:
            validate(one.soak, imports=imports)
            if "soak" not in tables.load(one.soak):
                raise BadFileError(
                    f"{planned.file}: criterion {one.name!r}: {one.soak}: expected a scenario with "
                    "[soak], found none"
                )
            _require_rows(planned, one.name, one.rows, _budget_of(one.soak))
        elif one.scenario is not None:
            validate(one.scenario, imports=imports)
            _require_rows(planned, one.name, one.rows, _budget_of(one.scenario))
    return f"{len(planned.criteria)} criteria"


def _budget_of(scenario: Path) -> Path | None:
    of_suite = files.read_suite(scenario)
    return of_suite.budget if of_suite else files.read_scenario(scenario).budget


def _require_rows(planned: gates.Gate, name: str, rows: Iterable[str], budget: Path | None) -> None:
    known = [row.name for row in files.read_budget(budget).rows] if budget else []
    for row in rows:
        if row not in known:
            raise BadFileError(f"{planned.file}: criterion {name!r}: rows: {one_of(row, known)}")


_PAIR = frozenset({("a", "b")})
_VALIDATORS = {
    "suite": _suite,
    "scenario": _scenario,
    "topology": _topology,
    "budget": _budget,
    "gate": _gate,
    "system": _system,
}


def _playable(planned: Scenario, imports: bool) -> str:
    faults = (change.fault.impairment for change in run.check(planned, imports=imports).changes)
    unseen = selection.require(planned.checks, imports=imports)
    baseline = planned.topology.baseline.values()
    return _startable(planned.topology, imports, (*baseline, *faults)) + unseen


def _startable(built: Topology, imports: bool, asked: Iterable[Impairment]) -> str:
    """Raise what would be raised while a cluster starts; return what was not looked at."""
    plan_addresses(built.nodes, built.addresses)
    kinds = dict.fromkeys(kind for one in asked for kind in one.kinds)
    if not imports and adapters.is_foreign(built.adapter):
        _require_backends([kind for kind in kinds if kind != "toxic"], ())
        return (
            f"; its system {built.adapter} was not looked at: it is Python of your own, which "
            "--import runs"
        )
    adapter = adapters.named(built.adapter)
    _rehearse(adapter, _one_of_each(built))
    _require_backends(list(kinds), adapter.ports)
    return ""


def _require_backends(kinds: list[str], ports: tuple[int, ...]) -> None:
    if kinds:
        streams = {"toxic": "toxiproxy" if ports else injectors.NONE}
        injectors.require(kinds, {**capabilities.probe().backends, **streams})


def _one_of_each(built: Topology) -> Topology:
    """Return the topology with one node of each set of options, and its neighbours left out."""
    nodes = {repr(sorted(node.options.items())): node for node in reversed(built.nodes)}
    return replace(built, nodes=tuple(nodes.values()), links=frozenset(), baseline={})


def _rehearse(adapter: NodeAdapter, built: Topology) -> None:
    """Have the adapter write what its nodes need, into a folder that is gone afterwards."""
    addresses = plan_addresses(built.nodes, built.addresses).nodes
    with tempfile.TemporaryDirectory(prefix="harness-check-") as folder:
        places = [
            Place(
                node=node,
                index=index,
                address=str(address),
                directory=Path(folder) / "nodes" / node.name,
                namespace=-1,
            )
            for index, (node, address) in enumerate(zip(built.nodes, addresses, strict=True))
        ]
        try:
            adapter.prepare(built, places, Path(folder))
        except OSError as error:
            raise HarnessError(f"the nodes' folders cannot be written: {error}") from error
