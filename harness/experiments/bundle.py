"""A bundle is a run folder as one file, a gzipped tar: what a replay needs of it, on any machine.

Its first member is bundle.json, which has the length and SHA-256 of every other. Raw samples,
journals and logs are left out unless all are wanted; sent.json then has what a comparison needs of
them. Reading trusts nothing: only plain files are taken, under plain names, that bundle.json names,
with the lengths and hashes that it says, into a folder of our own.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import IO, Any

import harness
from harness.control import scratch
from harness.errors import BadFileError, HarnessError, StorageError
from harness.experiments import comparable, judge, original
from harness.history import shape
from harness.history.files import Files
from harness.history.folder import free_bytes, translated
from harness.history.reader import Folder

FILE = "bundle.json"
VERSION = 1
SUFFIX = ".run.tar.gz"
LEFT_OUT = (
    *("load/*", "journal/*", "logs/*", "metrics/*"),
    *("samples.arrow", "host.arrow", "histograms.jsonl"),
)
BYTES_MOST = 4 << 30  # of all its files together
LIST_BYTES_MOST = 16 << 20  # of bundle.json itself
FREE_BYTES_LEAST = 256 << 20  # that unpacking leaves on the disk
BLOCK, CHUNK = 512, 1 << 20
SHOWN_MOST = 60  # characters of what was found instead
NAME_MOST = 100  # characters that a tar of this format has for one, and for its folder's
# Plain names, none of which leads out of a folder or is hidden in it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,3}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundled:
    """A bundle that was written: where, and how many files are in it, and were left out."""

    path: Path
    size_bytes: int
    files: int
    left_out: int

    def as_json(self) -> dict[str, Any]:
        """Return what `harness bundle --json` prints (docs/interfaces.md)."""
        return {
            "version": VERSION,
            "bundle": str(self.path),
            "bytes": self.size_bytes,
            "files": self.files,
            "left_out": self.left_out,
        }


def write(source: Path, output: Path | None = None, *, everything: bool = False) -> Bundled:
    """Write the bundle of a run: `source` is its folder, or has it as ``latest``.

    `output` None: a file of the run's name and time, here. A run that nobody has judged is judged
    first. Raises BadFileError for a run that cannot be replayed or is too large, StorageError.
    """
    folder = original.find(source)
    facts = original.read(folder).facts
    if comparable.answers(folder) is None:
        judge.judge(folder)
    names = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    )
    kept = [name for name in names if _is_plain(name) and (everything or not _is_bulky(name))]
    contents = {name: folder / name for name in kept}
    top = re.sub("[^A-Za-z0-9._-]+", "-", f"{facts['name']}-{folder.name}")[:NAME_MOST]
    output = output or Path(f"{top}{SUFFIX}")
    with translated(output), tempfile.TemporaryDirectory(prefix="harness-") as made:
        if not everything:
            contents[comparable.SENT] = Path(made) / comparable.SENT
            files = Folder(Files(folder, has_manifest=facts.get("manifest", False)), facts)
            sent = comparable.sent(folder, files)
            contents[comparable.SENT].write_text(json.dumps(sent and sent.as_json()) + "\n")
        listed = {name: _entry(path) for name, path in contents.items()}
        total = sum(entry["bytes"] for entry in listed.values())
        if total > BYTES_MOST:
            raise BadFileError(
                f"{folder}: expected at most {BYTES_MOST:,} bytes in a bundle, found {total:,}"
                f"{'; without --all it has less' if everything else ''}"
            )
        left_out = sorted(set(names) - set(kept))
        said = {
            "version": VERSION,
            "harness": harness.__version__,
            "files": listed,
            "left_out": left_out,
        }
        _pack(output, top, said, contents)
    return Bundled(
        path=output,
        size_bytes=output.stat().st_size,
        files=len(listed),
        left_out=len(left_out),
    )


def _is_plain(name: str) -> bool:
    return len(name) <= NAME_MOST and NAME.fullmatch(name) is not None


def _is_bulky(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in LEFT_OUT)


def _entry(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return {"bytes": file.tell(), "sha256": digest}


def _pack(output: Path, top: str, said: Mapping[str, Any], contents: Mapping[str, Path]) -> None:
    """Write the file under another name, and give it its own once it is whole."""
    fresh = output.with_name(f".{output.name}-{os.getpid()}")
    try:
        with (
            fresh.open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar,
        ):
            text = (json.dumps(said, indent=1) + "\n").encode()
            tar.addfile(_member(f"{top}/{FILE}", len(text)), io.BytesIO(text))
            for name, path in contents.items():
                with path.open("rb") as file:
                    tar.addfile(_member(f"{top}/{name}", said["files"][name]["bytes"]), file)
        fresh.replace(output)
    finally:
        fresh.unlink(missing_ok=True)


def _member(name: str, size: int) -> tarfile.TarInfo:
    """Describe a member: who packed it, and when, is nobody's business."""
    made = tarfile.TarInfo(name)
    made.size, made.mode = size, 0o644
    return made


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """Unpack a bundle for as long as this lasts; the run folder that is in it. What is wrong with
    a file of that is said of the bundle.

    Raises BadFileError for what is no bundle, or not whole; nothing of it remains. StorageError.
    """
    with scratch.folder() as made:
        folder = made / "run"
        try:
            extract(path, folder)
        except (EOFError, zlib.error, gzip.BadGzipFile, tarfile.HeaderError) as error:
            raise BadFileError(
                f"{path}: expected a bundle that `harness bundle` wrote, found none, or one that "
                f"is torn: {error}"
            ) from None
        with _said_of(path, folder):
            yield folder


@contextmanager
def _said_of(path: Path, folder: Path) -> Iterator[None]:
    """Have errors name a bundle and its member, and not the folder that it is unpacked to."""
    try:
        yield
    except HarnessError as error:
        said = str(error).replace(f"{folder}/", f"{path}: ").replace(str(folder), str(path))
        if said == str(error):
            raise
        raise type(error)(said) from error


def extract(path: Path, folder: Path) -> None:
    """Unpack a bundle into a folder that is made for it.

    Raises BadFileError for whatever `harness bundle` does not write; EOFError, zlib.error,
    gzip.BadGzipFile, tarfile.HeaderError for what is no gzipped tar, or is torn; StorageError.
    """
    with translated(folder):
        folder.mkdir()
    with _read(path) as raw, gzip.GzipFile(fileobj=raw) as stream:
        members = _members(path, stream)
        first = next(members, None)
        if first is None or first[0] != FILE or first[1] > LIST_BYTES_MOST:
            raise BadFileError(f"{path}: expected {FILE} as its first file: it is no bundle")
        text = _exactly(stream, first[1])
        files = _listed(path, text, folder)
        names = frozenset(files)
        for name, size in members:
            entry = files.pop(name, None)
            if entry is None or entry["bytes"] != size:
                raise BadFileError(f"{path}: {name!r} is not as {FILE} says, or there twice")
            if both := names.intersection(map(str, Path(name).parents)):
                raise BadFileError(f"{path}: {min(both)!r} is a file and a folder, of {name!r}")
            _unpack(path, stream, folder / name, entry)
        # A tar ends with zeros, up to a whole record. Whoever reads on to the end of the compressed
        # file has its length and checksum held against it.
        rest = stream.read(tarfile.RECORDSIZE + 1)
    if len(rest) > tarfile.RECORDSIZE or any(rest):
        raise BadFileError(f"{path}: something comes after its end; expected a bundle alone")
    if files:
        raise BadFileError(f"{path}: it lacks {', '.join(sorted(files)[:3])}: it is torn")


@contextmanager
def _read(path: Path) -> Iterator[IO[bytes]]:
    try:
        file = path.open("rb")
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield file


def _members(path: Path, stream: gzip.GzipFile) -> Iterator[tuple[str, int]]:
    """Yield name, below the bundle's own folder, and length of each member, at its content, which
    has to be read before the next one. No extension of tar is read: only what we write.
    """
    top: str | None = None
    while any(header := _exactly(stream, BLOCK)):
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if member.type != tarfile.REGTYPE:
            raise BadFileError(
                f"{path}: {member.name!r} is no plain file; expected nothing else in a bundle"
            )
        folder, _, name = member.name.partition("/")
        if not NAME.fullmatch(folder) or not NAME.fullmatch(name) or top not in (None, folder):
            raise BadFileError(
                f"{path}: {member.name!r} would lead elsewhere; expected plain names below one "
                "folder"
            )
        if member.size < 0:
            raise BadFileError(f"{path}: {member.name!r} has {member.size:,} bytes")
        top = folder
        yield name, member.size
        _exactly(stream, -member.size % BLOCK)


def _listed(path: Path, text: bytes, folder: Path) -> dict[str, Any]:
    """Read bundle.json: its files. Raises BadFileError for one that asks for too much."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadFileError(f"{path}: {FILE} cannot be read: {error}") from None
    found = said.get("version") if isinstance(said, dict) else None
    if not shape.fits(found, int) or found != VERSION:
        raise BadFileError(
            f"{path}: {FILE}: expected version {VERSION}, found {json.dumps(found)[:SHOWN_MOST]}"
        )
    files = said.get("files")
    if not isinstance(files, dict) or any(
        not isinstance(entry, dict)
        or shape.misses(entry, {"bytes": int, "sha256": str})
        or entry["bytes"] < 0
        for entry in files.values()
    ):
        raise BadFileError(f"{path}: {FILE}: expected files with bytes and sha256")
    total = sum(entry["bytes"] for entry in files.values())
    if total > BYTES_MOST:
        raise BadFileError(
            f"{path}: expected at most {BYTES_MOST:,} bytes in a bundle, it says {total:,}"
        )
    if total + FREE_BYTES_LEAST > (free := free_bytes(folder)):
        raise StorageError(
            f"{folder}: {free:,} bytes are free, unpacking {path} takes {total:,}; free some, or "
            "set TMPDIR"
        )
    return files


def _unpack(path: Path, stream: gzip.GzipFile, target: Path, entry: Mapping[str, Any]) -> None:
    """Write one file of the length that was said. Raises BadFileError where its hash is not."""
    digest, left = hashlib.sha256(), entry["bytes"]
    with translated(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        file = target.open("xb")
    with file:
        while left:
            part = _exactly(stream, min(left, CHUNK))
            digest.update(part)
            with translated(target):
                file.write(part)
            left -= len(part)
    if digest.hexdigest() != entry["sha256"]:
        raise BadFileError(f"{path}: {target.name} is not what was packed: it has another SHA-256")


def _exactly(stream: gzip.GzipFile, count: int) -> bytes:
    """Read so many bytes. Raises EOFError where there are fewer."""
    parts = []
    while count:
        part = stream.read(count)
        if not part:
            raise EOFError("it ends too early")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
