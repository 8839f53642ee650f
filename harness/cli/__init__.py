"""The command line: arguments in, exit code out. A thin client of the public API; nothing is
decided here.

A command's module is imported when the command is wanted: beside hundreds of nodes that keep the
host busy, what a judge needs would take `harness fault cut` seconds to import.
"""

from __future__ import annotations

import click

import harness
from harness.cli import completion  # noqa: F401 - shells are answered by what it registers
from harness.cli.shared import CommandLine, Commands

# Name → where the command is: a module here, and its name there.
HOMES = {
    "up": "cluster.up",
    "down": "cluster.down",
    "status": "cluster.status",
    "clusters": "clusters.clusters",
    "condition": "cluster.condition",
    "exec": "cluster.execute",
    "logs": "cluster.logs",
    "run": "runs.run",
    "judge": "runs.judge",
    "gate": "gate.gate",
    "history": "history.history",
    "runs": "run_folders.runs",
    "replay": "replay.replay",
    "bundle": "replay.bundle",
    "scenarios": "scenarios.scenarios",
    "soak": "soak.soak",
    "saturate": "saturate.saturate",
    "shrink": "shrink.shrink",
    "compare": "compare.compare",
    "baseline": "compare.baseline",
    "fault": "faults.fault",
    "check": "files.check",
    "init": "files.init",
    "capabilities": "host.capabilities",
    "doctor": "host.doctor",
    "machine": "host.machine",
    "calibrate": "calibrate.calibrate",
    "metrics": "metrics.metrics",
    "profile": "profile.profile",
    "completion": "completion.completion",
}


@click.group(
    cls=CommandLine,
    commands=Commands(HOMES),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(harness.__version__, prog_name="harness")
def main() -> None:
    """Load and chaos harness for peer-to-peer systems.

    Exit codes: 0 PASS, 1 FAIL, 2 UNKNOWN; 64 usage, 65 bad file, 69 unavailable, 70 the harness
    broke, 73 name taken, 74 disk, 77 no permission, 130 interrupted.
    """
