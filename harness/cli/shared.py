"""What all commands share: errors as one sentence with the exit code of their kind, and common
options.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

import click

from harness import runtimes
from harness.errors import HarnessError, InterruptedByUserError
from harness.systems import adapters

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose errors are one sentence on stderr and the exit code of their kind."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except HarnessError as error:
            click.echo(f"harness: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("harness: interrupted", err=True)
            ctx.exit(InterruptedByUserError.exit_code)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


def cluster_option(function: F) -> F:
    """Add ``--cluster``."""
    return click.option(
        "--cluster",
        envvar="HARNESS_CLUSTER",
        show_envvar=True,
        default="main",
        show_default=True,
        help="Which cluster.",
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON (versioned, see docs/interfaces.md)."
    )(function)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    click.echo(json.dumps(value, indent=1))


runtime_option = click.option(
    "--runtime",
    envvar="RUNTIME",
    show_envvar=True,
    type=click.Choice([runtimes.AUTO, *runtimes.TABLE]),
    default=runtimes.AUTO,
    show_default=True,
    help="Where nodes live; auto is Docker where an engine answers, else network namespaces.",
)

system_option = click.option(
    "--system",
    envvar="SYSTEM",
    show_envvar=True,
    help=f"The system under test: {', '.join(adapters.TABLE)}, a command file (.toml), or "
    "module:Class of your own; default: what the file names.",
)
