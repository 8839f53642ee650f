"""Validation of what runs have left: folders and bundles, which `judge` and `replay` read."""

from __future__ import annotations

from pathlib import Path

from harness import runtimes
from harness.errors import BadFileError
from harness.experiments import bundle, kinds, original
from harness.experiments import suite_folder as suites
from harness.experiments.soak import folder as soaks
from harness.history import reader
from harness.history.files import Files


def run(folder: Path) -> str:
    """Say what a run folder is of. Raises BadFileError for one that is not whole."""
    found = reader.find(folder)
    facts = reader.metadata(found)
    files = Files(found, has_manifest=facts.get("manifest", False))
    if wrong := [files.problem] if files.problem else files.differences():
        more = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise BadFileError(f"{folder}: {wrong[0]}{more}")
    history, _ = reader.read(found), original.read(found)
    count = len(history.gaps)
    gaps = (
        f"; its record has {count} gap{'s' * (count > 1)}: {history.gaps[0].why}" if count else ""
    )
    was_brought = facts.get("runtime", {}).get("name") == runtimes.BROUGHT
    where = " where a program brings its containers again" if was_brought else ""
    return (
        f"{facts['name']} with {len(facts['nodes']):,} {facts['adapter']} nodes, "
        f"{len(history.phases)} phase{'s' * (len(history.phases) != 1)}; its files are as they "
        f"were, and it can be replayed{where}{gaps}"
    )


def packed(file: Path) -> str:
    """Say what a bundle is of. Raises BadFileError for one that is not whole."""
    with bundle.opened(file) as folder:
        found = original.read(folder)
    nodes = len(found.scenario.topology.nodes)
    return f"{found.scenario.name} with {nodes:,} {found.facts['adapter']} nodes, to be replayed"


def of_suite(folder: Path) -> str:
    """Say what a suite's folder is of. Raises BadFileError where a part of it is not whole."""
    at = folder if (folder / suites.FILE).is_file() else folder / "latest"
    played = [at / part for part in suites.read(at)["parts"].values()]
    return f"{len(played)} parts: {'; '.join(map(run, played))}"


def of_soak(folder: Path) -> str:
    """Say what a soak's folder is of. Raises BadFileError where its inputs were changed."""
    at = soaks.find(folder)
    assert at is not None
    found = soaks.SoakFolder(at)
    if changed := found.changed_inputs():
        raise BadFileError(f"{at}: {'; '.join(changed)}: nothing more can be played")
    left = len([*found.left()])
    begun = len(found.windows())
    return f"{found.asked.name}: {begun} window{'s' * (begun != 1)} begun, {left} left to play"


def of_gate(folder: Path) -> str:
    """Say what a gate's folder is of. Raises BadFileError where it cannot be judged."""
    from harness.experiments import gate as gates  # late: it validates what it plays

    at = folder if kinds.is_gate(folder) else folder / "latest"
    judged = gates.judge(at, write=False)
    return f"{len(judged.verdict.findings)} criteria"
