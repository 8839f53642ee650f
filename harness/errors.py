"""Errors that a user can meet: whose fault it is decides the exit code.

    HarnessError                      70  the harness itself broke
    ├── UsageError                    64  the command line asks for something that cannot be
    ├── BadFileError                  65  a topology, scenario or budget file
    ├── UnavailableError              69  no engine, no cluster, no image
    │   └── NodeStartError            69  a node died while starting: carries its last log lines
    ├── PreflightError                69  this host is too small: says what to change
    ├── NameTakenError                73  a cluster of this name is up
    ├── StorageError                  74  disk full, folder not writable
    ├── NotReachedError               75  what a program waited for did not come in its time
    ├── PermissionNeededError         77  root, or a user namespace, is missing
    └── InterruptedByUserError       130  Ctrl-C

A message says whose fault it is, what was expected, what was found and what is possible. Libraries'
errors are translated where their home module ends (kernel/, runtimes/docker/engine.py, …), with the
original as ``__cause__``. The codes are those of sysexits(3); 0, 1 and 2 belong to verdicts (see
checks/verdict.py).
"""

from __future__ import annotations

from collections.abc import Callable


class HarnessError(Exception):
    """The harness itself broke, or is used from code in a way that cannot be right."""

    exit_code = 70


class UsageError(HarnessError):
    """The command line, or an argument of the Python API, asks for something that cannot be."""

    exit_code = 64


class BadFileError(HarnessError):
    """A topology, scenario or budget file is wrong: ``FILE: KEY: expected …, found …``."""

    exit_code = 65


class UnavailableError(HarnessError):
    """Something outside the harness that is needed is not there: an engine, an image, a cluster."""

    exit_code = 69


class NodeStartError(UnavailableError):
    """A node ended or stayed silent while the cluster was starting.

    The message carries the node's last log lines.
    """


class PreflightError(HarnessError):
    """The host cannot hold the cluster; the message says which limit, and what to change."""

    exit_code = 69


class NameTakenError(HarnessError):
    """A cluster of this name is already up."""

    exit_code = 73


class StorageError(HarnessError):
    """A file could not be written: the disk is full, or the folder is not ours."""

    exit_code = 74


class NotReachedError(HarnessError, TimeoutError):
    """What a program waited for did not come in its time, or nobody can tell whether it did."""

    exit_code = 75


class PermissionNeededError(HarnessError):
    """Root, or a kernel that allows user namespaces, is missing."""

    exit_code = 77


class InterruptedByUserError(HarnessError):
    """The user pressed Ctrl-C; everything was cleaned up."""

    exit_code = 130


def attempt(*steps: Callable[[], object]) -> list[Exception]:
    """Run every step of an end, also those after one that raises; return what was raised."""
    raised = []
    for step in steps:
        try:
            step()
        except Exception as error:  # the next step must run whatever this one says
            raised.append(error)
    return raised


def close_all(what: str, *steps: Callable[[], object]) -> None:
    """Run every step that ends `what`, then raise what one raised, or HarnessError with all."""
    raised = attempt(*steps)
    if len(raised) == 1 and isinstance(raised[0], HarnessError):
        raise raised[0]
    if raised:
        said = "; ".join(f"{type(error).__name__}: {error}" for error in raised)
        raise HarnessError(f"{what} did not end cleanly: {said}") from raised[0]
