"""What is compared of a run that was played, and of its replay, read from run folders, of which a
bundle may have left the bulk out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.checks.verdict import Answer
from harness.history import metadata, phases, shape
from harness.history.events import Event
from harness.history.files import Files
from harness.history.gaps import Part as Of
from harness.history.history import PhaseWindow
from harness.history.proof import Proof
from harness.history.reader import Folder
from harness.scenario.schedule import IDENTIFIER

SENT = "sent.json"  # of a bundle that has no operations: how many each stream sent
ANSWERS = frozenset(map(str, Answer))


class Answered(NamedTuple):
    """A finding of a verdict, as it is set beside those of other runs."""

    phase: str
    name: str
    answer: str
    measured: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is compared of a run. `proofs` are the looks at its faults, `sent` is how many
    operations each stream sent, `answers` the findings of its verdict; None: its folder does not
    tell.
    """

    facts: Mapping[str, Any]
    happened: Sequence[Event]
    t0_ns: int
    phases: Sequence[PhaseWindow]
    proofs: Sequence[Proof] | None
    sent: Sequence[int] | None
    answers: Sequence[Answered] | None


def read(folder: Path) -> Played:
    """Read what is compared of a run folder. Raises BadFileError where it is none."""
    facts = metadata.read(folder)
    files = Folder(Files(folder, has_manifest=facts.get("manifest", False)), facts)
    happened = files.events()
    planned, proofs = files.plan(happened), files.proofs()
    return Played(
        facts=facts,
        happened=happened,
        t0_ns=facts["t0_ns"],
        phases=phases.windows(happened, planned),
        proofs=None if any(Of.PROOFS in gap.what for gap in files.gaps) else proofs,
        sent=sent(folder, files),
        answers=answers(folder),
    )


def sent(folder: Path, files: Folder) -> list[int] | None:
    """Count the operations that each stream sent, by the stream's number; None where the folder
    does not have all of them.
    """
    count = len(files.facts["load"].get("streams", ()))
    if (folder / SENT).is_file():
        return _said(folder / SENT, count)
    table = files.operations()
    if any(Of.OPERATIONS in gap.what for gap in files.gaps):
        return None
    ids = table.column("id").combine_chunks()
    if not len(ids):
        return [0] * count
    made = np.frombuffer(ids.buffers()[1], IDENTIFIER)[ids.offset : ids.offset + len(ids)]
    went = (table.column("sent_ns").to_numpy() > 0) & (made["stream"] < count)
    streams = made["stream"][went].astype(np.int64)
    return [int(number) for number in np.bincount(streams, minlength=count)]


def _said(file: Path, count: int) -> list[int] | None:
    """Return what sent.json says of so many streams; None where it does not say it of each."""
    try:
        found: Any = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    is_whole = shape.fits(found, list[int]) and len(found) == count and min(found, default=0) >= 0
    return found if is_whole else None


def answers(folder: Path) -> list[Answered] | None:
    """Return what verdict.json of a folder answers; None where there is none that can be read."""
    try:
        said = json.loads((folder / "verdict.json").read_text())["findings"]
        found = [Answered(*(one[key] for key in Answered._fields)) for one in said]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    is_whole = shape.fits(found, list[tuple[str, ...]]) and ANSWERS.issuperset(
        one.answer for one in found
    )
    return found if is_whole else None
