"""The folder of a run while it is written (docs/run-folder.md)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from harness.errors import StorageError
from harness.history import journal, manifest, run_folders
from harness.history.events import Event
from harness.kernel.files import replace_text
from harness.redaction import redacted, redacted_bytes

VERSION = 1
FREE_BYTES_LEAST = 256 * 1024 * 1024  # below this a run would end with holes in it


def require_writable(root: Path) -> None:
    """Make the folder of runs, unless it is there. Raises StorageError where that cannot be, and
    where no run can be written in it.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".try-", dir=root) as trial:
            (Path(trial) / "latest").symlink_to(".")
    except OSError as error:
        why = "it is no folder" if isinstance(error, FileExistsError) else error.strerror
        raise StorageError(
            f"{root}: no run can be written there: {why}; expected a folder, or where one can be "
            "made (--runs, HARNESS_RUNS)"
        ) from error
    if (free := free_bytes(root)) < FREE_BYTES_LEAST:
        raise StorageError(
            f"{root}: {free // 2**20} MiB are free, a run wants at least "
            f"{FREE_BYTES_LEAST // 2**20}; free some, or choose another folder for runs"
        )


def new_folder(root: Path, name: str, now: datetime | None = None) -> Path:
    """Make ``root/name/<time>``, numbered where there is one, and point ``root/latest`` at it.

    Raises StorageError, and BadFileError for a name that no such folder has.
    """
    run_folders.require_name(name, "name")
    moment = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%S")
    path, number = root / name / moment, 1
    with translated(path):
        while True:
            try:
                path.mkdir(parents=True)
                break
            except FileExistsError:  # of the same second, perhaps by another process just now
                number += 1
                path = root / name / f"{moment}-{number}"
    point_latest(root, path)
    return path


def point_latest(root: Path, path: Path) -> None:
    """Point ``root/latest`` at that folder. Raises StorageError."""
    with translated(path):
        fresh = root / f".latest-{os.getpid()}-{threading.get_ident()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(path.relative_to(root))
        fresh.replace(root / "latest")


class RunFolder:
    """One run's folder while the run is recorded.

    Every write that fails raises StorageError: a run with holes must not look whole.
    """

    def __init__(self, root: Path, scenario: str, now: datetime | None = None) -> None:
        """Make ``root/scenario/<time>`` and point ``root/latest`` at it."""
        self._root, self._earlier = root, (root / "latest").resolve()
        self.path = new_folder(root, scenario, now)
        self._held = run_folders.hold(self.path)  # nobody prunes it while it is written
        with translated(self.path):
            for name in ("journal", "load", "logs"):
                (self.path / name).mkdir()
            self._events = (self.path / "events.jsonl").open("a", buffering=1)
        self._lock = threading.Lock()
        self._streams: dict[str, pa.RecordBatchStreamWriter] = {}

    def write_text(self, name: str, text: str) -> None:
        """Write one small file, also in a folder below this one."""
        with translated(self.path / name):
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            replace_text(self.path / name, text)

    def write_json(self, name: str, value: object) -> None:
        """Write one small JSON file."""
        self.write_text(name, json.dumps(value, indent=1) + "\n")

    def event(self, event: Event) -> None:
        """Append to events.jsonl; an event without a time happens now."""
        timed = event if event.at_ns else replace(event, at_ns=time.monotonic_ns())
        line = redacted(json.dumps(timed.as_json()))
        with translated(self.path / "events.jsonl"), self._lock:
            self._events.write(line + "\n")

    def append(self, name: str, batch: pa.RecordBatch) -> None:
        """Append a batch to an Arrow IPC stream of this folder."""
        with translated(self.path / name), self._lock:
            writer = self._streams.get(name)
            if writer is None:
                (self.path / name).parent.mkdir(exist_ok=True)
                writer = self._streams[name] = pa.ipc.new_stream(
                    str(self.path / name), batch.schema
                )
            writer.write_batch(batch)

    def append_line(self, name: str, value: object) -> None:
        """Append one JSON line."""
        with translated(self.path / name), self._lock, (self.path / name).open("a") as file:
            file.write(redacted(json.dumps(value)) + "\n")

    def journal(self, node: str) -> int:
        """Open a node's journal; return the descriptor that the node appends to.

        The caller closes it.
        """
        with translated(self.path / "journal"):
            return os.open(
                self.path / "journal" / f"{node}.bin",
                os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC,
                0o644,
            )

    def mend_journal(self, node: str) -> None:
        """Cut off what a node had not written whole when it was killed: its next life appends.

        Nobody was told of what is cut off: what a node acknowledges it has written.
        """
        path = self.path / "journal" / f"{node}.bin"
        with translated(path), suppress(FileNotFoundError):
            size = path.stat().st_size
            if size != journal.whole_bytes(size):
                os.truncate(path, journal.whole_bytes(size))

    def detach_journal(self, node: str) -> None:
        """Keep a node's journal as it is: what comes through a descriptor of it goes nowhere."""
        path = self.path / "journal" / f"{node}.bin"
        with translated(path), suppress(FileNotFoundError):
            copy = path.with_suffix(".copy")
            shutil.copy2(path, copy)
            copy.replace(path)

    def copy_log(self, node: str, log: Path) -> None:
        """Keep the end of a node's log."""
        with translated(self.path / "logs"), suppress(FileNotFoundError):
            data = redacted_bytes(log.read_bytes())  # before it is cut: half a secret is one too
            (self.path / "logs" / f"{node}.log").write_bytes(data[-65536:])

    def discard(self) -> None:
        """Remove the folder of a run that never began; point ``latest`` at the run before again."""
        self.close()
        with translated(self.path):
            shutil.rmtree(self.path)
            if self._earlier.is_dir() and self._earlier.is_relative_to(self._root.resolve()):
                point_latest(self._root.resolve(), self._earlier)
            elif (self._root / "latest").is_symlink():
                (self._root / "latest").unlink()

    def seal(self) -> None:
        """Close all files and write the manifest over them: nothing of this run comes after."""
        self.close()
        with translated(self.path / manifest.FILE):
            manifest.write(self.path)

    def close(self) -> None:
        """Close all files; may be called twice."""
        with translated(self.path), self._lock:
            self._events.close()
            while self._streams:
                self._streams.popitem()[1].close()
            run_folders.let_go(self._held)
            self._held = None


class translated:  # noqa: N801 - reads as a word: `with translated(path):`
    """Turns what the file system refuses into a StorageError that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (OSError, pa.ArrowException)):
            raise StorageError(f"{self._path} cannot be written: {error}") from error


def free_bytes(path: Path) -> int:
    """Return the free space where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free
