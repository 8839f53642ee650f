"""What a file, or a folder, that a user has written or been given is: told by what stands in it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean, listed
from harness.errors import BadFileError
from harness.experiments import seals
from harness.experiments import suite_folder as suites
from harness.experiments.soak import folder as soaks
from harness.scenario import shipped, soak, tables

CONFIGURATION, BUNDLE, RUN = "Locust configuration", "bundle", "run folder"
SUITE_RUN, SOAK_RUN, GATE_RUN = "suite's run folder", "soak's folder", "gate's folder"
# The keys that files of one kind alone have. One with [soak] is a scenario but for that.
KEYS: Mapping[str, Collection[str]] = {
    "suite": ("parts",),
    "gate": ("criterion",),
    "soak": (soak.KEY,),
    "scenario": ("topology", "phase", "checks", "system"),
    "budget": ("row", "source"),
    "system": ("start", "ready", "send", "received", "connection", "helper", "secrets"),
    "topology": ("nodes", "node", "shape", "link", "region_link", "addresses", "adapter"),
}
ANY = ("name", "seed", "budget")  # that files of several kinds have
FOLDERS = {
    "scenarios": "scenario",
    "budgets": "budget",
    "gates": "gate",
    "topologies": "topology",
}
GATE = seals.GATE
NAMED = ("scenarios", "topologies", "budgets")  # what is found by its name, in this order


def find(file: Path) -> Path:
    """Return the file or folder that is meant: a path, or the name of what is shipped."""
    if file.exists() or file.suffix or len(file.parts) > 1:
        return file
    shipped_as = (
        shipped.find(str(file), folder) for folder in NAMED if str(file) in shipped.names(folder)
    )
    return next(shipped_as, file)


def kind_of(file: Path) -> str:
    """Say what a file, or a folder, is. Raises BadFileError where it is none of these."""
    if file.is_dir():
        return _of_folder(file)
    if file.suffix == ".conf":
        return CONFIGURATION
    if file.name.endswith((".tar.gz", ".tgz")):
        return BUNDLE
    if file.suffix == ".py":
        raise BadFileError(
            f"{file}: it is Python; expected a file of the harness (TOML), a locust.conf, a bundle "
            "or a run folder: of Python of your own `--system module:Class` and --import are told"
        )
    return of_keys(tables.load(file), file)


def of_keys(values: Mapping[str, Any], file: Path) -> str:
    """Say what a file of TOML is by its keys; where none of them tells it, by its folder. Raises
    BadFileError.
    """
    if (soak.KEY in values) and "phase" not in values:
        return "soak"
    counts = {kind: sum(key in values for key in keys) for kind, keys in KEYS.items()}
    kind = max(counts, key=lambda one: counts[one])  # of several the first
    if counts[kind]:
        return kind
    if (told := FOLDERS.get(file.resolve().parent.name)) is not None:
        return told
    known = [key for keys in KEYS.values() for key in keys]
    meant = next((hint for key in values if (hint := did_you_mean(key, known))), "")
    found = f"only {listed(values)}" if values else "nothing in it"
    raise BadFileError(
        f"{file}: nothing in it tells what it is: expected a {', '.join(KEYS)}; found {found}"
        f"{meant}"
    )


def misspelled(kind: str, values: Collection[str]) -> str:
    """Say which key of a file that was refused is none that there is, and is close to one of its
    kind; empty where there is none.
    """
    known = {*ANY, *(key for keys in KEYS.values() for key in keys)}
    for key in values:
        if key not in known and (hint := did_you_mean(key, KEYS.get(kind, ()))):
            return f"{key}: unknown key{hint}"
    return ""


def is_gate(folder: Path) -> bool:
    """Whether a folder is a gate's."""
    return (folder / GATE).is_file()


def _of_folder(folder: Path) -> str:
    marks = {soaks.FILE: SOAK_RUN, suites.FILE: SUITE_RUN, GATE: GATE_RUN, "metadata.json": RUN}
    for mark, kind in marks.items():
        if any((one / mark).is_file() for one in (folder, folder / "latest")):
            return kind
    raise BadFileError(
        f"{folder}: expected a file, or the folder of a run, a suite, a soak or a gate; found a "
        "folder that is none of these"
    )
