"""The command line: arguments in, exit code out. A thin client of the public API; nothing is
decided here.
"""

from __future__ import annotations

import click

import harness
from harness.cli import calibrate, cluster, clusters, completion, files, host, runs, saturate
from harness.cli.faults import fault
from harness.cli.shared import CommandLine

COMMANDS: list[click.Command] = [
    cluster.up,
    cluster.down,
    cluster.status,
    clusters.clusters,
    cluster.condition,
    cluster.execute,
    cluster.logs,
    runs.run,
    runs.judge,
    saturate.saturate,
    fault,
    files.check,
    files.init,
    host.capabilities,
    host.doctor,
    host.machine,
    calibrate.calibrate,
    completion.completion,
]


@click.group(
    cls=CommandLine, commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Load and chaos harness for peer-to-peer systems.

    Exit codes: 0 PASS, 1 FAIL, 2 UNKNOWN; 64 usage, 65 bad file, 69 unavailable, 70 the harness
    broke, 73 name taken, 74 disk, 77 no permission, 130 interrupted.
    """
