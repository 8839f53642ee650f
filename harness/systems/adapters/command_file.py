"""A command file says how to start a node, when it is ready, how to ask it, and how it reports.

It is TOML. Texts may hold fields in braces, which are filled in for each node or each operation;
docs/your-own-node.md has the tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.choices import did_you_mean
from harness.errors import BadFileError
from harness.operations import Operation
from harness.runtimes.builds import TOOLS, Build, lacking
from harness.scenario.tables import Table, load
from harness.topology.topology import NAME

OF_A_NODE = ("name", "index", "address", "directory")
OF_A_START = (*OF_A_NODE, "peers", "entrances")
OF_AN_OPERATION = (*OF_A_NODE, "id", "payload", "key", "target", "target_address")
OPERATIONS = (Operation.PRIVATE_MESSAGE, Operation.BROADCAST, Operation.DHT_PUT, Operation.DHT_GET)
TOLD_BY_RECEIVERS = (Operation.PRIVATE_MESSAGE, Operation.BROADCAST)
PLACEMENTS = ("entered", "pod")
FIELD = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAsk:
    """One HTTP request; any status of 200 to 299 is a success."""

    method: str
    url: str
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecAsk:
    """One run of a host's program in the node's network and folder; exit code 0 is a success."""

    argv: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineAsk:
    """One line on a standing connection (``host:port``, or ``unix:PATH``).

    The next line that comes back is its answer.
    """

    to: str
    say: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpAsk:
    """A connection to the node; it is a success where the node accepts it."""

    to: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogAsk:
    """Lines of the node's log (its stdout and stderr)."""

    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """How an operation is asked for; `ok` must be found in the answer, where it is given."""

    ask: HttpAsk | ExecAsk | LineAsk
    ok: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How a node is started."""

    argv: tuple[str, ...]
    files: tuple[str, ...] = ()  # copied into each node's folder, which the node is run in
    environment: Mapping[str, str] = field(default_factory=dict)
    peer: str = "{address}"  # how one is written in {peers}
    separator: str = ","
    image: str | None = None  # a reference; None: made of argv[0] and its libraries
    pod: bool = False
    ports: tuple[int, ...] = ()  # TCP, at which nodes dial each other
    build: Build | None = None  # how argv[0] is had where it is not on PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFile:
    """The content of a command file."""

    name: str
    folder: Path  # that the file lies in
    start: Start
    ready: HttpAsk | ExecAsk | TcpAsk | LogAsk
    send: Mapping[Operation, Send]
    received: HttpAsk | LineAsk | LogAsk | None = None
    budget: str | None = None


def read(path: Path) -> CommandFile:
    """Read a command file. Raises BadFileError with what was expected, found, and possible."""
    table = Table(load(path), str(path))
    start, ready, send, received = (
        table.table("start"),
        table.table("ready"),
        table.table("send"),
        table.table("received"),
    )
    budget = table.take_or_none("budget", str)
    made = CommandFile(
        name=_name(table, path),
        folder=path.parent,
        start=_start(start, path.parent),
        ready=_ready(ready),
        send={
            operation: _send(send.table(operation.word))
            for operation in OPERATIONS
            if operation.word in send
        },
        received=_one(received, {"http": _http_stream, "line": _line, "log": _log})
        if "received" in table
        else None,
        budget=str((path.parent / budget).resolve())
        if budget and budget.endswith(".toml")
        else budget,
    )
    for one in (start, ready, send, received, table):
        one.finish()
    if not made.send:
        raise BadFileError(
            f"{path}: send: expected at least one of "
            f"{', '.join(operation.word for operation in OPERATIONS)}; found none"
        )
    silent = [
        operation.word
        for operation in made.send
        if operation in TOLD_BY_RECEIVERS and made.received is None
    ]
    if silent:
        raise BadFileError(
            f"{path}: received: expected http, line or log, found nothing: that a node took a "
            f"{silent[0]} says nothing of who received it"
        )
    _require_value(made, path)
    return made


def _require_value(made: CommandFile, path: Path) -> None:
    """Raise BadFileError where no get could be seen to bring what was put."""
    put = made.send.get(Operation.DHT_PUT)
    if put is None or Operation.DHT_GET not in made.send:
        return
    match put.ask:
        case HttpAsk(url=url, body=body, headers=headers):
            texts = [url, body, *headers.values()]
        case ExecAsk(argv=argv):
            texts = [*argv]
        case LineAsk(say=say):
            texts = [say]
    if not {"payload", "id"} & {name for text in texts for name in FIELD.findall(text)}:
        raise BadFileError(
            f"{path}: send.dht_put: expected {{payload}} or {{id}} in what is put, found neither: "
            "that a dht_get brought it is seen by the id, with which the payload begins"
        )


def _name(table: Table, path: Path) -> str:
    name = table.take("name", str, path.stem)
    if not NAME.fullmatch(name):
        raise BadFileError(f"{path}: name: expected 1 to 32 of a-z, 0-9 and '-', found {name!r}")
    return name


def _start(table: Table, folder: Path) -> Start:
    argv = tuple(fields(each, OF_A_START, f"{table.where}.argv") for each in table.texts("argv"))
    if not argv:
        raise BadFileError(
            f"{table.where}.argv: expected the program and its arguments, found nothing"
        )
    files = tuple(table.texts("files"))
    for name in files:
        if not (folder / name).is_file():
            raise BadFileError(f"{table.where}.files: there is no file {folder / name}")
    environment = table.table("environment")
    placement = table.choice("placement", PLACEMENTS, "entered")
    image = table.take_or_none("image", str)
    return Start(
        argv=argv,
        files=files,
        image=image,
        build=_build(table, argv[0], image, folder),
        pod=placement == "pod",
        environment={
            key: fields(str(value), OF_A_START, f"{environment.where}.{key}")
            for key, value in environment.rest().items()
        },
        peer=fields(
            table.take("peer", str, "{address}"),
            ("name", "index", "address"),
            f"{table.where}.peer",
        ),
        separator=table.take("separator", str, ","),
        ports=_ports(table),
    )


def _build(table: Table, program: str, image: str | None, folder: Path) -> Build | None:
    """Read ``build = { cargo = "CRATE" }`` or ``{ go = "MODULE@VERSION" }``."""
    if "build" not in table:
        return None
    inner = table.table("build")
    tool: str = _one(inner, dict.fromkeys(TOOLS, lambda _, key, __: key))
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
    elif "@" not in source:
        raise BadFileError(f"{inner.where}.go: expected MODULE@VERSION, found {source!r}")
    return Build(tool=tool, source=source, program=program)


def _ports(table: Table) -> tuple[int, ...]:
    ports = table.take("ports", list, [])
    for port in ports:
        if type(port) is not int or not 1 <= port <= 65_535:
            raise BadFileError(f"{table.where}.ports: expected TCP ports, found {port!r}")
    return tuple(ports)


def _ready(table: Table) -> HttpAsk | ExecAsk | TcpAsk | LogAsk:
    found: HttpAsk | ExecAsk | TcpAsk | LogAsk = _one(
        table, {"http": _http_stream, "tcp": _tcp, "exec": _exec, "log": _log}
    )
    return found


def _send(table: Table) -> Send:
    ok = table.take_or_none("ok", str)
    if ok is not None:
        _pattern(
            FIELD.sub("x", fields(ok, OF_AN_OPERATION, f"{table.where}.ok")), f"{table.where}.ok"
        )
    made = Send(
        ask=_one(table, {"http": _http, "exec": _exec, "line": _line}, OF_AN_OPERATION), ok=ok
    )
    table.finish()
    return made


def _one(
    table: Table,
    ways: Mapping[str, Callable[[Table, str, Collection[str]], Any]],
    known: Collection[str] = OF_A_NODE,
) -> Any:
    """Return the one way that the table names."""
    named = [key for key in ways if key in table]
    if len(named) != 1:
        raise BadFileError(
            f"{table.where}: expected exactly one of {', '.join(ways)}; found "
            f"{', '.join(named) or 'none'}"
        )
    return ways[named[0]](table, named[0], known)


def _http(table: Table, key: str, known: Collection[str]) -> HttpAsk:
    inner = table.table(key)
    headers = inner.table("headers")
    made = HttpAsk(
        method=inner.take("method", str, "POST"),
        url=_url(inner.take("url", str), known, f"{inner.where}.url"),
        body=fields(inner.take("body", str, ""), known, f"{inner.where}.body"),
        headers={
            name: fields(str(value), known, headers.where) for name, value in headers.rest().items()
        },
    )
    inner.finish()
    return made


def _http_stream(table: Table, key: str, known: Collection[str]) -> HttpAsk:
    return HttpAsk(method="GET", url=_url(table.take(key, str), known, f"{table.where}.{key}"))


def _url(text: str, known: Collection[str], where: str) -> str:
    if not text.startswith("http://"):
        raise BadFileError(
            f"{where}: expected a URL that begins with http:// (the node's own network, nobody "
            f"listens in); found {text!r}"
        )
    return fields(text, known, where)


def _tcp(table: Table, key: str, known: Collection[str]) -> TcpAsk:
    return TcpAsk(to=fields(table.take(key, str), known, f"{table.where}.{key}"))


def _exec(table: Table, key: str, known: Collection[str]) -> ExecAsk:
    argv = tuple(fields(each, known, f"{table.where}.{key}") for each in table.texts(key))
    if not argv:
        raise BadFileError(
            f"{table.where}.{key}: expected the program and its arguments, found nothing"
        )
    return ExecAsk(argv=argv)


def _line(table: Table, key: str, known: Collection[str]) -> LineAsk:
    inner = table.table(key)
    to = fields(inner.take("to", str), OF_A_NODE, f"{inner.where}.to")
    if not to.startswith("unix:") and not re.fullmatch(r"[^:]+:\d+", to):
        raise BadFileError(f"{inner.where}.to: expected HOST:PORT or unix:PATH, found {to!r}")
    made = LineAsk(to=to, say=fields(inner.take("say", str), known, f"{inner.where}.say"))
    inner.finish()
    return made


def _log(table: Table, key: str, known: Collection[str]) -> LogAsk:
    del known
    return LogAsk(pattern=_pattern(table.take(key, str), f"{table.where}.{key}"))


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise BadFileError(
            f"{where}: expected a regular expression, found {text!r}: {error}"
        ) from None


def fields(text: str, known: Collection[str], where: str) -> str:
    """Return `text`, if every field in it is known. Raises BadFileError."""
    for name in FIELD.findall(text):
        if name not in known:
            possible = [f"{{{each}}}" for each in known]
            hint = did_you_mean(f"{{{name}}}", possible)
            raise BadFileError(
                f"{where}: there is no field {{{name}}}{hint} Possible: {', '.join(possible)}"
            )
    return text


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return `text` with its fields filled in; braces around anything else stay."""
    return FIELD.sub(lambda match: values.get(match[1], match[0]), text)
