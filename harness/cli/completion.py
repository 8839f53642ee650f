"""``completion``: the script by which a shell completes our commands."""

from __future__ import annotations

import shlex
from typing import Any

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    add_completion_class,
    get_completion_class,
)

from harness.cli.words import Choice
from harness.errors import UsageError


class Bash(BashComplete):
    """bash takes a word as it is said: one with a space, or an arrow in it, needs its quotes."""

    def format_completion(self, item: CompletionItem[Any]) -> str:
        """Return a line of the answer."""
        return f"{item.type},{shlex.quote(item.value) if item.type == 'plain' else item.value}"


add_completion_class(Bash, "bash")


@click.command()
@click.argument("shell", type=Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(harness completion bash)"."""
    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    main = click.get_current_context().find_root().command
    click.echo(found(main, {}, "harness", "_HARNESS_COMPLETE").source())
