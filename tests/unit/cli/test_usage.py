"""Exit codes of the command line: what is no verdict never ends with the code of one."""

from __future__ import annotations

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from harness.cli import main
from harness.errors import HarnessError, InterruptedByUserError, StorageError, UsageError

VERDICTS = {0, 1, 2}


def commands(group: click.Group, path: tuple[str, ...] = ()):
    """Every command and group of the command line, with the words that lead to it."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


ALL = dict(commands(main))
named = pytest.mark.parametrize("path", list(ALL), ids=" ".join)


def run(*words: str, **environment: str):
    return CliRunner().invoke(main, list(words), env=environment)


def value_of(parameter: click.Parameter) -> str:
    """A value that the parameter takes."""
    if isinstance(parameter.type, click.Choice):
        return str(parameter.type.choices[0])
    return "1"


def misuses():
    """Every way to misuse a command: an option that it does not have, an argument too few, and a
    value that one of its parameters cannot have.
    """
    for path, command in ALL.items():
        arguments = [one for one in command.params if isinstance(one, click.Argument)]
        good = [value_of(one) for one in arguments if one.required or one.nargs != -1]
        if not command.context_settings.get("ignore_unknown_options"):
            yield (*path, *good, "--bogus")
        if isinstance(command, click.Group):
            if not command.invoke_without_command:  # `history` is a command itself
                yield path
            yield (*path, "bogus")
            continue
        if any(one.required for one in arguments):
            yield path
        for place, one in enumerate(arguments):
            if isinstance(one.type, click.Choice):
                yield (*path, *good[:place], "bogus", *good[place + 1 :])
        for one in command.params:
            if isinstance(one, click.Option) and isinstance(
                one.type, (click.Choice, click.types.IntParamType, click.types.FloatParamType)
            ):
                yield (*path, one.opts[-1], "bogus", *good)


@pytest.mark.parametrize("words", list(misuses()), ids=" ".join)
def test_every_misuse_of_every_command_is_a_usage_error(words):
    done = run(*words)
    assert done.exit_code == UsageError.exit_code, done.output


SATURATE = ("saturate", "demo", "--stream", "private_message", "--until", "p99 < 50 ms")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("judge", "runs", "--follow", "--every", "nan"), "'nan'"),
        (("judge", "runs", "--follow", "--every", "inf"), "'inf'"),
        (("judge", "runs", "--every", "5"), "--every is between two looks of --follow"),
        (("judge", "runs", "--format", "html", "--json"), "--json"),
        ((*SATURATE, "--seconds", "nan"), "'nan'"),
        ((*SATURATE, "--tries", "2"), "--tries: expected at least the 3 of --repeats, found 2"),
        (("machine", "--timeout", "nan", "true"), "'nan'"),
        (("runs", "list", "--runs", "x"), "goes before the command: `main runs --runs … list`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_meant_is_a_usage_error(words, said):
    done = run(*words)
    assert (done.exit_code, said in done.output) == (UsageError.exit_code, True), done.output


@named
def test_every_command_has_help_and_help_is_no_error(path):
    assert run(*path, "--help").exit_code == 0


def test_a_variable_with_a_bad_value_is_a_usage_error():
    assert run("up", "cluster-10", RUNTIME="nets").exit_code == UsageError.exit_code


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (ZeroDivisionError("a bug"), HarnessError.exit_code),
        (OSError("no file"), HarnessError.exit_code),
        (click.FileError("x"), UsageError.exit_code),
        (click.Abort(), InterruptedByUserError.exit_code),
        (KeyboardInterrupt(), InterruptedByUserError.exit_code),
        (StorageError("full"), StorageError.exit_code),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_command_raises_is_no_verdict(raised, code, monkeypatch):
    def broken(**_):
        raise raised

    monkeypatch.setattr(main.commands["doctor"], "callback", broken)
    assert run("doctor").exit_code == code
    assert code not in VERDICTS


def test_a_reader_that_is_gone_is_no_verdict(tmp_path):
    """`harness judge | head -0`: the pipe is closed before anything is written."""
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "harness", "completion", "bash"],
        stdout=write,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(write)
    assert done.returncode == StorageError.exit_code, done.stderr


@pytest.mark.parametrize("group", [path for path in ALL if isinstance(ALL[path], click.Group)])
def test_each_group_says_which_of_its_commands_was_meant(group):
    meant = next(iter(ALL[group].commands))
    found = run(*group, f"{meant}x")
    assert f"; did you mean '{meant}'?" in found.output
