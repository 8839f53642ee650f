"""Scratch: a temporary folder of a command, which is removed also where that was killed.

A note in the state folder says where it is, and the command holds the note's lock. A note whose
lock is free is a dead command's: `harness doctor` removes the folder that it names.
"""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from harness.control import state
from harness.history.folder import translated

SUFFIX = ".scratch"


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for as long as this lasts. Raises StorageError."""
    made = Path(tempfile.gettempdir()) / f"harness-{secrets.token_hex(8)}"
    with translated(state.root()):
        note, descriptor = _noted(made)
    try:
        with translated(made):
            made.mkdir(mode=0o700)
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)
        if not made.exists():
            note.unlink(missing_ok=True)
        os.close(descriptor)


def _noted(made: Path) -> tuple[Path, int]:
    """Write the note of a folder that will be made; return it, and the descriptor with its lock."""
    state.make_root()
    note, descriptor = state.root() / f"{made.name}{SUFFIX}", None
    while descriptor is None:  # whoever sweeps may just have found it, without a lock
        with suppress(BlockingIOError):
            descriptor = state.lock_file(note)
    os.write(descriptor, os.fsencode(made))
    return note, descriptor


def sweep() -> list[str]:
    """Remove what killed commands left; return the folders that were removed."""
    removed = []
    for note in sorted(state.root().glob(f"*{SUFFIX}")):
        with suppress(OSError):  # its command lives, or it is not ours to remove
            removed += _swept(note)
    return removed


def _swept(note: Path) -> list[str]:
    """Remove a dead command's note and the folder that it names. Raises OSError."""
    if (descriptor := state.lock_file(note, make=False)) is None:
        return []
    try:
        said = note.read_bytes()
        made = Path(os.fsdecode(said))
        if said and f"{made.name}{SUFFIX}" != note.name:  # somebody's own file
            return []
        was_there = bool(said) and made.is_dir() and not made.is_symlink()
        if was_there:
            shutil.rmtree(made)
        note.unlink()
        return [str(made)] if was_there else []
    finally:
        os.close(descriptor)
