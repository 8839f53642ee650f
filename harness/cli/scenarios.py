"""``scenarios``: what there is to be played."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import json_option, print_json
from harness.reports.terminal import Plain, Terminal
from harness.scenario.overview import Overview, overviews


@click.command()
@click.argument(
    "folder", type=click.Path(path_type=Path, exists=True, file_okay=False), required=False
)
@json_option
def scenarios(folder: Path | None, *, as_json: bool) -> None:
    """Show the scenarios that `harness run` knows by name, or those of FOLDER: how many nodes, how
    long, which faults, and what each asks.
    """
    found = overviews(folder)
    if as_json:
        print_json({"version": 1, "scenarios": [_as_json(one) for one in found]})
        return
    table = Plain(padding=(0, 2, 0, 0))
    for column in ("name", "nodes", "length"):
        table.add_column(column, no_wrap=True, justify="left" if column == "name" else "right")
    table.add_column("faults", overflow="fold", max_width=24)
    table.add_column("what it asks", overflow="fold", ratio=1)
    for one in found:
        length = f"{one.seconds:,.0f} s"
        table.add_row(one.name, f"{one.nodes:,}", length, _listed(one), one.sentence)
    if found:
        Terminal().print(table)
    click.echo(f"{len(found)} scenarios; `harness run NAME` plays one, `harness init` copies them")


def _as_json(one: Overview) -> dict[str, object]:
    """One scenario as plain values."""
    return {
        "name": one.name,
        "file": str(one.file),
        "nodes": one.nodes,
        "seconds": one.seconds,
        "system": one.system,
        "operations": list(one.operations),
        "faults": list(one.faults),
        "rows": one.rows,
        "parts": list(one.parts),
        "sentence": one.sentence,
    }


def _listed(one: Overview) -> str:
    """The faults of a scenario in a cell: cuts of several patterns are counted."""
    cuts = [what for what in one.faults if what.startswith("cut ")]
    if len(cuts) <= 1:
        return ", ".join(one.faults) or "–"
    others = [what for what in one.faults if what not in cuts]
    return ", ".join([*others, f"{len(cuts)} cuts"])
