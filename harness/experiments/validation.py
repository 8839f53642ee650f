"""Validation finds what `up` and `run` would refuse in a file, and starts nothing. Of what runs
have left it finds what `judge` and `replay` would (validation_of_runs.py).

It asks the same functions that refuse it there. Nothing of a stranger's runs: a system or a check
that is Python of the user's own (``module:Class``, ``module:function``) is imported only where that
is asked for.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from harness.checks import own_metrics, selection
from harness.checks import rows as budget_rows
from harness.choices import one_of
from harness.errors import BadFileError, HarnessError, UsageError
from harness.experiments import dry_run, kinds, run, suite, validation_of_runs
from harness.host import capabilities
from harness.network import injectors
from harness.network.fabric import plan_addresses
from harness.operations import Operation
from harness.runtimes.runtime import Place
from harness.scenario import files, shipped, tables
from harness.scenario import gate as gates
from harness.scenario.scenario import Scenario
from harness.systems import abilities, adapters
from harness.systems.adapter import NodeAdapter
from harness.topology.impairment import Impairment
from harness.topology.topology import Node, Topology

CONFIGURATION_S = 60.0  # in which Locust has read one of its files


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What is asked of a validation: whether what is named ``module:Class`` may be imported, which
    runs its code; and the system that is put under test instead of the one that the file names.
    """

    imports: bool = False
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Checked:
    """A file that is good: its kind, and a sentence about it."""

    kind: str
    sentence: str


def validate(file: Path, *, imports: bool = False, system: str | None = None) -> Checked:
    """Validate a topology, scenario, suite, soak, budget, gate or command file, a locust.conf, a
    run folder or a bundle: told apart by what stands in it. For `imports` and `system` see Given.

    Raises BadFileError, UsageError where a system is put under test of what has none, and
    UnavailableError for impairments that nothing on this host can make.
    """
    file = kinds.find(file)
    kind = kinds.kind_of(file)
    if system is not None and kind not in OF_A_SYSTEM:
        raise UsageError(
            f"--system: it is put under test by a {', '.join(OF_A_SYSTEM)}; {file} is a {kind}"
        )
    if system and (imports or not adapters.is_foreign(system)):
        adapters.named(system)  # one that is none is a mistake of who named it, and of no file
    given = Given(imports=imports, system=system)
    try:
        return Checked(kind, tables.with_file(str(file), lambda: _VALIDATORS[kind](file, given)))
    except UsageError as error:  # what is asked for stands in the file
        raise BadFileError(f"{file}: {error}") from None
    except BadFileError as error:
        meant = kinds.misspelled(kind, tables.load(file)) if kind in kinds.KEYS else ""
        if not meant or meant.partition(":")[0] in str(error):
            raise
        raise BadFileError(f"{file}: {meant}") from error


def _suite(file: Path, given: Given) -> str:
    planned = files.read_suite(file)
    assert planned is not None
    suite.check(planned, given.system, imports=given.imports)
    parts = [_fitted(part, given) for part in planned.parts]
    unseen = dict.fromkeys(_playable(one, given.imports) for one in parts)
    left = [
        f"\nNot asked: {one.name}: {said}."
        for one in parts
        for said in dry_run.left_out(one, dry_run.rows_of(one, planned.budget))
    ]
    return "".join([f"{len(parts)} scenarios", *unseen, *left])


def _fitted(file: Path, given: Given) -> Scenario:
    return abilities.fitted(
        files.read_scenario(file, given.system), given.system, imports=given.imports
    )


def _scenario(file: Path, given: Given) -> str:
    planned = _fitted(file, given)
    said = _playable(planned, given.imports)
    said += "".join(
        f"\nNot asked: {one}."
        for one in dry_run.left_out(planned, dry_run.rows_of(planned, planned.budget))
    )
    return f"{len(planned.phases)} phases on {len(planned.topology.nodes)} nodes{said}"


def _soak(file: Path, given: Given) -> str:
    return f"windows of {_scenario(file, given)}"


def _topology(file: Path, given: Given) -> str:
    built = adapters.with_system(files.read_topology(file), given.system)
    unseen = _startable(built, given.imports, built.baseline.values())
    return (
        f"{len(built.nodes)} nodes, {len(built.links)} links, {len(built.regions)} regions{unseen}"
    )


def _budget(file: Path, _: Given) -> str:
    rows = files.read_budget(file).rows
    budget_rows.validate(rows)
    own = dict.fromkeys(row.metric for row in rows if own_metrics.is_own(row.metric))
    of = f"; operations of a system's own have to be there for {', '.join(own)}" if own else ""
    return f"{len(rows)} rows{of}"


def _system(file: Path, given: Given) -> str:
    built = adapters.named(str(file.resolve()))
    _rehearse(built, Topology(name="check", nodes=(Node(name="a"), Node(name="b")), links=_PAIR))
    if built.budget is not None:
        _budget(shipped.find(built.budget, "budgets"), given)
    no = ", ".join(sorted(one.word for one in Operation if one not in built.operations))
    can = f"{built.name} can do {', '.join(sorted(one.word for one in built.operations))}"
    says = f"{can}; it has no {no}" if no else can
    return says if built.starts else f"{says}; its nodes are containers that a program brings"


def _gate(file: Path, given: Given) -> str:
    planned = gates.read(file)
    for one in planned.criteria:
        if one.gate is not None:
            _gate(one.gate, given)
        elif one.soak is not None:
            validate(one.soak, imports=given.imports)
            if "soak" not in tables.load(one.soak):
                raise BadFileError(
                    f"{planned.file}: criterion {one.name!r}: {one.soak}: expected a scenario with "
                    "[soak], found none"
                )
            _require_rows(planned, one.name, one.rows, _budget_of(one.soak))
        elif one.scenario is not None:
            validate(one.scenario, imports=given.imports)
            _require_rows(planned, one.name, one.rows, _budget_of(one.scenario))
    return f"{len(planned.criteria)} criteria"


def _configuration(file: Path, _: Given) -> str:
    """Ask Locust in a process of its own."""
    command = [sys.executable, "-m", "harness.load.locust.configuration", str(file)]
    asked = subprocess.run(
        command, capture_output=True, text=True, timeout=CONFIGURATION_S, check=False
    )
    if asked.returncode:
        raise BadFileError(f"{file}: cannot be read: {asked.stderr.strip().splitlines()[-1]}")
    if wrong := asked.stdout.splitlines():
        raise BadFileError("\n".join(f"{file}: {one}" for one in wrong))
    lines = file.read_text().splitlines()
    return f"{sum(bool(one.strip()) and one.strip()[0] not in '#;[' for one in lines)} options"


def _budget_of(scenario: Path) -> Path | None:
    of_suite = files.read_suite(scenario)
    return of_suite.budget if of_suite else files.read_scenario(scenario).budget


def _require_rows(planned: gates.Gate, name: str, rows: Iterable[str], budget: Path | None) -> None:
    known = [row.name for row in files.read_budget(budget).rows] if budget else []
    for row in rows:
        if row not in known:
            raise BadFileError(f"{planned.file}: criterion {name!r}: rows: {one_of(row, known)}")


_PAIR = frozenset({("a", "b")})
OF_A_SYSTEM = ("scenario", "suite", "soak", "topology")
_VALIDATORS: Mapping[str, Callable[[Path, Given], str]] = {
    "suite": _suite,
    "scenario": _scenario,
    "soak": _soak,
    "topology": _topology,
    "budget": _budget,
    "gate": _gate,
    "system": _system,
    kinds.CONFIGURATION: _configuration,
    kinds.RUN: lambda file, _: validation_of_runs.run(file),
    kinds.BUNDLE: lambda file, _: validation_of_runs.packed(file),
    kinds.SUITE_RUN: lambda file, _: validation_of_runs.of_suite(file),
    kinds.SOAK_RUN: lambda file, _: validation_of_runs.of_soak(file),
    kinds.GATE_RUN: lambda file, _: validation_of_runs.of_gate(file),
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
    abilities.require_start(built, brought=False)
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
