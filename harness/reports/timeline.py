"""What a run plays, or played, as a table: phases with their streams, and the faults of each, with
their numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from harness.faults.fault import Fault
from harness.reports.terminal import Plain, plain
from harness.scenario.scenario import Phase, Scenario
from harness.scenario.stream import Arrivals, Stream
from harness.scenario.timeline import Timeline, stands
from harness.topology.quantities import number

NAMED = 6  # nodes of a fault's side, by name


def laid_out(scenario: Scenario, played: Timeline, system: str = "") -> RenderableType:
    """Lay out what is played: a line of all of it, and the table of its phases. `system`: what the
    one under test is called, where that is not how the files name it.
    """
    system = system or scenario.topology.adapter
    return Group(plain(_headline(scenario, played, system)), _table(scenario, played))


def _headline(scenario: Scenario, played: Timeline, system: str) -> str:
    budget = "no budget" if scenario.budget is None else f"budget {scenario.budget.stem}"
    nodes, phases = len(scenario.topology.nodes), len(scenario.phases)
    return (
        f"{scenario.name}: {nodes:,} {system} nodes "
        f"({scenario.topology.name}), {phases} phase{'s' * (phases > 1)} in "
        f"{_at(played.phases[-1].end_s or 0.0)}, seed {scenario.seed}, {budget}"
    )


def _table(scenario: Scenario, played: Timeline) -> Plain:
    """Lay out phases in their order, with their streams and the faults that first come in them."""
    table = Plain(header_style="bold", expand=False)
    for name in ("from", "until"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("phase", "what"):
        table.add_column(name, no_wrap=True)
    table.add_column("where", overflow="fold")
    faults = _faults(played)
    for phase, planned, mine in zip(scenario.phases, played.phases, faults, strict=True):
        kind = "" if planned.kind is None else f" ({planned.kind})"
        table.add_row(
            _at(planned.begin_s),
            _at(planned.end_s),
            Text(planned.name + kind, style="bold"),
            "" if planned.until is None else f"until {planned.until}, or until then",
        )
        for what, where in _loads(phase):
            table.add_row("", "", "", what, where)
        for row in mine:
            table.add_row(*row)
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


def _faults(played: Timeline) -> list[list[tuple[str, str, str, Text, str]]]:
    """List the rows of the faults that first come in each phase, or before the first one."""
    begins = [phase.begin_s for phase in played.phases]
    found: list[list[tuple[str, str, str, Text, str]]] = [[] for _ in begins]
    every = list(stands(played.changes))
    for place, fault in enumerate(played.faults, 1):
        mine = [one for one in every if one.fault is fault]
        often = f" ({len(mine)} times)" if len(mine) > 1 else ""
        does = plain(f"fault {place}, {fault.name}: {fault.does}{often}")
        phase = max(bisect_right(begins, mine[0].from_s) - 1, 0)
        from_, until = _at(mine[0].from_s), _at(mine[-1].until_s)
        found[phase].append((from_, until, "", does, _where(fault)))
    return found


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
    """Show a time, to the millisecond."""
    if seconds is None:
        return "–"
    return f"{seconds:,.3f}".rstrip("0").removesuffix(".") + " s"
