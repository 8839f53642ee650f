"""One window of a soak is judged, and summarised for good, in a process of its own while the next
is played: `python -m harness.experiments.soak.window FOLDER NUMBER`. That process gives its memory
back, and the one that plays stays as it is.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.experiments import judge as single_judge
from harness.experiments import seals
from harness.experiments.soak import series, summary
from harness.experiments.soak.folder import (
    SAMPLES,
    SUMMARY,
    VERDICT,
    SoakFolder,
    Stage,
    Window,
)
from harness.history.folder import translated
from harness.kernel import parents
from harness.kernel.files import replace_text

NICE = 19  # the window that is played goes first
FACTS_FILE = "facts.json"
OF_HOST = ("cpu", "cores", "machine", "kernel", "memory_bytes", "python", "versions")
FACTS = ("host", "nodes", "topology", "adapter", "runtime", "network")  # of a run's metadata


def judge(folder: SoakFolder, number: int) -> None:
    """Judge a window's run folder by its own budget, and keep what is kept for good. Its summary
    is written last: a window without one was not judged.

    Raises HarnessError; what came of that stands in window.json.
    """
    window = next(one for one in folder.windows() if one.number == number)
    run, path = folder.run_of(window), folder.window_folder(number)
    try:
        if run is None:
            raise HarnessError(f"window {number} has no run folder")
        judged = single_judge.judge(run)
        assert judged.history is not None
        text = json.dumps(judged.as_json(), indent=1) + "\n"
        wall_s = time.time() - time.monotonic()
        series.write(path / SAMPLES, series.of_run(judged.history, wall_s), window.seconds)
        with translated(path):
            replace_text(path / VERDICT, text)
            shutil.copyfile(run / "summary.txt", path / "summary.txt")
            _keep_facts(folder.path / FACTS_FILE, dict(judged.facts))
            said = summary.summary(number, judged.history, judged.facts, judged.verdict)
            said["elsewhere"] = elsewhere(folder.path / FACTS_FILE, judged.facts)
            said["verdict_sha256"] = hashlib.sha256(text.encode()).hexdigest()
            said["samples_sha256"] = seals.of_file(path / SAMPLES)
            said["raw_bytes"] = _bytes(run)
            said["kept_bytes"] = _bytes(path) - said["raw_bytes"]
            replace_text(path / SUMMARY, json.dumps(said, indent=1) + "\n")
    except Exception as error:
        why = str(error) if isinstance(error, HarnessError) else f"{type(error).__name__}: {error}"
        folder.write(replace(window, not_judged=why))
        raise


def cut(folder: SoakFolder, window: Window) -> Window:
    """Return a window that was being played when the harness was killed, as what it is."""
    run = window.run or folder.found_run(window.number)
    when = "while it was played" if run else "before its load began"
    return replace(
        window,
        stage=Stage.CUT if run else Stage.BROKEN,
        run=run,
        ended_s=window.ended_s or time.time(),
        problem=f"the harness was killed {when}",
    )


def _keep_facts(file: Path, facts: dict[str, Any]) -> None:
    if not file.exists():
        replace_text(file, json.dumps({key: facts[key] for key in FACTS if key in facts}) + "\n")


def elsewhere(first: Path, facts: Mapping[str, Any]) -> list[str]:
    """Say in what a window's host, runtime or programs differ from the first one's: who goes on
    with a soak may do so after an upgrade, or on another machine.
    """
    try:
        began = _flat(json.loads(first.read_text()))
    except (OSError, ValueError):
        return [f"{first.name} cannot be read: on what the first window was played is not known"]
    now = _flat(facts)
    return [
        f"{key}: {began[key]} in the first window, {now[key]} in this one"
        for key in sorted(began.keys() & now.keys())
        if began[key] != now[key]
    ]


def _flat(facts: Mapping[str, Any]) -> dict[str, str]:
    """What is the same in all windows of a soak that goes on where it began."""
    host = {key: one for key, one in facts.get("host", {}).items() if key in OF_HOST}
    versions = host.pop("versions", {})
    tables = {"host": host, "versions": versions}
    tables |= {key: facts.get(key, {}) for key in ("runtime", "network")}
    found = {
        f"{name} {key}": str(one) for name, table in tables.items() for key, one in table.items()
    }
    return found | {key: str(facts[key]) for key in ("topology", "adapter") if key in facts}


def _bytes(path: Path) -> int:
    found = 0
    for one in path.rglob("*"):
        with suppress(FileNotFoundError):
            found += one.lstat().st_size if one.is_file() and not one.is_symlink() else 0
    return found


def main() -> None:
    """Judge a window, and the whole as far as it is."""
    path, number, parent = sys.argv[1:]
    parents.end_with(int(parent))
    with suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, 0, NICE)
    from harness.experiments.soak import judge as whole

    folder = SoakFolder(Path(path))
    try:
        judge(folder, int(number))
    finally:
        whole.judge(folder, late=False)


if __name__ == "__main__":
    try:
        main()
    except HarnessError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
