"""Programs that a tool of their language builds once for this host; they are kept in its cache."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import threading
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, UnavailableError
from harness.kernel import commands
from harness.runtimes import compiled

# What is built, how much of it is done, of how much.
Told = Callable[[str, int, int], None]

# Folders of a crate of which no program is made.
OF_NO_PROGRAM = {"target", "tests", "benches", "examples"}
SAID_BYTES = 600  # of what a tool said when it failed
COUNTED = re.compile(rb"\] (\d+)/(\d+)")  # in cargo's own line of progress
PROGRESS = re.compile(rb"[^\r\n]*\] \d+/\d+[^\r\n]*\r|\x1b\[K")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """How a language's tool is asked to build, and how to get the tool."""

    argv: Callable[[Build, Path], Sequence[str]]  # without the tool itself
    environment: Callable[[Path], Mapping[str, str]]
    result: Callable[[Build, Path], Path]
    content: Callable[[Build], Iterator[bytes]]  # of what is built: other content, other program
    get: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A program, the tool that builds it, and what of: a crate's folder, a module of Go."""

    tool: str
    source: str
    program: str

    @property
    def needs(self) -> Tool:
        """The tool, with what is known of it."""
        return TOOLS[self.tool]

    @property
    def cached(self) -> Path:
        """Where the program is kept once it is built."""
        digest = hashlib.sha256()
        for part in self.needs.content(self):
            digest.update(hashlib.sha256(part).digest())
        return compiled.cache() / f"{self.program}-{digest.hexdigest()[:16]}"


def _files(crate: Path) -> Iterator[bytes]:
    """Yield what a crate's program may be made of: names and contents, in order."""
    for folder, folders, names in os.walk(crate):
        folders[:] = sorted(
            name for name in folders if name not in OF_NO_PROGRAM and name[0] != "."
        )
        for path in (Path(folder, name) for name in sorted(names)):
            yield str(path.relative_to(crate)).encode()
            yield path.read_bytes()


def lacking(crate: Path) -> str | None:
    """Say why a program is not made of a crate's folder and of what its lock file pins."""
    for name in ("Cargo.toml", "Cargo.lock"):
        if not (crate / name).is_file():
            return f"there is no file {crate / name}"
    try:
        packages = tomllib.loads((crate / "Cargo.lock").read_text())["package"]
        inside = [one["name"] for one in packages if "source" not in one]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{crate / 'Cargo.lock'} cannot be read: {error}"
    if len(inside) == 1:
        return None
    return (
        f"expected a crate whose dependencies all come from a registry; found {len(inside)} "
        f"packages without one ({', '.join(inside[:3])}): what lies elsewhere could change unseen, "
        "and an old program be run"
    )


TOOLS: dict[str, Tool] = {
    "cargo": Tool(
        argv=lambda build, folder: (
            *("build", "--release", "--locked", "--bin", build.program),
            *("--manifest-path", f"{build.source}/Cargo.toml", "--target-dir", str(folder)),
        ),
        environment=lambda _: {
            "CARGO_TERM_PROGRESS_WHEN": "always",
            "CARGO_TERM_PROGRESS_WIDTH": "100",
            "CARGO_TERM_COLOR": "never",
        },
        result=lambda build, folder: folder / "release" / build.program,
        content=lambda build: _files(Path(build.source)),
        get="install Rust by rustup, or Debian's cargo where that is new enough",
    ),
    "go": Tool(
        argv=lambda build, _: ("install", build.source),
        environment=lambda folder: {"GOBIN": str(folder)},
        result=lambda _, folder: next(folder.iterdir()),
        content=lambda build: iter([build.source.encode()]),
        get="install Go (Debian: apt-get install golang-go)",
    ),
}


def find(build: Build) -> Path | None:
    """Find the program on PATH or in our cache; None where it is in neither. Makes nothing."""
    on_path = shutil.which(build.program)
    found = Path(on_path) if on_path else build.cached
    return found.resolve() if found.is_file() else None


def require(build: Build) -> Path:
    """Return where the program is, or will be once it is made. Makes nothing.

    Raises UnavailableError where it is not here and its tool is not either.
    """
    found = find(build)
    if found is None and shutil.which(build.tool) is None:
        raise UnavailableError(
            f"the program {build.program} is not on PATH or in our cache, and {build.tool}, which "
            f"builds it, is not here: {build.needs.get}"
        )
    return found or build.cached.resolve()


def make(build: Build, told: Told) -> Path:
    """Return where the program is; where it is not here, build it first, once for all who ask.

    Raises UnavailableError.
    """
    wanted = require(build)
    if not wanted.is_file():
        what = f"building {build.program} with {build.tool}, once for this host"
        told(what, 0, 1)
        into(build, wanted, lambda done, total: told(what, done, total))
        told(what, 1, 1)
    return wanted


def into(build: Build, wanted: Path, told: Callable[[int, int], None] = lambda *_: None) -> None:
    """Build the program and put it at `wanted`, unless somebody else did while this waited.

    Raises UnavailableError.
    """
    tool = shutil.which(build.tool)
    if tool is None:
        raise UnavailableError(
            f"there is no {build.tool} to build {build.program} with: {build.needs.get}"
        )
    folder = wanted.parent / f"{build.program}.build"
    try:
        wanted.parent.mkdir(parents=True, exist_ok=True)
        with _alone(wanted.parent / f"{build.program}.lock"):
            if wanted.is_file():
                return
            shutil.rmtree(folder, ignore_errors=True)  # of one that was killed
            folder.mkdir()
            try:
                environment = {**os.environ, **build.needs.environment(folder)}
                code, said = _run([tool, *build.needs.argv(build, folder)], environment, told)
                if code:
                    raise UnavailableError(f"{build.tool} could not build {build.program}: {said}")
                build.needs.result(build, folder).replace(wanted)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise UnavailableError(f"{build.program} cannot be kept in our cache: {error}") from error


def _run(
    argv: Sequence[str], environment: Mapping[str, str], told: Callable[[int, int], None]
) -> tuple[int, str]:
    """Run a tool to its end; return its exit code, and the end of what it said."""
    reading, writing = os.pipe2(os.O_CLOEXEC)
    said = bytearray()

    def read() -> None:
        while part := os.read(reading, 1 << 16):
            said.extend(part)
            if counted := COUNTED.findall(part):
                done, total = map(int, counted[-1])
                told(done, total)

    reader = threading.Thread(target=read, name="build", daemon=True)
    reader.start()
    try:
        with os.fdopen(writing, "wb") as output:
            code = commands.run(argv, output, environment)
    except HarnessError as error:
        raise UnavailableError(str(error)) from None
    finally:
        reader.join()
        os.close(reading)
    lines = map(str.strip, PROGRESS.sub(b"", said).decode("utf-8", "replace").splitlines())
    return code, "\n".join(filter(None, lines))[-SAID_BYTES:]


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold a lock, which the kernel releases when its holder ends."""
    with path.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
