"""How a command file says that nodes are started: the program, its files, what is prepared for it
before any node starts, and what joins it to the others afterwards.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import BadFileError
from harness.faults.fault import State
from harness.runtimes.builds import TOOLS, Build, lacking
from harness.scenario.tables import Table
from harness.systems.adapters.command_asks import (
    DialogAsk,
    Send,
    Ways,
    exec_argv,
    one_key,
    send,
    text,
    texts_of,
)
from harness.systems.adapters.command_fields import (
    FIELD,
    OF_A_JOIN,
    OF_A_PEER,
    OF_A_PREPARATION,
    OF_A_START,
    fields,
)
from harness.topology.topology import NAME

PLACEMENTS = ("entered", "pod")
PEER_FIELDS = ("peer", "peer_name", "peer_address", "peer_prepared")
UP = "up"  # of all others those that are up: a node that is not can answer nobody
WITH = ("entrances", "peers", "all", UP)
MODULE = re.compile(r"[^@\s]+@v\d+\.\d+\.\d+[\w.+-]*")  # of Go
OF_A_PROGRAM = ("argv", "image", "environment", "build", "placement")  # that is started
RESERVED = ("log", "control.sock")  # the harness's own in a node's folder


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A file that is written into each node's folder: a text whose fields are filled in."""

    name: str  # below the node's folder
    text: str
    template: str | None = None  # the file beside the command file that it was read from


@dataclass(frozen=True, slots=True, kw_only=True)
class Join:
    """What a node is asked once all nodes are up, until it agrees.

    `each`: the nodes of which it is asked once for each; None: it is asked once.
    """

    send: Send
    each: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a node is started."""

    argv: tuple[str, ...] = ()  # empty: the nodes are containers that a program brings
    files: tuple[str, ...] = ()  # copied into each node's folder, which the node is run in
    written: tuple[File, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    prepare: tuple[str, ...] = ()  # a program that is run for each node before any node starts
    joined: tuple[Join, ...] = ()
    state: State = State.KEEP  # what a node finds again when it is started anew
    peer: str = "{address}"  # how one is written in {peers}
    separator: str = ","
    image: str | None = None  # a reference; None: made of argv[0] and its libraries
    pod: bool = False
    ports: tuple[int, ...] = ()  # TCP, at which nodes dial each other
    build: Build | None = None  # how argv[0] is had where it is not on PATH


def read(table: Table, folder: Path, ways: Ways) -> Start:
    """Read ``[start]``. Raises BadFileError."""
    is_brought = table.take("brought", bool, False)
    argv = () if is_brought else exec_argv(table, "argv", OF_A_START, ways)
    if says := [key for key in OF_A_PROGRAM if key in table and is_brought]:
        raise BadFileError(
            f"{table.where}.brought: the nodes run already, as containers that a program brings; "
            f"expected no {says[0]}, which is of a program that is started"
        )
    files = tuple(table.texts("files"))
    for name in files:
        if not (folder / name).is_file():
            raise BadFileError(f"{table.where}.files: there is no file {folder / name}")
    environment = table.table("environment")
    placement = table.choice("placement", PLACEMENTS, "entered")
    may = [*OF_A_START, *ways.secrets]
    image = table.take_or_none("image", str)
    made = Start(
        argv=argv,
        files=files,
        written=_written(table, folder, may, {Path(name).name for name in files}),
        image=image,
        build=_build(table, argv[0] if argv else "", image, folder),
        pod=placement == "pod",
        environment={
            key: fields(
                text(value, f"{environment.where}.{key}"), may, f"{environment.where}.{key}"
            )
            for key, value in environment.rest().items()
        },
        prepare=exec_argv(table, "prepare", OF_A_PREPARATION, ways) if "prepare" in table else (),
        joined=_joined(table, ways),
        state=State(table.choice("state", list(State), State.KEEP)),
        peer=fields(table.take("peer", str, "{address}"), OF_A_PEER, f"{table.where}.peer"),
        separator=table.take("separator", str, ","),
        ports=_ports(table),
    )
    _require_prepared(made, table.where)
    return made


def _build(table: Table, program: str, image: str | None, folder: Path) -> Build | None:
    """Read ``build = { cargo = "CRATE" }`` or ``{ go = "MODULE@VERSION" }``."""
    if "build" not in table:
        return None
    inner = table.table("build")
    tool = one_key(inner, TOOLS)
    source = inner.take(tool, str)
    inner.finish()
    if image is not None or not NAME.fullmatch(program):
        raise BadFileError(
            f"{inner.where}: expected start.argv to begin with the name of the program that is "
            f"built, and no start.image; found {program!r} and {image or 'no image'}"
        )
    if tool == "cargo":
        if why := lacking(folder / source):
            raise BadFileError(f"{inner.where}.cargo: {why}")
        source = str((folder / source).resolve())
    elif not MODULE.fullmatch(source):
        raise BadFileError(
            f"{inner.where}.go: expected MODULE@VERSION, found {source!r}; a version is "
            "exact, such as v1.2.3: what else it is called is another program one day, and it is "
            "built once"
        )
    return Build(tool=tool, source=source, program=program)


def _require_prepared(made: Start, where: str) -> None:
    """Raise BadFileError where a field is what nothing prepares."""
    if made.prepare:
        if "prepared" in FIELD.findall(made.peer) and _uses_peers(made.prepare):
            raise BadFileError(
                f"{where}.prepare: it is run before {{prepared}} is known, which start.peer writes "
                "into {peers}, {entrances} and {all}; expected none of these in it"
            )
        return
    texts = [*made.argv, made.peer, *made.environment.values(), *(one.text for one in made.written)]
    texts += [each for join in made.joined for each in texts_of(join.send.ask)]
    require_prepared(texts, where)


def _uses_peers(argv: Collection[str]) -> bool:
    return bool(
        {"peers", "entrances", "all"} & {name for each in argv for name in FIELD.findall(each)}
    )


def require_prepared(texts: Collection[str], where: str) -> None:
    """Raise BadFileError where one of these texts has a field of what nothing prepares."""
    for each in texts:
        for name in FIELD.findall(each):
            if name.endswith("prepared"):
                raise BadFileError(
                    f"{where}: {{{name}}} is what start.prepare prints; expected start.prepare, "
                    "found none"
                )


def _written(table: Table, folder: Path, may: Collection[str], taken: set[str]) -> tuple[File, ...]:
    """Read ``[[start.file]]``."""
    found = []
    taken |= set(RESERVED)
    for each in table.tables("file"):
        name, template = each.take("name", str), each.take_or_none("template", str)
        _require_below(name, f"{each.where}.name")
        if name in taken:
            whose = "the harness's own" if name in RESERVED else "a file of start.files or another"
            raise BadFileError(f"{each.where}.name: {name!r} is {whose}; expected another name")
        taken.add(name)
        inline = each.take_or_none("text", str)
        if (template is None) == (inline is None):
            raise BadFileError(
                f"{each.where}: expected either template, a file beside this one, or text; found "
                f"{'both' if template else 'neither'}"
            )
        where = f"{each.where}.text" if template is None else str(folder / template)
        said = _read(folder / template, each.where) if template is not None else inline or ""
        found.append(File(name=name, text=fields(said, may, where), template=template))
        each.finish()
    return tuple(found)


def _require_below(name: str, where: str) -> None:
    parts = Path(name).parts
    if not parts or Path(name).is_absolute() or ".." in parts or name.endswith("/"):
        raise BadFileError(
            f"{where}: expected a file below the node's folder, such as 'node.conf', found {name!r}"
        )


def _read(path: Path, where: str) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise BadFileError(f"{where}.template: there is no file {path}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{where}.template: {path} cannot be read as text: {error}") from None


def _joined(table: Table, ways: Ways) -> tuple[Join, ...]:
    """Read ``[start.joined]``, or several of them, which are asked in turn."""
    if "joined" not in table:
        return ()
    steps = table.tables("joined") if table.has_list("joined") else [table.table("joined")]
    return tuple(_join(each, ways) for each in steps)


def _join(table: Table, ways: Ways) -> Join:
    asked = send(table, OF_A_JOIN, ways)
    texts = [*texts_of(asked.ask), *([asked.ok] if asked.ok else [])]
    if isinstance(asked.ask, DialogAsk):
        texts += asked.ask.ok
    used = {name for each in texts for name in FIELD.findall(each) if name in PEER_FIELDS}
    each = table.choice("each", WITH) if "each" in table else None
    if used and each is None:
        raise BadFileError(
            f"{table.where}: {{{min(used)}}} is of one other node; expected each, one of "
            f"{', '.join(WITH)}, which says of which; found none"
        )
    if each is not None and not used:
        raise BadFileError(
            f"{table.where}.each: expected one of "
            f"{', '.join(f'{{{name}}}' for name in PEER_FIELDS)} in what is asked once for each; "
            "found none"
        )
    table.finish()
    return Join(send=asked, each=each)


def _ports(table: Table) -> tuple[int, ...]:
    ports = table.take("ports", list, [])
    for port in ports:
        if type(port) is not int or not 1 <= port <= 65_535:
            raise BadFileError(f"{table.where}.ports: expected TCP ports, found {port!r}")
    return tuple(ports)
