"""What a run names that would be run here, and is none of the harness's own.

Of a run folder that is somebody's own affair. A bundle from elsewhere is data, and may name
whatever it likes: none of it is run, nor even imported, before a person says so.
"""

from __future__ import annotations

from collections.abc import Iterator

from harness import runtimes
from harness.checks import selection
from harness.errors import UsageError
from harness.experiments.original import Original
from harness.runtimes import AUTO
from harness.systems import adapters

SYSTEM, RUNTIME, CHECK, PROGRAM = "system under test", "runtime", "check", "program of a fault"
# What the command says instead, where it can; else the bundle has to be unpacked.
SAID_BY = {SYSTEM: "`harness replay --system`", RUNTIME: "`harness replay --runtime`"}


def require_none(of: Original, system: str | None = None, runtime_name: str = AUTO) -> None:
    """Raise UsageError where a bundle names a program that is none of the harness's own, and no
    person has named a system, or a runtime, instead.
    """
    if of.source == of.folder:
        return
    said = {SYSTEM: system is not None, RUNTIME: runtime_name != AUTO}
    for what, name in _named(of):
        if said.get(what):
            continue
        option = f"{SAID_BY[what]}, or " if what in SAID_BY else ""
        text = " (of a command file it has the text, as system.toml)" if what == SYSTEM else ""
        raise UsageError(
            f"{of.source}: the {what} was {name}, which is none of the harness's own; expected "
            f"{option}the folder that it unpacks to (tar xf), once you have looked at it: a "
            f"bundle from elsewhere may name whatever it likes{text}"
        )


def _named(of: Original) -> Iterator[tuple[str, str]]:
    """Yield what a run names that is none of the harness's own: what it is, and its name."""
    if of.scenario.topology.adapter not in adapters.TABLE:
        yield SYSTEM, of.scenario.topology.adapter
    if of.runtime not in runtimes.TABLE:
        yield RUNTIME, of.runtime
    for name in of.scenario.checks:
        if selection.is_foreign(name):
            yield CHECK, name
    for fault in of.timeline.faults:
        if fault.program is not None:
            yield PROGRAM, f"{fault.name}: {fault.program.command} {fault.program.image}".strip()
