"""``check`` and ``init``: validate the files that a user writes, write some to begin with."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from harness.cli.shared import json_option, print_json, system_option
from harness.scenario import shipped
from harness.systems import example


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--import",
    "imports",
    is_flag=True,
    help="Import a system or a check of your own (module:Class) and check it too; that runs its "
    "code.",
)
@system_option
@json_option
def check(file: Path, *, imports: bool, system: str | None, as_json: bool) -> None:
    """Find what `up`, `run` or `judge` would refuse in FILE, without starting it.

    FILE is a topology, scenario, suite, soak, budget, gate or command file, a locust.conf, a run
    folder or a bundle, which is seen by what stands in it; or the name of a shipped scenario,
    topology or budget. With --system, what is left out for it is said.
    """
    from harness.experiments import kinds, validation
    from harness.experiments.validation import OF_A_SYSTEM

    if _is_of_the_environment("system") and kinds.kind_of(kinds.find(file)) not in OF_A_SYSTEM:
        system = None
    found = validation.validate(file, imports=imports, system=system)
    if as_json:
        print_json({"version": 1, "file": str(file), "kind": found.kind, "says": found.sentence})
    else:
        click.echo(f"{file}: a good {found.kind}: {found.sentence}")


def _is_of_the_environment(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is ParameterSource.ENVIRONMENT


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
@click.option(
    "--system",
    "own",  # no system under test: $SYSTEM is not heard
    metavar="NAME",
    help="Write a command file to begin with instead: NAME.toml, for a system of your own, and the "
    "small node that it starts until you put your program in its place.",
)
@json_option
def init(folder: Path, *, own: str | None, as_json: bool) -> None:
    """Copy topologies, scenarios, budgets, locustfiles and locust.conf into FOLDER (default:
    here), or write a command file there.
    """
    made = shipped.copy_to(folder) if own is None else example.write(own, folder)
    if as_json:
        print_json({"version": 1, "folder": str(folder.resolve()), "files": list(map(str, made))})
    elif own is None:
        click.echo(
            f"{len(made)} files copied into {folder.resolve()}. Next: harness up cluster-10 && "
            "locust"
        )
    else:
        click.echo(f"written: {', '.join(map(str, made))}. Next: harness check {made[0]}")
