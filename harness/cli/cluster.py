"""``up``, ``down``, ``status``, ``condition``, ``exec``, ``logs``: one cluster and its nodes.

Who only asks a cluster does not load what reads files of scenarios: that takes longer than the
answer.
"""

from __future__ import annotations

import gc
import signal
import sys
from pathlib import Path

import click

from harness.cli import words
from harness.cli.progress import shown
from harness.cli.shared import (
    cluster_option,
    json_option,
    print_json,
    runtime_option,
    system_option,
)
from harness.control.client import Client
from harness.control.launcher import Hold
from harness.faults.words import CONDITIONS
from harness.reports.terminal import Plain, Terminal, plain, visible
from harness.scenario import shipped


@click.command()
@click.argument("topology", shell_complete=words.files("topologies"))
@cluster_option
@runtime_option
@system_option
@json_option
def up(topology: str, cluster: str, runtime: str, system: str | None, *, as_json: bool) -> None:
    """Start a cluster: TOPOLOGY is a file, or the name of a shipped one (cluster-10, cluster-100,
    cluster-1000).
    """
    from harness.experiments import cluster as clusters

    with shown() as progress, Hold() as held:
        status = clusters.up(
            shipped.find(topology, "topologies"),
            cluster=cluster,
            runtime_name=runtime,
            system=system,
            progress=progress,
            held=held,
        )
        # It is up, and stays: Ctrl-C takes it down before this line, and nothing after it.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        held.keep()
    if as_json:
        print_json(status)
    else:
        click.echo(
            f"cluster {cluster} is up: {len(status['nodes'])} {status['system']} nodes on "
            f"{status['runtime']}. Next: {_next(Path.cwd())}"
        )
    gc.freeze()  # what is left goes with this process: no search of it while nodes want the cores


def _next(folder: Path) -> str:
    """What drives the cluster from this folder: Locust finds its file by what lies there."""
    is_here = any((folder / name).exists() for name in ("locust.conf", "locustfile.py"))
    return "locust" if is_here else "harness init && locust"


@click.command()
@cluster_option
@json_option
def down(cluster: str, *, as_json: bool) -> None:
    """Take a cluster down and wait until nothing of it is left."""
    from harness.experiments import cluster as clusters

    with Terminal(stderr=True).status(plain(f"taking {cluster} down")):
        existed = clusters.down(cluster)
    if as_json:
        print_json({"version": 1, "cluster": cluster, "existed": existed})
        return
    click.echo(f"cluster {cluster} is down" if existed else f"there was no cluster {cluster}")


@click.command()
@cluster_option
@json_option
def status(cluster: str, *, as_json: bool) -> None:
    """Show a cluster: its nodes, addresses, pids and conditions."""
    with Client.connect(cluster) as client:
        found = client.status()
    if as_json:
        print_json(found)
        return
    table = Plain()
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
    Terminal().print(table)
    run = f"; recording {found['run']} ({found['phase']})" if found["run"] else ""
    click.echo(
        f"{found['cluster']}: {found['stage']}, {len(found['nodes'])} nodes on "
        f"{found['runtime']}, supervisor {found['pid']}{run}"
    )


@click.command()
@click.argument("node", shell_complete=words.nodes)
@click.argument("wanted", type=words.Choice(["running", *CONDITIONS]))
@cluster_option
@json_option
def condition(node: str, wanted: str, cluster: str, *, as_json: bool) -> None:
    """Bring a node into a condition: paused (SIGSTOP), stopped, killed, crashed, or running again
    with its identity and state; restarted is stopped and running.
    """
    with Client.connect(cluster) as client:
        found = client.call("condition", {"node": node, "condition": wanted})
    if as_json:
        print_json({"version": 1, **found})
        return
    but = f", but {found['says']}" if found["says"] else ""
    click.echo(f"{node} is {wanted}{but}")


@click.command(name="exec", context_settings={"ignore_unknown_options": True})
@click.argument("node", shell_complete=words.nodes)
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


@click.command()
@click.argument("node", shell_complete=words.nodes)
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
    """Print the last lines of a node's log; a terminal is shown its control characters, and does
    not obey them.
    """
    with Client.connect(cluster) as client:
        found = client.call("logs", {"node": node, "lines": lines})
    if as_json:
        print_json({"version": 1, "node": node, "lines": found.splitlines()})
    else:
        told = map(visible, found.splitlines()) if sys.stdout.isatty() else [found]
        click.echo("\n".join(told))
