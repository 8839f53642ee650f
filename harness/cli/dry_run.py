"""``run --dry-run``: the compiled timeline as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
from rich.text import Text

from harness.cli.shared import print_json
from harness.experiments.dry_run import DryRun, compiled
from harness.faults.fault import Fault, Verb
from harness.reports import text
from harness.reports.terminal import Plain, plain
from harness.scenario.scenario import Phase
from harness.scenario.stream import Arrivals, Stream
from harness.scenario.timeline import PlannedPhase
from harness.topology.quantities import number

VERSION = 1
NAMED = 6  # nodes of a fault's side, by name


def tell(scenario: Path, system: str | None, *, as_json: bool) -> None:
    """Print what a run of a scenario or a suite would play."""
    found = compiled(scenario, system)
    if as_json:
        print_json({"version": VERSION, "scenarios": [one.as_json() for one in found]})
        return
    for one in found:
        click.echo(_headline(one))
        click.echo(text.to_text(_table(one)))
    click.echo("Nothing was started: without --dry-run it is played.")


def _headline(found: DryRun) -> str:
    planned, last = found.planned, found.played.phases[-1]
    budget = "no budget" if planned.budget is None else f"budget {planned.budget.stem}"
    nodes, phases = len(planned.topology.nodes), len(planned.phases)
    return (
        f"{planned.name}: {nodes:,} {planned.topology.adapter} nodes ({planned.topology.name}), "
        f"{phases} phase{'s' * (phases > 1)} in {number(last.end_s or 0.0)} s, seed "
        f"{planned.seed}, {budget}"
    )


def _table(found: DryRun) -> Plain:
    """Lay out phases in their order, with their streams and the faults that begin in them."""
    table = Plain(header_style="bold", expand=False)
    for name in ("from", "until"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("phase", "what"):
        table.add_column(name, no_wrap=True)
    table.add_column("where", overflow="fold")
    for phase, played in zip(found.planned.phases, found.played.phases, strict=True):
        kind = "" if played.kind is None else f" ({played.kind})"
        table.add_row(
            _at(played.begin_s),
            _at(played.end_s),
            Text(played.name + kind, style="bold"),
            "" if played.until is None else f"until {played.until}, or until then",
        )
        for what, where in _loads(phase):
            table.add_row("", "", "", what, where)
        for fault, times in _faults(found, played):
            often = f" ({len(times)} times)" if len(times) > 1 else ""
            does = plain(f"fault {fault.name}: {fault.does}{often}")
            table.add_row(_at(times[0][0]), _at(times[-1][1]), "", does, _where(fault))
    return table


def _loads(phase: Phase) -> Iterator[tuple[str, str]]:
    """Say what each stream sends, and who does to whom."""
    for stream in phase.streams:
        yield f"{stream.operation.word} {_rate(stream)}", _parties(stream)
    if phase.iperf3 is not None:
        yield "iperf3", " -> ".join(phase.iperf3)
    if not phase.streams and phase.iperf3 is None:
        yield "no load", ""


def _rate(stream: Stream) -> str:
    said = f"{number(stream.rate_per_s)}/s"
    if stream.profile is not None:
        said = " ".join(f"{number(rate)}/s at {number(at)} s" for at, rate in stream.profile.points)
    if stream.arrivals is not Arrivals.UNIFORM:
        said += f", {stream.arrivals.value}"
    if stream.operation.spec.payload is not None:
        said += f", {stream.payload_bytes:,} B"
    said += "" if stream.count is None else f", {stream.count:,} in all"
    return said + (f", after {number(stream.after_s)} s" if stream.after_s else "")


def _parties(stream: Stream) -> str:
    sources = _some(stream.sources) if stream.sources else "any node"
    return sources if stream.target is None else f"{sources} -> {stream.target}"


def _faults(
    found: DryRun, phase: PlannedPhase
) -> Iterator[tuple[Fault, list[tuple[float, float | None]]]]:
    """Yield the faults that first come in a phase, each with when it comes and goes."""
    for fault in found.played.faults:
        mine = [change for change in found.played.changes if change.fault is fault]
        comes = [change.at_s for change in mine if change.verb is Verb.SET]
        goes: list[float | None] = [one.at_s for one in mine if one.verb is Verb.CLEAR]
        goes += [None] * (len(comes) - len(goes))
        end_s = float("inf") if phase.end_s is None else phase.end_s
        if phase.begin_s <= comes[0] < end_s:
            yield fault, list(zip(comes, goes, strict=True))


def _where(fault: Fault) -> str:
    """Say which nodes or paths a fault touches."""
    if fault.nodes:
        return _some(fault.nodes)
    said = []
    if fault.far:
        sides = [_some(group) for group in fault.groups[:NAMED]]
        more = len(fault.groups) - len(sides)
        said.append(" | ".join([*sides, *([f"{more} more sides"] if more else [])]))
    elif fault.count:
        said.append(fault.words)
    if fault.count:
        said.append(f"{fault.count:,} path{'s' * (fault.count > 1)}")
    links = sorted({*fault.up, *fault.down})
    said += [f"the link{'s' * (len(links) > 1)} of {_some(links)}"] if links else []
    return ": ".join(said)


def _some(names: Sequence[str]) -> str:
    """List names, of many the first."""
    shown = list(names[:NAMED])
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more:,} more"] if more else [])])


def _at(seconds: float | None) -> str:
    return "–" if seconds is None else f"{number(seconds)} s"
