"""``metrics``: a cluster and its run as metrics, for a Prometheus of one's own."""

from __future__ import annotations

import os
import signal
import sys
import threading
from contextlib import suppress

import click

from harness.cli import words
from harness.cli.shared import cluster_option, json_option, print_json
from harness.control import state
from harness.errors import InterruptedByUserError, UsageError
from harness.monitoring import exporter, rules
from harness.scenario import shipped
from harness.scenario.files import read_budget

PORT = 9489
NICE = 19  # whatever is measured goes first


@click.command()
@cluster_option
@click.option(
    "--port",
    type=click.IntRange(0, 65_535),
    default=PORT,
    show_default=True,
    help="Where it listens; 0: any port that is free.",
)
@click.option("--bind", default="127.0.0.1", show_default=True, help="The address it listens at.")
@click.option("--once", is_flag=True, help="Print what a scrape would say now, and end.")
@click.option(
    "--rules",
    "budget",
    metavar="BUDGET",
    shell_complete=words.files("budgets"),
    help="Print alert rules: one for each row of this budget.",
)
@click.option("--scrape-config", is_flag=True, help="Print what prometheus.yml says of it.")
@json_option
def metrics(
    cluster: str,
    port: int,
    bind: str,
    budget: str | None,
    *,
    once: bool,
    scrape_config: bool,
    as_json: bool,
) -> None:
    """Serve metrics of a cluster to Prometheus, until Ctrl-C; it goes on when the cluster ends, and
    tells of the next one of that name (docs/monitoring.md).
    """
    name = state.cluster_name(cluster)
    if once + scrape_config + (budget is not None) > 1:
        raise UsageError("--once, --rules and --scrape-config: expected one of them at most")
    if as_json and not once:
        raise UsageError("--json goes with --once; Prometheus is served its own format")
    if budget is not None:
        file = shipped.find(budget, "budgets")
        click.echo(rules.of_budget(read_budget(file), file.stem), nl=False)
    elif scrape_config:
        click.echo(rules.scrape_config(name, bind, port or PORT), nl=False)
    elif once:
        _tell(exporter.Once(name), as_json=as_json)
    else:
        _serve(name, bind, port)


def _tell(seen: exporter.Once, *, as_json: bool) -> None:
    """Print what is seen, also that there is no cluster; then say why."""
    if as_json:
        print_json(seen.as_json())
    else:
        click.echo(seen.as_text(), nl=False)
    if seen.refusal is not None:
        raise seen.refusal


def _serve(cluster: str, bind: str, port: int) -> None:
    """Serve until somebody ends it."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    with exporter.Exporter(cluster, bind, port) as made:
        host = f"[{bind}]" if ":" in bind else bind
        click.echo(
            f"metrics of cluster {cluster}: http://{host}:{made.port}/metrics (Ctrl-C ends it)",
            err=True,
        )
        try:
            ended.wait()
        except KeyboardInterrupt:
            sys.exit(InterruptedByUserError.exit_code)
