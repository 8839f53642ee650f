"""``profile``: what a node, or a part of the harness, does with its time or its memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from harness import profiles
from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import cluster_option, json_option, print_json, runs_option
from harness.control.client import Client
from harness.errors import BadFileError, InterruptedByUserError, UsageError
from harness.profiles.spec import SECONDS_MOST, require_who
from harness.reports.terminal import visible
from harness.topology.quantities import time_ms

SECONDS_LEAST = 1.0


@click.command()
@click.argument("who", shell_complete=words.profiled)
@click.option("--for", "for_", default="30s", show_default=True, help="For how long, as 30s.")
@click.option(
    "--with",
    "tool",
    type=words.Choice([*profiles.TABLE]),
    default=profiles.DEFAULT,
    show_default=True,
    help="By which profiler.",
)
@cluster_option
@click.option(
    "--run",
    type=click.Path(path_type=Path, file_okay=False),
    shell_complete=words.runs,
    help="Only into this run, which is to be under way.",
)
@runs_option
@json_option
def profile(
    who: str, for_: str, tool: str, cluster: str, run: Path | None, runs: Path, *, as_json: bool
) -> None:
    """Profile WHO: a node, the supervisor, the gateway, or a load worker (worker, worker-2). A
    flame graph (SVG) and its stacks go into the run that is under way, which says so, else into a
    folder of their own below --runs. Ctrl-C ends it, and keeps what it has.
    """
    seconds = time_ms(for_) / 1e3
    if not SECONDS_LEAST <= seconds <= SECONDS_MOST:
        raise UsageError(f"--for: expected 1 s to a day, found {for_}")
    with Client.connect(cluster) as client:
        try:
            require_who(who, [node["name"] for node in client.status()["nodes"]], "who")
        except BadFileError as error:
            raise UsageError(str(error).removeprefix("who: ")) from None
        params = {
            "who": who,
            "tool": tool,
            "seconds": seconds,
            "run": None if run is None else str(run.resolve()),
            "runs": str(runs.resolve()),
        }
        try:
            with shown() as progress:
                progress(f"profile of {who}", 0, 1)
                found = client.call("profile", params)
                progress(f"profile of {who}", 1, 1)
        except KeyboardInterrupt:
            raise InterruptedByUserError(
                "interrupted: the profiler ends; what it has goes where it was to go"
            ) from None
    if as_json:
        print_json({"version": 1, "who": who, "tool": tool, **found})
        return
    for line in _told(found):
        click.echo(visible(line))


def _told(found: Mapping[str, Any]) -> list[str]:
    early = ", ended before its time" if found["early"] else ""
    lines = [f"{share:7.1%}  {name}" for name, share in found["hottest"].items() if share >= 0.001]
    lines.append(f"{found['count']:,} {found['unit']}{early}: {found['svg']}")
    if not found["count"]:
        lines.append("nothing was seen: it used no CPU time, or kept no memory, meanwhile")
    lines += [f"not profiled: {problem}" for problem in found["problems"]]
    if found["run"] is not None:
        lines.append("the run's record says that it was profiled: it perturbs what is measured")
    return lines
