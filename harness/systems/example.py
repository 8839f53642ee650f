"""A command file to begin with: a small node that works as it stands, and what each table is for.

It comes with the harness as ``systems/example``; ``harness init --system NAME`` writes it under
the name of a user's own system.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import StorageError, UsageError
from harness.runtimes import compiled
from harness.systems import adapters
from harness.topology.topology import NAME

NODE = "tinynode.py"
CALLED = "example"  # in its own text, wherever the name of the system stands


def write(name: str, folder: Path) -> list[Path]:
    """Write ``NAME.toml`` and the node that it starts into a folder; return the files.

    The node's file may be there as it is. Raises UsageError where a name is none, or another file
    would be overwritten, and StorageError.
    """
    _require_own(name)
    shipped = compiled.shipped(f"systems/{CALLED}")
    text = (shipped / f"{CALLED}.toml").read_text()
    wanted = {
        folder / f"{name}.toml": text.replace(CALLED, name),
        folder / NODE: (shipped / NODE).read_text(),
    }
    try:
        for path, said in wanted.items():
            if path.exists() and not (path.name == NODE and path.read_text() == said):
                raise UsageError(
                    f"{path} exists already; expected a folder without it: nothing was written"
                )
        folder.mkdir(parents=True, exist_ok=True)
        for path, said in wanted.items():
            path.write_text(said)
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{folder}: cannot be written: {error}") from error
    return list(wanted)


def _require_own(name: str) -> None:
    """Raise UsageError where a system cannot be called so."""
    if name in adapters.TABLE:
        raise UsageError(
            f"--system: {name} comes along (harness up cluster-10 --system {name}); expected a "
            "name of your own, such as my-node"
        )
    if not NAME.fullmatch(name):
        stem = Path(name).stem
        meant = f"; did you mean {stem!r}?" if NAME.fullmatch(stem) else ""
        raise UsageError(
            f"--system: expected a name of 1 to 32 of a-z, 0-9 and '-', found {name!r}{meant}"
        )
