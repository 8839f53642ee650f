"""What comes with the harness as C source is compiled once for this host, and kept in its cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import harness
from harness.errors import HarnessError, UnavailableError


def shipped(name: str) -> Path:
    """Find a file that comes with the harness: in a checkout at ``name``, in a wheel below
    ``harness/_data``.
    """
    package = Path(harness.__file__).parent
    for base in (package / "_data", package.parent):
        if (base / name).exists():
            return base / name
    raise HarnessError(
        f"{name} is missing from this installation; looked in {package / '_data'} and "
        f"{package.parent}"
    )


def cache() -> Path:
    """Return the folder of what is made once for this host."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "p2p-harness"


def built(name: str, flags: Sequence[str], need: str) -> Path:
    """Return what a shipped source is compiled to. `need` says who needs a compiler for what, in an
    error. Raises UnavailableError where there is no C compiler.
    """
    source = shipped(name)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()[:16]
    wanted = cache() / f"{source.stem}-{digest}"
    if wanted.exists():
        return wanted
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise UnavailableError(f"{need}: install gcc and libc6-dev")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache()) as folder:
        made = Path(folder) / source.stem
        result = subprocess.run(
            [compiler, *flags, "-o", str(made), str(source)],
            capture_output=True,
            text=True,
            check=False,
        )
        if result.returncode:
            raise UnavailableError(
                f"{source} could not be compiled: install gcc and libc6-dev; {compiler} said: "
                f"{result.stderr.strip()}"
            )
        made.replace(wanted)
    return wanted
