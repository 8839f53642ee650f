"""Words of the command line: groups and choices that say what was meant, and what a shell is
offered to complete them.

Whoever completes asks a living cluster where there is one, and is offered nothing where something
is wrong: a shell must never show an error of ours.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from harness.choices import did_you_mean, listed, one_of
from harness.control import state
from harness.control.client import Client
from harness.errors import BadFileError, HarnessError
from harness.profiles.profiler import OURS
from harness.scenario import shipped
from harness.topology import quantities

ANSWER_S = 1.0  # for which a shell waits until a supervisor answers
Items = list[CompletionItem[Any]]
Completion = Callable[[click.Context, click.Parameter, str], Items]


class Group(click.Group):
    """A group that says which command was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first word names. Raises click.UsageError."""
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            known = self.list_commands(ctx)
            ctx.fail(
                f"no such command {args[0]!r}{did_you_mean(args[0], known)}; there are "
                f"{listed(known, args[0])}"
            )
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Invoke the command. Raises click.UsageError, also where an option of the group stands
        behind the command.
        """
        try:
            return super().invoke(ctx)
        except click.NoSuchOption as error:
            if error.ctx is None or error.ctx is ctx or error.option_name not in _options(self):
                raise
            where = f"`{ctx.command_path} {error.option_name} … {error.ctx.info_name}`"
            raise click.UsageError(
                f"{error.option_name} goes before the command: {where}", error.ctx
            ) from None


def _options(command: click.Command) -> set[str]:
    return {name for one in command.params for name in one.opts}


class Choice(click.Choice[str]):
    """A choice that says which word was meant."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """Say what was expected and found."""
        del ctx
        return one_of(value, self.choices)


class Duration(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions alone
    """A time such as 8h, 10m, 90s; in seconds."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read one. Raises click.BadParameter."""
        if isinstance(value, int | float):
            return float(value)
        try:
            return quantities.long_time_s(str(value))
        except BadFileError as error:
            self.fail(str(error), param, ctx)


class Number(click.FloatRange):
    """A range of numbers, none of which is infinite or none at all."""

    def convert(self, value: Any, param: Any, ctx: click.Context | None) -> float:
        """Read one. Raises click.BadParameter."""
        found: float = super().convert(value, param, ctx)
        if not math.isfinite(found):
            self.fail(f"expected a number, found {value!r}", param, ctx)
        return found


def _items(words: Iterable[str], incomplete: str) -> Items:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]


def files(folder: str) -> Completion:
    """Offer the names of what is shipped in a folder, and TOML files; where none begins so, the
    shell's own files.
    """

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
        here = sorted(str(path) for path in Path().glob("*.toml"))
        return _items([*shipped.names(folder), *here], incomplete) or [
            CompletionItem(incomplete, type="file")
        ]

    return complete


def soaks(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Offer what `harness soak` plays: soaks and topologies, and TOML files."""
    here = sorted(str(path) for path in Path().glob("*.toml"))
    known = [*shipped.soaks(), *shipped.names("topologies"), *here]
    return _items(known, incomplete) or [CompletionItem(incomplete, type="file")]


def systems(known: Iterable[str]) -> Completion:
    """Offer the systems under test, and TOML files."""
    names = list(known)

    def complete(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
        return _items(names, incomplete) or [CompletionItem(incomplete, type="file")]

    return complete


def clusters(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Offer the clusters of this user, the dead ones too: `down` is for them as well."""
    return _items(state.clusters(), incomplete)


def _asked(ctx: click.Context, method: str) -> dict[str, Any]:
    """What the command's cluster answers; empty where it does not."""
    try:
        with Client.connect(ctx.params.get("cluster"), timeout_s=ANSWER_S) as client:
            answer: dict[str, Any] = client.call(method)
            return answer
    except (HarnessError, OSError):
        return {}


def nodes(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Offer the nodes of the command's cluster."""
    return _items((node["name"] for node in _asked(ctx, "status").get("nodes", ())), incomplete)


def profiled(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Offer whom a profile can be of: nodes, and parts of the harness."""
    found = _asked(ctx, "status").get("nodes", ())
    return _items([*(node["name"] for node in found), *OURS], incomplete)


def targets(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Offer where a fault can be: nodes, regions, all."""
    found = _asked(ctx, "status").get("nodes", ())
    regions = dict.fromkeys(f"region:{node['region']}" for node in found)
    return _items([*(node["name"] for node in found), *regions, "all"], incomplete)


def faults(ctx: click.Context, _: click.Parameter, incomplete: str) -> Items:
    """Offer the faults in force, and those that are away just now."""
    found = _asked(ctx, "fault-list")
    return _items(
        [*(row["name"] for row in found.get("faults", ())), *found.get("away", ())], incomplete
    )


def runs(_: click.Context, __: click.Parameter, incomplete: str) -> Items:
    """Offer the run folders, the latest first; where none begins so, the shell's own folders."""
    root = Path(os.environ.get("HARNESS_RUNS") or "runs")
    found = sorted((str(path.parent) for path in root.glob("*/*/metadata.json")), reverse=True)
    return _items(found, incomplete) or [CompletionItem(incomplete, type="dir")]
