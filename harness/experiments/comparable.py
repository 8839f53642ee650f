"""What is compared of a run that was played, and of its replay, read from run folders, of which a
bundle may have left the bulk out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
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
from harness.scenario import identifiers
from harness.scenario.schedule import IDENTIFIER
from harness.stats import Integers

SENT = "sent.json"  # of a bundle that has no operations: what each stream sent
OPERATIONS = "load/operations-*.arrow"
ANSWERS = frozenset(map(str, Answer))


class Answered(NamedTuple):
    """A finding of a verdict, as it is set beside those of other runs."""

    phase: str
    name: str
    answer: str
    measured: str


class When(NamedTuple):
    """When the operations of a stream were sent: the numbers of those that were, in order, and for
    each the ms since the run's t0.
    """

    number: Integers
    at_ms: Integers


class Sent(NamedTuple):
    """How many operations each stream of a run sent, by the stream's number, and when; `when` None:
    nobody says that, as in a bundle of an older version.
    """

    counts: Sequence[int]
    when: Sequence[When] | None

    def as_json(self) -> dict[str, Any]:
        """Return what sent.json of a bundle holds: of numbers and times the differences, which are
        short, and nearly all the same.
        """
        when = [
            {key: np.diff(part, prepend=0).tolist() for key, part in one._asdict().items()}
            for one in self.when or ()
        ]
        return {
            "counts": list(self.counts),
            "when": None if self.when is None else when,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Played:
    """What is compared of a run. `proofs` are the looks at its faults, `sent` is how many
    operations each stream sent, `when` at which moments, `answers` the findings of its verdict;
    None: its folder does not tell. `as_kept`: nobody can judge it again, and they are believed.
    """

    facts: Mapping[str, Any]
    happened: Sequence[Event]
    t0_ns: int
    phases: Sequence[PhaseWindow]
    proofs: Sequence[Proof] | None
    sent: Sequence[int] | None
    when: Sequence[When] | None = None
    answers: Sequence[Answered] | None
    as_kept: bool = False


def read(folder: Path) -> Played:
    """Read what is compared of a run folder. Raises BadFileError where it is none."""
    facts = metadata.read(folder)
    files = Folder(Files(folder, has_manifest=facts.get("manifest", False)), facts)
    happened = files.events()
    planned, proofs = files.plan(happened), files.proofs()
    went = sent(folder, files)
    return Played(
        facts=facts,
        happened=happened,
        t0_ns=facts["t0_ns"],
        phases=phases.windows(happened, planned),
        proofs=None if any(Of.PROOFS in gap.what for gap in files.gaps) else proofs,
        sent=None if went is None else went.counts,
        when=None if went is None else went.when,
        answers=answers(folder),
        as_kept=is_left_out(folder),
    )


def is_left_out(folder: Path) -> bool:
    """Whether a bundle has left the operations of this run out, and says of them what it does."""
    return (folder / SENT).is_file() and not any(folder.glob(OPERATIONS))


def sent(folder: Path, files: Folder) -> Sent | None:
    """Return what each stream sent, by its operations, or by what a bundle keeps instead; None
    where the folder does not have all of it.
    """
    count = len(files.facts["load"].get("streams", ()))
    if is_left_out(folder):
        return _said(folder / SENT, count)
    table = files.operations()
    if any(Of.OPERATIONS in gap.what for gap in files.gaps):
        return None
    sent_ns = table.column("sent_ns").to_numpy()
    ids = table.column("id").combine_chunks()
    made = np.empty(0, IDENTIFIER)
    if len(ids):
        made = np.frombuffer(ids.buffers()[1], IDENTIFIER)[ids.offset : ids.offset + len(ids)]
    went = (sent_ns > 0) & (made["stream"] < count)
    made, at_ns = made[went], sent_ns[went] - files.facts["t0_ns"]
    streams = made["stream"].astype(np.int64)
    counts = [int(number) for number in np.bincount(streams, minlength=count)]
    workers = files.facts["load"].get("shares", 0)
    if not workers:  # an older folder, which does not say which operation of a stream each was
        return Sent(counts, None)
    id_key = bytes.fromhex(files.facts.get("id_key", ""))
    numbers = identifiers.positions(id_key, made) * workers + made["worker"]
    at_ms = np.rint(at_ns / 1e6).astype(np.int64)
    when = []
    for stream in range(count):
        number, first = np.unique(numbers[streams == stream], return_index=True)
        when.append(When(number, at_ms[streams == stream][first]))
    return Sent(counts, when)


def _said(file: Path, count: int) -> Sent | None:
    """Return what sent.json says of so many streams; None where it does not say it of each. Of an
    older version it is a list, of how many each sent.
    """
    try:
        found: Any = json.loads(file.read_text())
        counts = found if isinstance(found, list) else found["counts"]
        said = None if isinstance(found, list) else found["when"]
        when = None if said is None else [_when(one) for one in said]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    if not shape.fits(counts, list[int]) or min(counts, default=0) < 0:
        return None
    is_whole = len(counts) == count and (when is None or len(when) == count)
    return Sent(counts, when) if is_whole else None


def _when(said: Mapping[str, Any]) -> When:
    """Read when a stream sent. Raises KeyError, TypeError, ValueError where it is not said."""
    number, at_ms = ([*accumulate(said[key])] for key in When._fields)
    if not shape.fits([number, at_ms], list[list[int]]) or len(number) != len(at_ms):
        raise ValueError("expected two lists of as many numbers")
    if any(apart < 1 for apart in said["number"][1:]):
        raise ValueError("expected numbers in order")
    return When(np.array(number, np.int64), np.array(at_ms, np.int64))


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
