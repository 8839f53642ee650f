"""What all commands share: errors as one sentence with the exit code of their kind, and common
options.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from harness import runtimes
from harness.cli import words
from harness.errors import HarnessError, InterruptedByUserError, StorageError, UsageError
from harness.systems import adapters

F = TypeVar("F", bound=Callable[..., Any])


class Commands(MutableMapping[str, click.Command]):
    """Commands by name, each imported when it is first asked for."""

    def __init__(self, homes: Mapping[str, str]) -> None:
        """`homes`: name → ``module.attribute`` in this package."""
        self._homes = dict(homes)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._homes[name].partition(".")
            home = importlib.import_module(f"harness.cli.{module}")
            self._loaded[name] = getattr(home, attribute)
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._homes.setdefault(name, "")
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._homes[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._homes)

    def __len__(self) -> int:
        return len(self._homes)


class CommandLine(words.Group):
    """The whole command line: every error is told on stderr, with the exit code of its kind.

    click's own codes (2 for usage, 1 for the rest) are those of verdicts, so none of them is used.
    """

    def main(self, *args: Any, **settings: Any) -> NoReturn:
        """Run a command and exit: 0, 1 and 2 only where the command itself says so."""
        try:
            sys.exit(
                super().main(
                    *args, **{"prog_name": "harness", **settings, "standalone_mode": False}
                )
            )
        except click.ClickException as error:
            error.show()
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


def cluster_option(function: F) -> F:
    """Add ``--cluster``."""
    return click.option(
        "--cluster",
        envvar="HARNESS_CLUSTER",
        show_envvar=True,
        default="main",
        show_default=True,
        help="Which cluster.",
        is_eager=True,  # whoever completes a node's name asks this one
        shell_complete=words.clusters,
    )(function)


def json_option(function: F) -> F:
    """Add ``--json``."""
    return click.option(
        "--json", "as_json", is_flag=True, help="Print JSON (versioned, see docs/interfaces.md)."
    )(function)


def print_json(value: object) -> None:
    """Print a value as JSON on standard output."""
    click.echo(json.dumps(value, indent=1))


run_argument = click.argument(
    "run",
    type=click.Path(path_type=Path),
    envvar="HARNESS_RUNS",
    default=Path("runs"),
    shell_complete=words.runs,
)

runs_option = click.option(
    "--runs",
    envvar="HARNESS_RUNS",
    show_envvar=True,
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Where run folders go.",
)

workers_option = click.option(
    "--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Load workers."
)

runtime_option = click.option(
    "--runtime",
    envvar="RUNTIME",
    show_envvar=True,
    type=words.Choice([runtimes.AUTO, *runtimes.TABLE]),
    default=runtimes.AUTO,
    show_default=True,
    help="Where nodes live; auto is Docker where an engine answers, else network namespaces.",
)

system_option = click.option(
    "--system",
    envvar="SYSTEM",
    show_envvar=True,
    shell_complete=words.systems(adapters.TABLE),
    help=f"The system under test: {', '.join(adapters.TABLE)}, a command file (.toml), or "
    "module:Class of your own; default: what the file names.",
)
