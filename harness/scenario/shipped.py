"""The files that come with the harness, in a wheel or in a checkout.

They are topologies, scenarios, budgets, gates and locustfiles.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import harness
from harness.choices import did_you_mean, listed
from harness.errors import BadFileError, StorageError, UsageError

SOAK = re.compile(r"(?m)^\[soak\]")
FOLDERS = ("topologies", "scenarios", "budgets", "gates", "locustfiles")


def root() -> Path:
    """Return the folder of the shipped files: ``harness/_data`` in a wheel, else the repository."""
    package = Path(harness.__file__).parent
    return package / "_data" if (package / "_data").is_dir() else package.parent


def find(named: str, folder: str) -> Path:
    """Find a file by its path, or by the name of a shipped (or local) one: ``cluster-10``.

    Raises BadFileError with what there is.
    """
    candidates = [Path(named), Path(folder) / f"{named}.toml", root() / folder / f"{named}.toml"]
    if Path(named).parts[:1] == (folder,):  # as it is called in a checkout, and after `init`
        candidates.append(root() / named)
    for candidate in candidates:
        if is_file(candidate):
            return candidate
    known = names(folder)
    raise BadFileError(
        f"{named}: no such file, and no {folder} of that name; there are {listed(known, named)}"
        f"{did_you_mean(named, known)}"
    )


def is_file(path: Path) -> bool:
    """Whether a file is there that this user can look at."""
    try:
        return path.is_file()
    except OSError:  # no permission on the way to it, a name too long
        return False


def names(folder: str, *beside: Path) -> list[str]:
    """Return the names of what is shipped in a folder, here, and in places beside, sorted."""
    places = (Path(folder), root() / folder, *beside)
    return sorted({file.stem for place in places for file in place.glob("*.toml")})


def soaks() -> list[str]:
    """Return the names of the scenarios with ``[soak]``, shipped or here, sorted."""
    return [
        name
        for name in names("scenarios")
        if SOAK.search(find(name, "scenarios").read_text(errors="replace"))
    ]


def copy_to(target: Path) -> list[Path]:
    """Copy everything into a folder (`harness init`); return the files.

    Raises UsageError where a file would be overwritten, and StorageError.
    """
    wanted = [
        Path("locust.conf"),
        *(
            file.relative_to(root())
            for name in FOLDERS
            for file in sorted((root() / name).rglob("*"))
            if file.is_file() and "__pycache__" not in file.parts
        ),
    ]
    for name in wanted:
        if (target / name).exists():
            raise UsageError(
                f"{target / name} exists already; expected a folder without it: nothing was copied"
            )
    try:
        for name in wanted:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root() / name, target / name)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error}") from error
    return [target / name for name in wanted]
