"""A gate: criteria that a release, or a night, has to meet, each shown by runs. Values, and the
file that they are read from (``gates/NAME.toml``, docs/gates.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadFileError
from harness.history.run_folders import require_name
from harness.scenario.files import beside
from harness.scenario.tables import Table, load, with_file
from harness.topology.quantities import long_time_s

KINDS = ("scenario", "soak", "gate", "command")
SHARE = 0.4  # of the time of the whole that a soak takes, unless it says another
SOAK_S = 3600.0  # of a soak where nothing says how long the whole or this takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One thing that has to hold: what is played for it, and which of the findings it asks for.

    Exactly one of `scenario` (a scenario or a suite), `soak`, `gate` and `command` is there. A
    command writes a run folder below the runs folder, in the folder `run`; it is judged as any
    other. A soak takes `share` of the time of the whole, or `takes_s` where that has no end.
    """

    name: str
    scenario: Path | None = None
    soak: Path | None = None
    share: float = SHARE
    gate: Path | None = None
    command: tuple[str, ...] = ()
    run: str = ""
    rows: tuple[str, ...] = ()  # the findings that are asked for; empty: all of them
    repeats: int = 1  # so many runs, each of which has to hold
    takes_s: float = 0.0  # about how long one run takes, where the time of the whole is limited

    def __post_init__(self) -> None:
        """Raise BadFileError where the criterion cannot be played."""
        found = [kind for kind in KINDS if getattr(self, kind)]
        if len(found) != 1:
            raise BadFileError(
                f"criterion {self.name!r}: expected one of {', '.join(KINDS)}; found "
                f"{' and '.join(found) or 'none of them'}"
            )
        if bool(self.command) != bool(self.run):
            raise BadFileError(
                f"criterion {self.name!r}: command and run go together: the command writes the run "
                "folder runs/RUN/TIME"
            )
        if self.run != Path(self.run).name:
            raise BadFileError(
                f"criterion {self.name!r}: run: expected the name of a folder below the runs "
                f"folder, found {self.run!r}"
            )
        if self.gate is not None and (self.rows or self.repeats != 1):
            raise BadFileError(
                f"criterion {self.name!r}: a gate answers as a whole and once: expected no rows "
                "and no repeats"
            )
        if not 0 < self.share < 1:
            raise BadFileError(
                f"criterion {self.name!r}: share: expected a part of the whole time, above 0 and "
                f"below 1, found {self.share}"
            )
        if not 1 <= self.repeats <= 1000:
            raise BadFileError(
                f"criterion {self.name!r}: repeats: expected 1 to 1000, found {self.repeats}"
            )

    def run_s(self, of_s: float | None) -> float:
        """About how long one run takes, in seconds, in a whole of `of_s` (None: without an end);
        0 where nobody said.
        """
        if self.soak is None:
            return self.takes_s
        return (self.takes_s or SOAK_S) if of_s is None else self.share * of_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Criteria under one name, in the order in which they are played."""

    name: str
    file: Path
    criteria: tuple[Criterion, ...]

    def __post_init__(self) -> None:
        """Raise BadFileError where there is nothing to meet, or a name stands twice."""
        require_name(f"gate-{self.name}", "gate name")
        if not self.criteria:
            raise BadFileError("expected at least one [[criterion]], found none")
        names = [one.name for one in self.criteria]
        for name in names:
            if names.count(name) > 1:
                raise BadFileError(f"criterion {name!r} stands twice")


def is_gate(path: Path) -> bool:
    """Whether a file asks to be read as a gate. Raises BadFileError where it is no TOML."""
    return "criterion" in load(path)


def read(path: Path) -> Gate:
    """Read a gate and, to find circles, the gates that it names.

    Raises BadFileError.
    """
    return _read(path, ())


def _read(path: Path, above: tuple[Path, ...]) -> Gate:
    if path.resolve() in above:
        raise BadFileError(f"{path}: the gate asks for itself")
    table = Table(load(path), str(path))
    name = table.take("name", str, path.stem)
    criteria = tuple(_criterion(path, one) for one in table.tables("criterion"))
    table.finish()
    gate = with_file(str(path), lambda: Gate(name=name, file=path, criteria=criteria))
    for one in criteria:
        if one.gate is not None:
            _read(one.gate, (*above, path.resolve()))
    return gate


def _criterion(path: Path, table: Table) -> Criterion:
    scenario, gate = table.take_or_none("scenario", str), table.take_or_none("gate", str)
    soak = table.take_or_none("soak", str)
    built = with_file(
        str(path),
        lambda: Criterion(
            name=table.take("name", str),
            scenario=beside(path, scenario, "scenarios") if scenario else None,
            soak=beside(path, soak, "scenarios") if soak else None,
            share=table.take("share", float, SHARE),
            gate=beside(path, gate, "gates") if gate else None,
            command=tuple(table.texts("command")),
            run=table.take("run", str, ""),
            rows=tuple(table.texts("rows")),
            repeats=table.take("repeats", int, 1),
            takes_s=_seconds(table),
        ),
    )
    table.finish()
    return built


def _seconds(table: Table) -> float:
    text = table.take_or_none("takes", str)
    if text is None:
        return 0.0
    seconds = with_file(f"{table.where}.takes", lambda: long_time_s(text))
    if not (math.isfinite(seconds) and seconds > 0):
        raise BadFileError(f"{table.where}.takes: expected a time above 0, found {text!r}")
    return seconds
