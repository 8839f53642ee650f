"""``completion``: the script by which a shell completes our commands."""

from __future__ import annotations

import click

from harness.errors import UsageError


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell: eval "$(harness completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"there is no completion for {shell}")
    main = click.get_current_context().find_root().command
    click.echo(found(main, {}, "harness", "_HARNESS_COMPLETE").source())
