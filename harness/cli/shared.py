"""What all commands share: errors as one sentence with the exit code of their kind, and common
options.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any, NoReturn, TypeVar

import click
from click.shell_completion import CompletionItem

from harness import runtimes
from harness.control import state
from harness.control.client import Client
from harness.errors import (
    HarnessError,
    InterruptedByUserError,
    StorageError,
    UsageError,
    meant,
)
from harness.scenario import shipped
from harness.systems import adapters

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """A group of commands that says which one was meant."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command that is asked for. Raises click.UsageError."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = meant(args[0], self.list_commands(ctx))
            raise click.UsageError(f"{error.message}{hint}", error.ctx) from None


class CommandLine(Commands):
    """The whole command line: every error is told on stderr, with the exit code of its kind.

    click's own codes (2 for usage, 1 for the rest) are those of verdicts, so none of them is used.
    """

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run a command and exit: 0, 1 and 2 only where the command itself says so."""
        try:
            sys.exit(super().main(*args, **{**settings, "standalone_mode": False}))
        except click.ClickException as error:
            error.show()
            if hint := _meant_choice(error):
                click.echo(hint, err=True)
            code = UsageError.exit_code
        except HarnessError as error:
            click.echo(f"harness: {error}", err=True)
            code = error.exit_code
        except click.Abort:
            click.echo("harness: interrupted", err=True)
            code = InterruptedByUserError.exit_code
        except Exception:
            traceback.print_exc()
            code = HarnessError.exit_code
        sys.exit(code)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; click would make a verdict (1) of a reader that is gone."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError as error:
            # What is left in the buffer goes nowhere, instead of failing once more at the exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise StorageError("standard output was closed by its reader") from error
        return result


def _meant_choice(error: click.ClickException) -> str:
    """Say which choice of a parameter was meant; empty where the error is another."""
    kind = error.param.type if isinstance(error, click.BadParameter) and error.param else None
    found = re.match(r"'([^']*)' is not one of", error.message)
    if not isinstance(kind, click.Choice) or found is None:
        return ""
    return meant(found[1], map(str, kind.choices)).removeprefix("; ").capitalize()


def cluster_option(function: F) -> F:
    """Add ``--cluster``."""
    return click.option(
        "--cluster",
        envvar="HARNESS_CLUSTER",
        show_envvar=True,
        default="main",
        show_default=True,
        shell_complete=CLUSTERS,
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


def _completed(names: Callable[[], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """A completion by these names, or by files where none begins so; an error offers nothing."""

    def complete(_context: Any, _param: Any, begun: str) -> list[CompletionItem]:
        with suppress(HarnessError, OSError):
            if found := [name for name in names() if name.startswith(begun)]:
                return [CompletionItem(name) for name in found]
        return [CompletionItem(begun, type="file")]

    return complete


def _asked(method: str, key: str) -> Callable[..., list[CompletionItem]]:
    """A completion by what a cluster answers: the one that the command line names, else main."""

    def complete(context: Any, _param: Any, begun: str) -> list[CompletionItem]:
        with suppress(HarnessError, OSError), Client.connect(context.params.get("cluster")) as one:
            names = [row["name"] for row in one.call(method, {})[key]]
            return [CompletionItem(name) for name in names if name.startswith(begun)]
        return []

    return complete


# What a shell completes, for `shell_complete`.
TOPOLOGIES, SCENARIOS, BUDGETS = (
    _completed(partial(shipped.names, folder)) for folder in ("topologies", "scenarios", "budgets")
)
SYSTEMS = _completed(lambda: adapters.TABLE)
CLUSTERS = _completed(state.clusters)
NODES, FAULTS = _asked("status", "nodes"), _asked("fault-list", "faults")

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
    shell_complete=SYSTEMS,
    help=f"The system under test: {', '.join(adapters.TABLE)}, a command file (.toml), or "
    "module:Class of your own; default: what the file names.",
)
