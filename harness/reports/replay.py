"""A replay for a terminal: how near it came to its original, and verdicts side by side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from harness.checks.verdict import Answer
from harness.reports import fidelity
from harness.reports.terminal import Plain, plain
from harness.reports.text import COLOURS
from harness.scenario.timeline import Timeline


def nearness(found: Mapping[str, Any]) -> RenderableType:
    """Lay out what fidelity.json holds."""
    table = Plain(header_style="bold", expand=False)
    table.add_column("part", no_wrap=True)
    table.add_column("of 1", justify="right", no_wrap=True)
    table.add_column("what", overflow="fold")
    for line in fidelity.lines(found):
        table.add_row(*line)
    return Group(table, Text.assemble(("fidelity ", "bold"), fidelity.whole(found)))


def side_by_side(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> RenderableType:
    """Lay out verdicts beside each other, a row a finding; ≠ where they answer differently.

    Each of `rows` has the finding as each of `names` has it: phase, name, answer, measured.
    """
    table = Plain(header_style="bold", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("phase", no_wrap=True)
    table.add_column("promise", overflow="fold")
    for name in names:
        table.add_column(plain(name), overflow="fold")
    changed = 0
    for row in rows:
        differs = len({one.answer for one in row}) > 1
        changed += differs
        cells = (_cell(one.answer, one.measured) for one in row)
        table.add_row("≠" if differs else "", row[0].phase or "–", row[0].name, *cells)
    return Group(table, plain(f"{changed} of {len(rows)} findings have another answer (≠)"))


def _cell(answer: str, measured: str) -> Text:
    style = COLOURS[Answer(answer)] if answer in set(Answer) else "dim"
    return Text.assemble(
        (answer, style), plain(f" {measured}" if measured not in ("", "–") else "")
    )


def timeline(of: Timeline) -> RenderableType:
    """Lay out a timeline: when phases begin, and which fault comes and goes, by its number."""
    table = Plain(header_style="bold", expand=False)
    table.add_column("at", justify="right", no_wrap=True)
    table.add_column("what", no_wrap=True)
    table.add_column("name", overflow="fold")
    table.add_column("does", overflow="fold")
    for at_s, *cells in sorted(_moments_of(of), key=lambda one: one[0]):
        table.add_row(f"{at_s:.6f} s", *cells)
    return table


def _moments_of(of: Timeline) -> Iterator[tuple[float, str, str, str]]:
    for phase in of.phases:
        yield phase.begin_s, "phase", phase.name, ""
    order = {id(fault): position for position, fault in enumerate(of.faults, 1)}
    for change in of.changes:
        fault = change.fault
        where = f"{fault.count:,} path{'s' * (fault.count > 1)}"
        where = where if fault.count else ", ".join((*fault.nodes, *{**fault.up, **fault.down}))
        does = f"{fault.does}: {where}" if str(change.verb) == "set" else ""
        yield change.at_s, f"{change.verb} fault {order[id(fault)]}", fault.name, does
    if of.phases and of.phases[-1].end_s is not None:
        yield of.phases[-1].end_s, "end", "", ""
