"""The command line: arguments in, exit code out. A thin client of the public API; nothing is
decided here.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

import harness
from harness.cli.faults import fault
from harness.cli.shared import Group, cluster_option, json_option, print_json
from harness.control import state
from harness.control.client import Client
from harness.errors import BadFileError, StorageError, UsageError
from harness.reports import FORMATS
from harness.scenario import files, shipped
from harness.systems.adapters import TABLE as SYSTEMS

STAGES = {
    "wire": "wiring namespaces",
    "start": "starting nodes",
    "ready": "nodes ready",
    "load": "load, seconds",
}
CHECK_KINDS = {"topologies": "topology", "scenarios": "scenario", "budgets": "budget"}


runtime_option = click.option(
    "--runtime",
    envvar="RUNTIME",
    show_envvar=True,
    type=click.Choice(["auto", "docker", "netns"]),
    default="auto",
    show_default=True,
    help="Where nodes live; auto is Docker where an engine answers, else network namespaces.",
)


system_option = click.option(
    "--system",
    envvar="SYSTEM",
    show_envvar=True,
    help=f"The system under test: {', '.join(SYSTEMS)}, a command file (.toml), or "
    "module:Class of your own; default: what the file names.",
)


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Load and chaos harness for peer-to-peer systems.

    Exit codes: 0 PASS, 1 FAIL, 2 UNKNOWN; 64 usage, 65 bad file, 69 unavailable, 70 the harness
    broke, 73 name taken, 74 disk, 77 no permission, 130 interrupted.
    """


main.add_command(fault)


@main.command()
@click.argument("topology")
@cluster_option
@runtime_option
@system_option
@json_option
def up(topology: str, cluster: str, runtime: str, system: str | None, *, as_json: bool) -> None:
    """Start a cluster: TOPOLOGY is a file, or the name of a shipped one (cluster-10, cluster-100,
    cluster-1000).
    """
    with bars() as progress:
        status = harness.up(
            shipped.find(topology, "topologies"),
            cluster=cluster,
            runtime_name=runtime,
            system=system,
            progress=progress,
        )
    if as_json:
        print_json(status)
    else:
        click.echo(
            f"cluster {cluster} is up: {len(status['nodes'])} {status['system']} nodes on "
            f"{status['runtime']}. Next: locust"
        )


@main.command()
@cluster_option
def down(cluster: str) -> None:
    """Take a cluster down and wait until nothing of it is left."""
    with Console(stderr=True).status(f"taking {cluster} down"):
        existed = harness.down(cluster)
    click.echo(f"cluster {cluster} is down" if existed else f"there was no cluster {cluster}")


@main.command()
@cluster_option
@json_option
def status(cluster: str, *, as_json: bool) -> None:
    """Show a cluster: its nodes, addresses, pids and conditions."""
    with Client.connect(cluster) as client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("name", "address", "region", "condition", "pid"):
        table.add_column(column)
    for node in found["nodes"]:
        table.add_row(
            node["name"],
            node["address"],
            node["region"],
            node["condition"],
            str(node["pid"] or "–"),
        )
    Console().print(table)
    run = f"; recording {found['run']} ({found['phase']})" if found["run"] else ""
    click.echo(
        f"{found['cluster']}: {found['stage']}, {len(found['nodes'])} nodes on "
        f"{found['runtime']}, supervisor {found['pid']}{run}"
    )


@main.command()
@click.argument("scenario")
@cluster_option
@runtime_option
@system_option
@click.option(
    "--runs",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where run folders go.",
)
@click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Load workers."
)
@json_option
def run(
    scenario: str,
    cluster: str,
    runtime: str,
    system: str | None,
    runs: Path,
    workers: int,
    *,
    as_json: bool,
) -> None:
    """Play SCENARIO (a file, or the name of a shipped one) and judge it; starts the cluster if none
    is up.
    """
    with bars() as progress:
        judged = harness.run(
            shipped.find(scenario, "scenarios"),
            cluster=cluster,
            runtime_name=runtime,
            runs=runs,
            workers=workers,
            system=system,
            progress=progress,
        )
    tell(judged, as_json=as_json)


@main.command()
@click.argument("run", type=click.Path(path_type=Path), default=Path("runs/latest"))
@click.option(
    "--budget",
    help="Judge by another budget: a file, or the name of a shipped one. Writes nothing.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", *FORMATS]),
    default="text",
    show_default=True,
    help="How to tell it.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write there instead of to standard output.",
)
@json_option
def judge(
    run: Path, budget: str | None, format_: str, output: Path | None, *, as_json: bool
) -> None:
    """Judge a run folder (default: the latest); the same verdict comes out anywhere, later."""
    judged = harness.judge(run, shipped.find(budget, "budgets") if budget else None)
    if (format_, output) == ("text", None):
        tell(judged, as_json=as_json)
    said = judged.rendered("json" if as_json else format_)
    if output is None:
        click.echo(said, nl=False)
    else:
        try:
            output.write_text(said)
        except OSError as error:
            raise StorageError(f"{output}: cannot be written: {error.strerror}") from error
    sys.exit(judged.exit_code)


@main.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("node")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@cluster_option
def execute(node: str, command: tuple[str, ...], cluster: str) -> None:
    """Run a command in a node's network namespace: harness exec node-3 -- ss -tn."""
    with Client.connect(cluster) as client:
        found = client.call(
            "exec",
            {"node": node, "argv": list(command)},
            [sys.stdin.fileno(), sys.stdout.fileno(), sys.stderr.fileno()],
        )
    code = int(found["exit_code"])
    sys.exit(code if code >= 0 else 128 - code)


@main.command()
@click.argument("node")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(1, 100_000),
    default=50,
    show_default=True,
    help="How many of the last lines.",
)
@cluster_option
@json_option
def logs(node: str, lines: int, cluster: str, *, as_json: bool) -> None:
    """Print the last lines of a node's log."""
    with Client.connect(cluster) as client:
        found = client.call("logs", {"node": node, "lines": lines})
    if as_json:
        print_json({"version": 1, "node": node, "lines": found.splitlines()})
    else:
        click.echo(found)


@main.command()
@click.argument("node")
@click.argument("wanted", type=click.Choice(["running", "paused", "stopped"]))
@cluster_option
def condition(node: str, wanted: str, cluster: str) -> None:
    """Bring a node into a condition: paused (SIGSTOP), stopped, or running again with its identity
    and state.
    """
    with Client.connect(cluster) as client:
        client.call("condition", {"node": node, "condition": wanted})
    click.echo(f"{node} is {wanted}")


@main.command()
@json_option
def capabilities(*, as_json: bool) -> None:
    """What this kernel and user can do, found by trying."""
    from harness.host import capabilities as probing

    found = probing.probe()
    if as_json:
        click.echo(found.as_json())
        return
    table = Table(box=None, pad_edge=False)
    for column in ("capability", "here", "detail", "needed for"):
        table.add_column(column, overflow="fold")
    for one in found.capabilities:
        table.add_row(
            one.name,
            "[green]yes[/]" if one.available else "[yellow]no[/]",
            one.detail,
            one.needed_for,
        )
    Console().print(table)
    click.echo(
        "faults here: "
        + ", ".join(
            f"{what} by {by}" if by != "none" else f"no {what}"
            for what, by in found.backends.items()
        )
    )


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "--timeout",
    default=900.0,
    show_default=True,
    metavar="SECONDS",
    type=click.FloatRange(min=0, min_open=True),
    help="Of this host's time: the machine's own goes slower.",
)
def machine(command: tuple[str, ...], timeout: float) -> None:
    """Run a command in a throw-away machine over this host's files: QEMU and a stock kernel, which
    has netem.

    harness machine -- sh -c 'tc qdisc add dev lo root netem delay 10ms; ping -c 3 127.0.0.1'
    """
    from harness.runtimes.machine import run as run_inside

    code, _ = run_inside(
        command,
        directory=Path.cwd(),
        timeout_s=timeout,
        progress=lambda what: click.echo(f"machine: {what}", err=True),
        heard=lambda text: click.echo(text, nl=False),
    )
    sys.exit(code)


@main.command()
@json_option
def doctor(*, as_json: bool) -> None:
    """Remove what dead clusters left behind; living ones are not touched."""
    from harness.control import cleanup

    removed = cleanup.doctor()
    living = [name for name in state.clusters() if state.is_alive(name)]
    if as_json:
        print_json({"version": 1, "removed": removed, "running": living})
        return
    for cluster, things in removed.items():
        click.echo(f"{cluster}: removed {', '.join(things)}")
    click.echo(f"{len(removed)} dead clusters removed; running: {', '.join(living) or 'none'}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check(file: Path, *, as_json: bool) -> None:
    """Validate a topology, scenario or budget without running it."""
    kind, sentence = checked(file)
    if as_json:
        print_json({"version": 1, "file": str(file), "kind": kind, "says": sentence})
    else:
        click.echo(f"{file}: a good {kind}: {sentence}")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path())
def init(folder: Path) -> None:
    """Copy topologies, scenarios, budgets, locustfiles and locust.conf into FOLDER (default:
    here).
    """
    copied = shipped.copy_to(folder)
    click.echo(
        f"{len(copied)} files copied into {folder.resolve()}. Next: harness up cluster-10 && locust"
    )


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(harness completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    click.echo(found(main, {}, "harness", "_HARNESS_COMPLETE").source())


def checked(file: Path) -> tuple[str, str]:
    """What kind of file it is and a sentence about it. Raises BadFileError."""
    from harness.checks import rows as budget_check
    from harness.experiments import run, suite

    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    kind = CHECK_KINDS.get(file.resolve().parent.name) or guessed(text)
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


def guessed(text: str) -> str:
    """The kind of a file outside the known folders, by its own words."""
    lines = {line.split("=")[0].strip() for line in text.splitlines()}
    if "[[phase]]" in lines:
        return "scenario"
    if "parts" in lines:
        return "scenario"
    return "budget" if "[[row]]" in lines else "topology"


def tell(judged: Any, *, as_json: bool) -> None:
    """Print a verdict and exit with its code."""
    if as_json:
        print_json(judged.as_json())
    else:
        console = Console() if sys.stdout.isatty() else Console(width=150)
        console.print(judged.report())
    sys.exit(judged.exit_code)


@contextmanager
def bars() -> Iterator[Callable[[str, int, int], None]]:
    """Progress bars on stderr, one a stage; silent where stderr is no terminal."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    console = Console(stderr=True)
    # SIGTERM ends like Ctrl-C: what was started is taken back.
    signal.signal(signal.SIGTERM, lambda *_: os.kill(os.getpid(), signal.SIGINT))
    with Progress(*columns, console=console, disable=not console.is_terminal) as shown:
        tasks: dict[str, Any] = {}

        def progress(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = shown.add_task(STAGES.get(stage, stage), total=total)
            shown.update(tasks[stage], completed=done, total=total)

        yield progress
