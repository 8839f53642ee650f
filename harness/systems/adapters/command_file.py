"""A command file says how to start a node, when it is ready, how to ask it, and how it reports.

It is TOML. Texts may hold fields in braces, which are filled in for each node or each operation;
docs/your-own-node.md has the tables.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from harness import redaction
from harness.errors import BadFileError
from harness.operations import Operation, own
from harness.operations.operation import Address
from harness.operations.records import RecordKind
from harness.scenario import own_operations
from harness.scenario.tables import Table, load
from harness.systems.adapter import MetricsPage
from harness.systems.adapters import command_start, exemptions
from harness.systems.adapters.command_asks import (
    READINESS,
    REPORTING,
    Ask,
    DialogAsk,
    ExecAsk,
    HelperReports,
    HttpAsk,
    LineAsk,
    LogAsk,
    Send,
    TcpAsk,
    Ways,
    address,
    answer,
    exec_argv,
    one,
    pattern,
    send,
    shape_of,
    speech_of,
    text,
    texts_of,
    url,
)
from harness.systems.adapters.command_fields import (
    FIELD,
    OF_A_HELPER,
    OF_A_JOIN,
    OF_A_NODE,
    OF_A_START,
    OF_AN_OPERATION,
    OF_ASKING,
    fields,
)
from harness.systems.adapters.command_start import Start
from harness.topology.topology import NAME

OPERATIONS = (
    Operation.PRIVATE_MESSAGE,
    Operation.BROADCAST,
    Operation.DHT_PUT,
    Operation.DHT_GET,
    Operation.CONNECT,
)
# What a line of a node's reports may say, and the operation whose ledger is made of it.
KINDS = {
    "delivered": RecordKind.DELIVERED,
    "received": RecordKind.RECEIVED,
    "stored": RecordKind.STORED,
    "answered": RecordKind.ANSWERED,
    "connected": RecordKind.CONNECTED,
}
# Of these nothing but the receiver's word says that they happened.
TOLD_BY_RECEIVERS = {
    Operation.PRIVATE_MESSAGE: "delivered",
    Operation.BROADCAST: "received",
    Operation.CONNECT: "connected",
}
BESIDE = re.compile(r"\{folder\}/([A-Za-z0-9._/-]+)")
SECRET = re.compile(r"[a-z_]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperProgram:
    """The program of this host that speaks to a node for us, one process a node."""

    argv: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """How a node tells what it received. `kinds`: which lines say what; empty: a line that holds an
    operation's id says that it arrived. `ok`: must be found in a line before the node counts as
    ready: from then on it reports.
    """

    ask: HttpAsk | LineAsk | LogAsk | HelperReports
    ok: str | None = None
    kinds: Mapping[RecordKind, re.Pattern[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """What says that a node is up; `ok` must be found in its answer, where it is given."""

    ask: Ask | TcpAsk | LogAsk
    ok: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandFile:
    """The content of a command file."""

    name: str
    folder: Path  # that the file lies in
    start: Start
    ready: Ready
    send: Mapping[Operation, Send]
    received: Received | None = None
    helper: HelperProgram | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)  # field → variable of ours
    budget: str | None = None
    metrics: MetricsPage | None = None
    exempt: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def argvs(self) -> list[tuple[str, tuple[str, ...]]]:
        """Return the command lines of this host's programs: where each is said, and what it is."""
        found = [("start.prepare", self.start.prepare)] if self.start.prepare else []
        found += [("helper.argv", self.helper.argv)] if self.helper is not None else []
        asks: list[tuple[str, Ask | TcpAsk | LogAsk]] = [("ready", self.ready.ask)]
        asks += [(f"send.{one_.word}", said.ask) for one_, said in self.send.items()]
        asks += [
            (f"start.joined[{number}]", join.send.ask)
            for number, join in enumerate(self.start.joined, 1)
        ]
        found += [(f"{where}.exec", ask.argv) for where, ask in asks if isinstance(ask, ExecAsk)]
        return found

    @property
    def programs_files(self) -> list[str]:
        """Return the files beside this one that programs of this host are given."""
        texts = [each for _, argv in self.argvs for each in argv]
        return sorted({name for each in texts for name in BESIDE.findall(each)})

    def unveiled(self) -> dict[str, str]:
        """Read the secrets from our environment; from now on none of them is shown. Raises
        BadFileError.
        """
        found = {}
        for name, variable in self.secrets.items():
            value = os.environ.get(variable)
            where = f"secrets.{name}: the environment variable {variable}"
            if value is None:
                raise BadFileError(f"{where} is not set; expected it to have the secret")
            if len(value) < redaction.LEAST:
                raise BadFileError(
                    f"{where} has {len(value)} characters; expected at least {redaction.LEAST}: a "
                    "shorter one cannot be kept out of logs and reports"
                )
            redaction.hide(name, value)
            found[name] = value
        return found


def read(path: Path) -> CommandFile:
    """Read a command file. Raises BadFileError with what was expected, found, and possible."""
    table = Table(load(path), str(path))
    budget = table.take_or_none("budget", str)
    tables = {key: table.table(key) for key in ("start", "ready", "send", "received", "metrics")}
    secrets = _secrets(table.table("secrets"))
    ways = _ways(table, secrets)
    sent = [operation for operation in OPERATIONS if operation.word in tables["send"]]
    sent += own_operations.read(tables["send"])
    made = CommandFile(
        name=_name(table, path),
        folder=path.parent,
        secrets=secrets,
        start=command_start.read(tables["start"], path.parent, ways),
        ready=_ready(tables["ready"], ways),
        send={each: _send(tables["send"].table(each.word), each, ways) for each in sent},
        exempt=exemptions.read(table.table("exempt"), sent),
        received=_received(tables["received"], ways) if "received" in table else None,
        helper=_helper(table, ways) if ways.has_helper else None,
        metrics=_metrics(tables["metrics"]) if "metrics" in table else None,
        budget=str((path.parent / budget).resolve())
        if budget and budget.endswith(".toml")
        else budget,
    )
    for each in (*tables.values(), table):
        each.finish()
    _require_whole(made, path)
    return made


def _require_whole(made: CommandFile, path: Path) -> None:
    """Raise BadFileError where the parts of a file do not make a whole."""
    if not made.send:
        raise BadFileError(
            f"{path}: send: expected at least one of "
            f"{', '.join(operation.word for operation in OPERATIONS)}, or one of your own with its "
            "ledger; found none"
        )
    for operation in made.send:
        _require_told(made, operation, path)
    _require_value(made, path)
    for name in made.programs_files:
        if not (made.folder / name).is_file():
            raise BadFileError(f"{path}: {{folder}}/{name}: there is no file {made.folder / name}")
    if not made.start.prepare:
        texts = [text_ for one_ in made.send.values() for text_ in texts_of(one_.ask)]
        texts += [*made.helper.argv, *made.helper.environment.values()] if made.helper else []
        texts += [] if isinstance(made.ready.ask, TcpAsk | LogAsk) else texts_of(made.ready.ask)
        command_start.require_prepared(texts, str(path))


def _require_told(made: CommandFile, operation: Operation, path: Path) -> None:
    """Raise BadFileError where nobody would tell of an operation that it happened."""
    kind = TOLD_BY_RECEIVERS.get(operation)
    if operation.is_own and operation.spec.ledger is not None:
        kind = own.ledger_of(operation)
    if kind is not None and made.received is None:
        raise BadFileError(
            f"{path}: received: expected http, line, log or helper, found nothing: that a node "
            f"took a {operation.word} says nothing of who received it"
        )
    kinds = made.received.kinds if made.received is not None else {}
    # Without kinds, a line that holds an operation's id says that it arrived.
    by_id = not kinds and kind in ("delivered", "received")
    if kind is not None and KINDS[kind] not in kinds and not by_id:
        raise BadFileError(
            f"{path}: received.kinds: expected {kind}, by which the ledger of {operation.word} is "
            f"kept; found {', '.join(word for word in KINDS if KINDS[word] in kinds) or 'none'}"
        )
    if operation.is_own:
        return
    get = made.send.get(Operation.DHT_GET)
    if get is not None and (get.by is None) == (RecordKind.ANSWERED in kinds):
        raise BadFileError(
            f"{path}: expected received.kinds.answered and send.dht_get.by both, or neither: who "
            "is said to have answered a get must have said so itself"
        )


def _require_value(made: CommandFile, path: Path) -> None:
    """Raise BadFileError where no get could be seen to bring what was put."""
    put = made.send.get(Operation.DHT_PUT)
    if put is None or Operation.DHT_GET not in made.send:
        return
    if not {"payload", "id"} & {name for said in texts_of(put.ask) for name in FIELD.findall(said)}:
        raise BadFileError(
            f"{path}: send.dht_put: expected {{payload}} or {{id}} in what is put, found neither: "
            "that a dht_get brought it is seen by the id, with which the payload begins"
        )


def _name(table: Table, path: Path) -> str:
    name = table.take("name", str, path.stem)
    if not NAME.fullmatch(name):
        raise BadFileError(f"{path}: name: expected 1 to 32 of a-z, 0-9 and '-', found {name!r}")
    return name


def _secrets(table: Table) -> dict[str, str]:
    """Read which fields are secrets, and the variables that have them."""
    found = {}
    for name, variable in table.rest().items():
        where = f"{table.where}.{name}"
        if not SECRET.fullmatch(name) or name in {*OF_A_JOIN, *OF_AN_OPERATION}:
            raise BadFileError(
                f"{where}: expected a name of a-z and '_' that no other field has, found {name!r}"
            )
        found[name] = text(variable, where)
    return found


def _ways(table: Table, secrets: Mapping[str, str]) -> Ways:
    """Read what all ways to ask rest on: ``[connection]``, and whether there is a helper."""
    before = Ways(secrets=tuple(secrets), has_helper="helper" in table)
    connection = table.table("connection")
    made = Ways(
        to=address(connection),
        speech=speech_of(connection, before),
        shape=shape_of(connection, before.shape),
        has_helper=before.has_helper,
        secrets=before.secrets,
    )
    connection.finish()
    return made


def _helper(table: Table, ways: Ways) -> HelperProgram:
    inner = table.table("helper")
    environment, may = inner.table("environment"), [*OF_A_START, *ways.secrets]
    made = HelperProgram(
        argv=exec_argv(inner, "argv", OF_A_HELPER, ways),
        environment={
            key: fields(
                text(value, f"{environment.where}.{key}"), may, f"{environment.where}.{key}"
            )
            for key, value in environment.rest().items()
        },
    )
    inner.finish()
    return made


def _ready(table: Table, ways: Ways) -> Ready:
    ask = one(table, READINESS, OF_ASKING, ways)
    takes_ok = not isinstance(ask, TcpAsk | LogAsk)
    return Ready(ask=ask, ok=answer(table, OF_ASKING) if takes_ok else None)


def _send(table: Table, operation: Operation, ways: Ways) -> Send:
    made = send(table, OF_AN_OPERATION, ways)
    made = replace(made, given_up=_given_up(table, operation))
    is_answered = operation.is_own and own.ledger_of(operation) == own.ANSWERED
    if operation.is_own:
        _require_fields(made, operation, table.where)
        for key in own_operations.KEYS:
            table.take_or_none(key, str)
    if is_answered or (operation is Operation.DHT_GET and "by" in table):
        by = pattern(table.take("by", str), f"{table.where}.by")
        if by.groups != 1:
            raise BadFileError(
                f"{table.where}.by: expected a pattern with one group, the name or address of the "
                f"node that had the value; found {by.pattern!r}"
            )
        made = replace(made, by=by)
    table.finish()
    return made


def _given_up(table: Table, operation: Operation) -> bool:
    """Read whether the node gives an operation up when a time of its own is over."""
    is_given_up = table.take("given_up", bool, default=False)
    if is_given_up and operation.spec.to is not Address.NODE:
        raise BadFileError(
            f"{table.where}.given_up: expected of what is asked of one other node; found it of a "
            f"{operation.word}, which is addressed to {operation.spec.to.value!r}"
        )
    return is_given_up


def _require_fields(made: Send, operation: Operation, where: str) -> None:
    """Raise BadFileError where an operation of one's own is asked for by what it has not."""
    has = set(OF_AN_OPERATION)
    if operation.spec.to is not Address.NODE:
        has -= {"target", "target_address", "target_prepared"}
    if operation.spec.to not in (Address.NEW_KEY, Address.STORED_KEY):
        has -= {"key"}
    for said in texts_of(made.ask):
        for name in FIELD.findall(said):
            if name in set(OF_AN_OPERATION) - has:
                raise BadFileError(
                    f"{where}: what is addressed to {operation.spec.to.value!r} has no {{{name}}}: "
                    "expected another `to`, or another field"
                )


def _metrics(table: Table) -> MetricsPage:
    page = url(table.take("prometheus", str), OF_A_NODE, f"{table.where}.prometheus")
    return MetricsPage(url=page, only=tuple(table.texts("only")))


def _received(table: Table, ways: Ways) -> Received:
    kinds, ask = table.table("kinds"), one(table, REPORTING, OF_ASKING, ways)
    if isinstance(ask, DialogAsk):
        raise BadFileError(
            f"{table.where}.line.say: expected one text, for reports come without an end; found a "
            "list, each of which has an answer"
        )
    made = Received(
        ask=ask,
        ok=answer(table, OF_ASKING) if isinstance(ask, LineAsk) else None,
        kinds={
            KINDS[word]: pattern(kinds.take(word, str), f"{kinds.where}.{word}")
            for word in KINDS
            if word in kinds
        },
    )
    kinds.finish()
    return made
