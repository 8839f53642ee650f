"""What is done before the nodes of a command file start: programs prepare them, their files are
written, their command lines filled in. What the drivers have to know of it is kept in the cluster's
folder, which is nobody else's.
"""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BadFileError, HarnessError, NodeStartError
from harness.redaction import redacted
from harness.runtimes import builds
from harness.runtimes.runtime import Image, Place, Process, Recipe
from harness.systems.adapters import driven
from harness.systems.adapters.command_fields import as_peers, filled, of_place
from harness.systems.adapters.command_file import CommandFile
from harness.systems.transports import programs
from harness.topology.topology import Topology

ENTRANCES = 3
KEPT = "command.json"
BELOW = "system"  # of a run folder
KEPT_BYTES_MOST = 1 << 20  # of a file that a run keeps
KEEPABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(?:/[A-Za-z0-9][A-Za-z0-9._-]*){0,2}")
AT_ONCE = 8  # programs that prepare nodes
PREPARED_MOST = 1 << 16  # characters that one may print
LOOK_S = 0.2  # at whether somebody waits still
SHOWN = 300  # of what a program said
REHEARSED = -1  # the namespace of a place that is none: nothing may run


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a node's driver knows of the cluster. `told`: node → ``peers``, ``entrances`` and
    ``all`` → the names of these; `prepared`: node → what was prepared for it.
    """

    told: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    prepared: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, state: Path) -> Around:
        """Read what `launches` kept. Raises OSError."""
        said = json.loads((state / KEPT).read_text())
        return cls(told=said["told"], prepared=said["prepared"])

    def values(
        self, place: Place, order: Mapping[str, Place], given: CommandFile
    ) -> dict[str, str]:
        """Return all fields of a node's start. `order`: name → node, as the topology has them."""
        return of_place(place, self.prepared) | {
            "count": str(len(order)),
            "first_address": next(iter(order.values()), place).address,
            "folder": str(given.folder.resolve()),
            **{
                word: as_peers(
                    given.start.peer,
                    given.start.separator,
                    [order[name] for name in names],
                    self.prepared,
                )
                for word, names in self.told.get(place.node.name, {}).items()
            },
        }


def launches(
    given: CommandFile,
    topology: Topology,
    places: Sequence[Place],
    state: Path,
    progress: Callable[[str, int, int], None] = lambda *_: None,
) -> list[tuple[Place, Process]]:
    """Write what each node needs and say what to run. `progress` may raise to give up. Raises
    BadFileError, NodeStartError.
    """
    secrets, order = given.unveiled(), {place.node.name: place for place in places}
    is_run = bool(given.start.argv) and not any(place.container for place in places)
    program = _program(given) if is_run else ""
    _require_programs(given)
    for place in places:
        driven.options(given.name, place, {})
        place.directory.mkdir(parents=True, exist_ok=True)
        for name in given.start.files:
            shutil.copy2(given.folder / name, place.directory / Path(name).name)
    around = Around(told=_told(topology, places))
    if given.start.prepare and all(place.namespace != REHEARSED for place in places):
        prepared = asyncio.run(_prepared(given, around, order, topology.silence_s, progress))
        around = Around(told=around.told, prepared=prepared)
    _keep(around, state)
    return [
        (place, _process(given, place, program, around.values(place, order, given) | secrets))
        for place in places
    ]


def kept(given: CommandFile, path: Path) -> dict[str, str]:
    """Return what a run keeps of the system: the command file and the texts that it names, below
    BELOW. What is no text, too large, or not beside the file is left out; a budget may be
    missing, for another may judge.
    """
    templates = [each.template for each in given.start.written if each.template is not None]
    budget = Path(given.budget or "")
    is_beside = budget.parent == given.folder.resolve() and budget.is_file()
    budgets = [budget.name] if is_beside else []
    found = {}
    for name in (path.name, *given.start.files, *templates, *given.programs_files, *budgets):
        file = path if name == path.name else given.folder / name
        if KEEPABLE.fullmatch(name) and file.stat().st_size <= KEPT_BYTES_MOST:
            with suppress(UnicodeDecodeError):
                found[f"{BELOW}/{name}"] = file.read_text()
    return found


def _keep(around: Around, state: Path) -> None:
    kept = state / KEPT
    kept.touch(mode=0o600)
    kept.write_text(json.dumps({"told": around.told, "prepared": around.prepared}))


def _process(given: CommandFile, place: Place, program: str, values: Mapping[str, str]) -> Process:
    """Write a node's files, and return what it starts as."""
    for each in given.start.written:
        file = place.directory / each.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(filled(each.text, values))
    if not program:  # it runs in its container already
        return Process(argv=(), image=Image(place.container or "", Recipe.REFERENCE))
    _, *arguments = (filled(each, values) for each in given.start.argv)
    return Process(
        argv=(_path(given, place, program), *arguments),
        environment={key: filled(text, values) for key, text in given.start.environment.items()},
        image=Image(given.start.image, Recipe.REFERENCE)
        if given.start.image
        else Image(program, Recipe.PROGRAM),
        pod=given.start.pod,
    )


def _told(topology: Topology, places: Sequence[Place]) -> dict[str, dict[str, list[str]]]:
    """Say which others each node may be told of."""
    neighbours = topology.neighbours()
    entrances = driven.entrances(neighbours, places, ENTRANCES)
    everybody = [place.node.name for place in places]
    return {
        name: {
            "peers": list(neighbours[name]),
            "entrances": [place.node.name for place in entrances[name]],
            "all": everybody,
        }
        for name in everybody
    }


async def _prepared(
    given: CommandFile,
    around: Around,
    order: Mapping[str, Place],
    patience_s: float,
    progress: Callable[[str, int, int], None],
) -> dict[str, str]:
    """Run the program that prepares each node, in its network and folder; return what each printed.
    Raises NodeStartError.
    """
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(place: Place) -> str:
        async with turns:  # its time begins with its turn
            return await _prints(given, place, around.values(place, order, given), patience_s)

    tasks = {name: asyncio.create_task(one(place)) for name, place in order.items()}
    waiting = set(tasks.values())
    while waiting:  # whatever raises here has all of them ended
        progress("preparing nodes", len(tasks) - len(waiting), len(tasks))
        done, waiting = await asyncio.wait(
            waiting, timeout=LOOK_S, return_when=asyncio.FIRST_EXCEPTION
        )
        for task in done:
            task.result()
    progress("preparing nodes", len(tasks), len(tasks))
    return {name: task.result() for name, task in tasks.items()}


async def _prints(
    given: CommandFile, place: Place, values: Mapping[str, str], patience_s: float
) -> str:
    """Run the program that prepares a node; return what it prints. Raises NodeStartError."""
    complaints = list[str]()
    argv = [filled(each, values) for each in given.start.prepare]
    where = f"node {place.node.name}: start.prepare: {argv[0]}"
    running = programs.run(place.namespace, argv, place.directory, complaints=complaints)
    try:
        code, said = await asyncio.wait_for(running, patience_s)
    except TimeoutError:
        raise NodeStartError(f"{where} has not ended within {patience_s:g} s") from None
    except HarnessError as error:
        raise NodeStartError(f"{where}: {error}") from None
    if code != 0:
        last = redacted("".join(complaints).strip() or said.strip())[-SHOWN:]
        raise NodeStartError(f"{where} ended with exit code {code}: {last or 'it said nothing'}")
    if len(said) > PREPARED_MOST:
        raise NodeStartError(f"{where} printed more than {PREPARED_MOST:,} characters")
    return said.strip()


def _program(given: CommandFile) -> str:
    """Return the program to run, found on this host where the image is made of it.

    Raises BadFileError.
    """
    folder, start = given.folder, given.start
    named = start.argv[0]
    if start.build is not None:
        return str(builds.require(start.build))
    if "/" in named:
        path = folder / named
        if start.image or path.is_file():
            return named if start.image else str(path.resolve())
    elif start.image or shutil.which(named):
        return named
    raise BadFileError(
        f"{folder / named if '/' in named else named}: start.argv: there is no such program "
        "here, and no image is named that has it"
    )


def _path(given: CommandFile, place: Place, program: str) -> str:
    """Return where the node's program is.

    It is the node's own copy where the file is copied, else the one of the host or the image.
    """
    copies = {Path(name).name for name in given.start.files}
    is_copied = "/" in given.start.argv[0] and Path(program).name in copies
    return str(place.directory / Path(program).name) if is_copied else program


def _require_programs(given: CommandFile) -> None:
    """Raise BadFileError where a program of this host is not here that is run beside nodes."""
    in_folder = {Path(name).name for name in given.start.files}
    in_folder |= {each.name for each in given.start.written}
    for where, (name, *_) in given.argvs:
        below = name.removeprefix("{directory}/").removeprefix("./")
        if "/" not in name:
            is_here = shutil.which(name) is not None
        else:
            is_here = below in in_folder if below != name else Path(name).is_file()
        if not is_here and "{" not in below:
            raise BadFileError(
                f"{where}: there is no program {name!r} here; expected one on PATH, a file beside "
                "this one as {folder}/NAME, or one of start.files as {directory}/NAME"
            )
