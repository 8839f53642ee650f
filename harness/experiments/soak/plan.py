"""What a soak will play: everything is read, drawn and checked before anything starts."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean, listed
from harness.errors import BadFileError, UsageError
from harness.experiments import run as single_run
from harness.experiments.run import Play
from harness.experiments.soak import default, growth
from harness.experiments.soak.folder import SoakFolder
from harness.history.folder import translated
from harness.scenario import files, shipped, soak, timeline, writer
from harness.scenario.scenario import Scenario
from harness.scenario.soak import Soak
from harness.scenario.tables import load
from harness.scenario.timeline import Timeline
from harness.systems import abilities, adapters

LOTS = 8  # of a window's churn, until somebody leaves
OF_WINDOWS = "windows"  # in `inputs`: the budget without what is about all of a soak


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The files of a soak. `scenario` names the file even where it was made for a topology."""

    scenario: Path
    text: str
    topology: Path
    budget: Path | None
    system: str

    def inputs(self) -> dict[str, str]:
        """Return the texts that its folder keeps, by their path in it."""
        found = {self.input_of(self.scenario, "scenarios"): self.text}
        found[self.input_of(self.topology, "topologies")] = self.topology.read_text()
        if self.budget is not None:
            found[self.input_of(self.budget, "budgets")] = self.budget.read_text()
            found[self.input_of(self.budget, OF_WINDOWS)] = growth.without_slopes(self.budget)
        return found

    @staticmethod
    def input_of(file: Path, kind: str) -> str:
        """Return where a file's text is in the folder; its name stays, which others go by."""
        return f"inputs/{kind}/{file.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedWindow:
    """One window: the document of its scenario, what that is, and what was left out of it."""

    number: int
    document: Mapping[str, Any]
    scenario: Scenario
    timeline: Timeline
    notes: tuple[str, ...] = ()


def source(what: str, system: str | None) -> Source:
    """Find what is named: a scenario with ``[soak]``, or a topology, for which one is made.

    Raises BadFileError, UsageError.
    """
    file = _find(what)
    values = load(file)
    if soak.is_soak(values):
        text, scenario, topology = file.read_text(), file, files.topology_of(file)
    elif {"phase", "parts", "row"} & values.keys():
        raise UsageError(
            f"{file}: expected a scenario with [soak] (docs/soak.md), or a topology; `harness run` "
            "plays a scenario of phases"
        )
    else:
        built, topology = adapters.with_system(files.read_topology(file), system), file
        operations = adapters.named(built.adapter).operations
        text = writer.text_of(default.document(built, str(file.resolve()), operations))
        scenario = file.with_name(f"soak-{file.stem}.toml")
    planned = files.scenario_from(_first(text, scenario), scenario, system)
    return Source(
        scenario=scenario,
        text=text,
        topology=topology,
        budget=planned.budget,
        system=adapters.with_system(planned.topology, system).adapter,
    )


def _first(text: str, scenario: Path) -> dict[str, object]:
    return soak.first_window(tomllib.loads(text), str(scenario))


def _find(what: str) -> Path:
    """Find a file by its path, or by the name of a scenario or else of a topology."""
    folders = ("scenarios", "topologies")
    for folder in folders:
        try:
            return shipped.find(what, folder)
        except BadFileError:
            continue
    known = sorted({*shipped.soaks(), *shipped.names("topologies")})
    raise BadFileError(
        f"{what}: no such file, and no soak or topology of that name; there are "
        f"{listed(known, what)}{did_you_mean(what, known)}"
    )


def read(text: str, scenario: Path, *, seed: int | None, window_s: float | None) -> Soak:
    """Read the soak of a scenario's text, with another seed or length of its windows. Raises
    BadFileError.
    """
    found = soak.with_seed(soak.soak_from(tomllib.loads(text), str(scenario)), seed)
    if window_s is None:
        return found
    if window_s < found.least_s:
        raise UsageError(
            f"--window: expected at least {found.least_s:g} s, which the phases of a window take; "
            f"found {window_s:g} s"
        )
    return replace(found, window_s=window_s)


def windows(asked: Soak, lengths_s: list[float], of: Source) -> list[PlannedWindow]:
    """Draw and compile each window.

    Raises BadFileError, UsageError as `run.check` does, and where churn or faults were asked for
    and come in no window.
    """
    found, refused = list[PlannedWindow](), ""
    for number, seconds in enumerate(lengths_s, 1):
        one, why = _window(asked, number, seconds, of)
        refused = refused or why
        found.append(one)
    if asked.churn and not any(phase["churn"] for one in found for phase in _chaos(one)):
        raise BadFileError(f"{of.scenario}: no window has churn: {refused}")
    if asked.faults and not any(phase["fault"] for one in found for phase in _chaos(one)):
        raise BadFileError(
            f"{of.scenario}: no fault fits into the chaos of a window: expected longer windows, "
            "or a shorter for_s"
        )
    single_run.check(found[0].scenario)
    return found


def _chaos(one: PlannedWindow) -> list[Mapping[str, Any]]:
    return [phase for phase in one.document["phase"] if phase["name"] == "chaos"]


def _window(asked: Soak, number: int, seconds: float, of: Source) -> tuple[PlannedWindow, str]:
    """Draw one window, its churn again where by the lot nobody would leave; and say why it has none
    where that is so each time.
    """
    why = ""
    for lot in range(1, LOTS + 1):
        document: dict[str, Any] = asked.window(number, seconds, lot)
        try:
            return _compiled(number, document, of, ()), ""
        except BadFileError as error:
            why = why or str(error)
            if not asked.churn:
                break
    for phase in document["phase"]:
        if "churn" in phase:
            phase["churn"] = []
    try:
        return _compiled(number, document, of, (f"no churn in this window: {why}",)), why
    except BadFileError as error:
        raise BadFileError(f"window {number}: {error}") from None


def _compiled(
    number: int, document: dict[str, Any], of: Source, notes: tuple[str, ...]
) -> PlannedWindow:
    planned = abilities.fitted(
        files.scenario_from(dict(document), of.scenario, of.system), of.system
    )
    return PlannedWindow(
        number=number,
        document=document,
        scenario=planned,
        timeline=timeline.compile(planned),
        notes=notes,
    )


def play_of(folder: SoakFolder, number: int) -> tuple[Play, tuple[str, ...]]:
    """Return what is played in a window of a soak's folder, its file written; and what was left
    out. Raises BadFileError, StorageError.
    """
    asked = folder.asked
    scenario = folder.path / asked.scenario
    text = scenario.read_text()
    whole = read(text, scenario, seed=asked.seed, window_s=None)
    with translated(folder.path):
        folder.window_folder(number).mkdir(parents=True, exist_ok=True)
    kept = Source(
        scenario=folder.window_folder(number) / scenario.name,
        text=text,
        topology=folder.path / asked.topology,
        budget=None if asked.budget is None else folder.path / asked.budget,
        system=asked.system,
    )
    own = asked.instead_of or asked.system
    beside = {"topology": f"../../{asked.topology}", "system": own}
    if asked.budget is not None:
        beside["budget"] = f"../../inputs/{OF_WINDOWS}/{Path(asked.budget).name}"
    whole = replace(whole, others={**whole.others, **beside})
    planned, _ = _window(whole, number, asked.lengths_s[number - 1], kept)
    made = writer.text_of(planned.document)
    with translated(kept.scenario):
        kept.scenario.write_text(made)
    return Play(
        scenario=planned.scenario,
        timeline=planned.timeline,
        source=kept.scenario,
        files={"scenario.toml": made, "topology.toml": kept.topology.read_text()},
        facts={"soak": {"name": asked.name, "window": number}},
    ), planned.notes
