"""The folder of a soak: what was asked, how each window went, and who plays it now.

    soak.json           what was asked; written once, before the first window
    state.json          why it ended; there is none while it goes on, or after kill -9
    inputs/             scenario, topology and budget as they were
    windows/0001/       window.json (how it went), the window's scenario, its run folder while its
                        raw values are kept, and for good: summary.json, verdict.json, summary.txt,
                        samples.arrow (thinned), harness.jsonl (the harness's own processes)
    verdict.json …      the judgement of the whole, after each window

Every file but harness.jsonl is replaced in one step: after a crash it is as it was, or as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from harness.control import state
from harness.errors import BadFileError, NameTakenError
from harness.experiments import seals
from harness.history import shape
from harness.history.folder import new_folder, translated
from harness.kernel.files import replace_text

VERSION = 1
FILE, STATE, WINDOWS = seals.SOAK, "state.json", "windows"
INPUTS, LOCK = "inputs", "soak.lock"
# What of a window's summary others rest on.
SUMMARISED: Mapping[str, Any] = {
    "answer": str,
    "counts": dict[str, int],
    "faults": list[str],
    "t0_ns": int,
    "over_ns": int,
    "raw_bytes": float,
    "kept_bytes": float,
    "verdict_sha256": str,
    "samples_sha256": str,
}
SUMMARY, VERDICT, SAMPLES, OWN = "summary.json", "verdict.json", "samples.arrow", "harness.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked of a soak: soak.json."""

    name: str
    what: str  # as it was named: a scenario, or a topology
    seed: int
    for_s: float
    lengths_s: tuple[float, ...]  # of each window
    scenario: str  # relative to the folder, as the next
    topology: str
    budget: str | None
    system: str  # under test
    runtime: str
    cluster: str
    workers: int
    raw_s: float  # for how long raw values are kept
    started: str
    planned_bytes: int  # at most at one time, before anything was measured
    instead_of: str | None = None  # the system that the files name, where that is another one
    inputs: Mapping[str, str] = field(default_factory=dict)  # path → SHA-256 of what it was
    version: int = VERSION


class Stage(StrEnum):
    """How far a window is."""

    PLAYING = "playing"
    PLAYED = "played"
    CUT = "cut short"  # it was begun, and did not come to its end
    BROKEN = "not begun"  # nothing of it was recorded


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a window went: window.json. `run` is its run folder, relative to the window's; None:
    there is none. `cluster`: which of the soak's clusters it was played on. Times are of the wall
    clock, s since 1970.
    """

    number: int
    seconds: float
    stage: Stage
    cluster: str = ""
    began_s: float = 0.0
    ended_s: float = 0.0
    run: str | None = None
    problem: str = ""
    not_judged: str = ""  # why it could not be judged
    raw: bool = True  # whether its raw values are kept
    notes: tuple[str, ...] = field(default_factory=tuple)

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Read what was written. Raises BadFileError."""
        try:
            values = {**said, "stage": Stage(said["stage"]), "notes": tuple(said.get("notes", ()))}
            made = cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise BadFileError(f"window.json: {error}") from None
        if wrong := shape.misfit(made):
            raise BadFileError(f"window.json: {wrong}")
        return made


class SoakFolder:
    """One soak's folder, written and read."""

    def __init__(self, path: Path) -> None:
        """Read soak.json. Raises BadFileError where it is not one, or of another version."""
        self.path = path
        said = _json(path / FILE)
        if said.get("version") != VERSION:
            raise BadFileError(
                f"{path / FILE}: expected version {VERSION}, found {said.get('version')!r}"
            )
        # Of an earlier version it has no seal.
        self._is_whole = seals.OWN not in said or seals.is_whole(said)
        said.pop(seals.OWN, None)
        try:
            self.asked = Asked(**{**said, "lengths_s": tuple(said["lengths_s"])})
        except (KeyError, TypeError) as error:
            raise BadFileError(f"{path / FILE}: {error}") from None
        if wrong := shape.misfit(self.asked):
            raise BadFileError(f"{path / FILE}: {wrong}")
        if not self.asked.lengths_s:
            raise BadFileError(f"{path / FILE}: lengths_s: expected at least 1 window, found 0")

    @classmethod
    def made(cls, runs: Path, asked: Asked, inputs: Mapping[str, str]) -> SoakFolder:
        """Make the folder of a soak that begins, and point ``latest`` at it. Raises StorageError.

        `inputs`: texts by their path in it.
        """
        path = new_folder(runs, asked.name)
        with translated(path):
            for name, text in inputs.items():
                (path / name).parent.mkdir(parents=True, exist_ok=True)
                (path / name).write_text(text)
            (path / WINDOWS).mkdir()
            hashed = {name: _sha256(text.encode()) for name, text in inputs.items()}
            said = json.dumps(seals.sealed(asdict(replace(asked, inputs=hashed))), indent=1)
            replace_text(path / FILE, said + "\n")
        return cls(path)

    def changed_inputs(self) -> list[str]:
        """Say which inputs, and what was asked, are not as they were when the soak began."""
        found = [] if self._is_whole else [f"{FILE} is not as it was when the soak began"]
        for name, hashed in self.asked.inputs.items():
            try:
                is_same = _sha256((self.path / name).read_bytes()) == hashed
            except OSError:
                is_same = False
            if not is_same:
                found.append(f"{name} is not as it was when the soak began")
        return found

    def window_folder(self, number: int) -> Path:
        """Return the folder of a window, which need not exist."""
        return self.path / WINDOWS / f"{number:04}"

    def windows(self) -> list[Window]:
        """Return the windows that were begun, in order; of one whose note cannot be read, that."""
        return list(self._windows())

    def _windows(self) -> Iterator[Window]:
        for number, seconds in enumerate(self.asked.lengths_s, 1):
            file = self.window_folder(number) / "window.json"
            if not file.is_file():
                continue
            try:
                found = Window.from_json(_json(file))
                if found.number != number:
                    raise BadFileError(f"{file}: number: expected {number}, found {found.number}")
                yield found
            except BadFileError as error:
                yield Window(
                    number=number, seconds=seconds, stage=Stage.CUT, problem=str(error), raw=False
                )

    def left(self) -> list[int]:
        """Return the numbers of the windows that were never begun."""
        begun = {one.number for one in self.windows()}
        return [n for n in range(1, len(self.asked.lengths_s) + 1) if n not in begun]

    def write(self, window: Window) -> None:
        """Note how a window goes. Raises StorageError."""
        folder = self.window_folder(window.number)
        with translated(folder):
            folder.mkdir(exist_ok=True)
            replace_text(folder / "window.json", json.dumps(asdict(window), indent=1) + "\n")

    def run_of(self, window: Window) -> Path | None:
        """Return the run folder of a window, None where it is not there (any more), or not below
        the window's own.
        """
        if window.run is None:
            return None
        own = self.window_folder(window.number)
        path = own / window.run
        is_inside = own.resolve() in path.resolve().parents
        return path if is_inside and path.is_dir() else None

    def found_run(self, number: int) -> str | None:
        """Return the newest run folder of a window, relative to the window's folder."""
        folder = self.window_folder(number)
        found = [path.parent for path in folder.glob("*/*/metadata.json")]
        found = [path for path in found if not path.is_symlink() and path.parent.name != "latest"]
        newest = max(found, key=lambda path: path.stat().st_mtime, default=None)
        return None if newest is None else str(newest.relative_to(folder))

    def summary(self, number: int) -> dict[str, Any] | None:
        """Return what was said of a judged window; None where it was not judged. Raises
        BadFileError where what was said cannot be believed: neither that, nor its verdict.
        """
        path = self.window_folder(number)
        if not (path / SUMMARY).is_file():
            return None
        said = _json(path / SUMMARY)
        if wrong := shape.misses(said, SUMMARISED):
            raise BadFileError(f"{path / SUMMARY}: {wrong}")
        if (other := said.get("number", number)) != number:
            raise BadFileError(f"{path / SUMMARY} is of window {other!r}")
        try:
            data = (path / VERDICT).read_bytes()
        except OSError as error:
            raise BadFileError(f"{path / VERDICT}: cannot be read: {error.strerror}") from None
        if _sha256(data) != said["verdict_sha256"]:
            raise BadFileError(f"{path / VERDICT} is not as it was when the window was judged")
        return said

    def changed_samples(self, window: Window) -> list[str]:
        """Say what of a window's samples is missing, or is not as it was when it was judged; of one
        that was not judged nobody knows.
        """
        path = self.window_folder(window.number)
        missing = [name for name in (SAMPLES, OWN) if not (path / name).is_file()]
        if not self.is_judged(window.number) or window.stage is not Stage.PLAYED:
            return []
        if missing:
            return [f"{path / name} is missing" for name in missing]
        said = self.summary(window.number)
        if said is not None and seals.of_file(path / SAMPLES) != said["samples_sha256"]:
            return [f"{path / SAMPLES} is not as it was when the window was judged"]
        return []

    def is_judged(self, number: int) -> bool:
        """Whether a window has a verdict that can be believed."""
        try:
            return self.summary(number) is not None
        except BadFileError:
            return False

    @property
    def ended(self) -> str | None:
        """Why the soak ended, empty where it came to its end; None: nobody said so."""
        if not (self.path / STATE).is_file():
            return None
        said = _json(self.path / STATE).get("ended")
        return said if isinstance(said, str) else None

    def write_ended(self, why: str | None) -> None:
        """Note why it ended; None: it goes on. Raises StorageError."""
        with translated(self.path / STATE):
            replace_text(self.path / STATE, json.dumps({"version": VERSION, "ended": why}) + "\n")

    @property
    def is_played(self) -> bool:
        """Whether a process plays it now."""
        return state.is_locked(self.path / LOCK)

    def lock(self) -> int:
        """Take the right to play it; return the descriptor that holds it.

        Raises NameTakenError where another process does, StorageError.
        """
        with translated(self.path / LOCK):
            try:
                descriptor = state.lock_file(self.path / LOCK)
            except BlockingIOError as error:
                raise NameTakenError(f"{self.path} is being played by another process") from error
        if descriptor is None:
            raise BadFileError(f"{self.path}: it was removed")
        return descriptor

    def unlock(self, descriptor: int) -> None:
        """Give that right back."""
        os.close(descriptor)


def find(path: Path) -> Path | None:
    """Return the soak folder that is meant: the path, or the ``latest`` in it; None: it is none."""
    return next((one for one in (path, path / "latest") if (one / FILE).is_file()), None)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _json(file: Path) -> dict[str, Any]:
    try:
        said = json.loads(file.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise BadFileError(f"{file}: cannot be read: {error}") from None
    if not isinstance(said, dict):
        raise BadFileError(f"{file}: expected a table")
    return said
