"""A seal is a hash by which a folder of runs notices what was edited in it by hand: what it says
itself, and which runs it says it of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.history import manifest

OWN = "sha256"  # the key of what a JSON file says of itself
SUITE, GATE, SOAK = "suite.json", "gate.json", "soak.json"
EVENTS = "events.jsonl"
BEGUN = "begun "  # of a run whose folder nobody closed off
CLOSING = (manifest.FILE, SUITE, GATE, SOAK)  # closes a folder off, or says what it is of


def sealed(said: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a JSON file says with the hash of it."""
    return {**said, OWN: _own(said)}


def is_whole(said: Mapping[str, Any]) -> bool:
    """Whether a JSON file that was sealed says what it said."""
    return said.get(OWN) == _own(said)


def of_folder(folder: Path) -> str:
    """Hash what closes a folder off; empty where nothing does. Raises OSError."""
    for name in CLOSING:
        if (folder / name).is_file():
            return of_file(folder / name)
    return ""


def of_begun(folder: Path) -> str:
    """Hash what a run's folder began with, its first event, which tells it from every other run and
    stays as it is when the folder is closed off; empty where it has none. Raises OSError.
    """
    try:
        with (folder / EVENTS).open("rb") as file:
            first = file.readline()
    except FileNotFoundError:
        return ""
    return BEGUN + hashlib.sha256(first).hexdigest() if first.endswith(b"\n") else ""


def holds(seal: str, folder: Path) -> bool:
    """Whether a folder is the one that has this seal. Raises OSError."""
    return seal == (of_begun(folder) if seal.startswith(BEGUN) else of_folder(folder))


def of_file(file: Path) -> str:
    """Hash a file. Raises OSError."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _own(said: Mapping[str, Any]) -> str:
    rest = {key: value for key, value in said.items() if key != OWN}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()
