"""``check`` and ``init``: validate the files that a user writes, copy those that are shipped."""

from __future__ import annotations

from pathlib import Path

import click

from harness.cli.shared import json_option, print_json
from harness.errors import BadFileError
from harness.scenario import files, shipped

# The folder that a file lies in says its kind; elsewhere its words do.
CHECK_KINDS = {"topologies": "topology", "scenarios": "scenario", "budgets": "budget"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Validate a topology, scenario or budget without running it."""
    kind, sentence = validate(file)
    if as_json:
        print_json({"version": 1, "file": str(file), "kind": kind, "says": sentence})
    else:
        click.echo(f"{file}: a good {kind}: {sentence}")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> None:
    """Copy topologies, scenarios, budgets, locustfiles and locust.conf into FOLDER (default:
    here).
    """
    copied = shipped.copy_to(folder)
    click.echo(
        f"{len(copied)} files copied into {folder.resolve()}. Next: harness up cluster-10 && locust"
    )


def validate(file: Path) -> tuple[str, str]:
    """Validate a file; returns its kind and a sentence about it. Raises BadFileError."""
    from harness.checks import rows as budget_check
    from harness.experiments import run, suite

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    kind = CHECK_KINDS.get(file.resolve().parent.name) or guess_kind(text)
    if kind == "scenario":
        planned = files.read_suite(file)
        if planned is not None:
            suite.check(planned)
            return "suite", f"{len(planned.parts)} scenarios"
        scenario = files.read_scenario(file)
        run.check(scenario)
        return kind, f"{len(scenario.phases)} phases on {len(scenario.topology.nodes)} nodes"
    if kind == "budget":
        rows = files.read_budget(file).rows
        budget_check.validate(rows)
        return kind, f"{len(rows)} rows"
    topology = files.read_topology(file)
    return (
        "topology",
        (
            f"{len(topology.nodes)} nodes, {len(topology.links)} links, {len(topology.regions)} "
            "regions"
        ),
    )


def guess_kind(text: str) -> str:
    """Guess the kind of a file outside the known folders by its words."""
    lines = {line.split("=")[0].strip() for line in text.splitlines()}
    if "[[phase]]" in lines:
        return "scenario"
    if "parts" in lines:
        return "scenario"
    return "budget" if "[[row]]" in lines else "topology"
