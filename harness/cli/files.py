"""``check`` and ``init``: validate the files that a user writes, copy those that are shipped."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import json_option, print_json
from harness.scenario import shipped


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--import",
    "imports",
    is_flag=True,
    help="Import a system or a check of your own (module:Class) and check it too; that runs its "
    "code.",
)
@json_option
def check(file: Path, *, imports: bool, as_json: bool) -> None:
    """Find what `up` or `run` would refuse in a topology, scenario, suite, budget, gate or command
    file, without starting it.
    """
    from harness.experiments import validation

    found = validation.validate(file, imports=imports)
    if as_json:
        print_json({"version": 1, "file": str(file), "kind": found.kind, "says": found.sentence})
    else:
        click.echo(f"{file}: a good {found.kind}: {found.sentence}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@json_option
def init(folder: Path, *, as_json: bool) -> None:
    """Copy topologies, scenarios, budgets, locustfiles and locust.conf into FOLDER (default:
    here).
    """
    copied = shipped.copy_to(folder)
    if as_json:
        print_json({"version": 1, "folder": str(folder.resolve()), "files": list(map(str, copied))})
        return
    click.echo(
        f"{len(copied)} files copied into {folder.resolve()}. Next: harness up cluster-10 && locust"
    )
