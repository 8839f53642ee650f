"""The ways to ask a node, as a command file says them: HTTP, a program, lines, a helper, a
connection, its log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.errors import BadFileError
from harness.scenario.tables import Table
from harness.systems.adapters.command_fields import FIELD, OF_ASKING, fields
from harness.systems.transports.lines import ONE_LINE, PLAIN, Hello, Shape, Speech


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

    What comes back is its answer, of which `shape` says where it ends.
    """

    to: str
    say: str
    speech: Speech = PLAIN
    shape: Shape = ONE_LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class DialogAsk:
    """Lines that are said in turn on a connection that nobody else speaks on meanwhile; each is
    said once the answer to the one before has what is in `ok` for it.
    """

    to: str
    say: tuple[str, ...]
    ok: tuple[str, ...]
    speech: Speech = PLAIN
    shape: Shape = ONE_LINE


@dataclass(frozen=True, slots=True, kw_only=True)
class HelperAsk:
    """Words for the node's helper; its answer begins with ok where it did what it was asked."""

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
class HelperReports:
    """What the node's helper reports."""


Ask = HttpAsk | ExecAsk | LineAsk | DialogAsk | HelperAsk


@dataclass(frozen=True, slots=True, kw_only=True)
class Send:
    """How something is asked for; `ok` must be found in the answer, where it is given. `by` finds
    in it the name or address of who had the value. `given_up`: the node itself gives it up when a
    time of its own is over.
    """

    ask: Ask
    ok: str | None = None
    by: re.Pattern[str] | None = None
    given_up: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """What stands at the top of a command file and all ways rest on: the connection that lines go
    over where they name none, whether there is a helper, and the names of secrets.
    """

    to: str | None = None
    speech: Speech = PLAIN
    shape: Shape = ONE_LINE
    has_helper: bool = False
    secrets: tuple[str, ...] = ()


NO_WAYS = Ways()
_Way = Callable[[Table, str, Collection[str], Ways], Any]


def texts_of(ask: Ask) -> list[str]:
    """Return all texts of an ask that fields may stand in."""
    match ask:
        case HttpAsk(url=url, body=body, headers=headers):
            return [url, body, *headers.values()]
        case ExecAsk(argv=argv):
            return [*argv]
        case DialogAsk(say=say):
            return [*say]
        case LineAsk(say=said) | HelperAsk(say=said):
            return [said]


def send(table: Table, known: Collection[str], ways: Ways) -> Send:
    """Read a way to ask for something, and what its answer must have. Raises BadFileError."""
    ask = one(table, ASKING, known, ways)
    return Send(ask=ask, ok=None if isinstance(ask, DialogAsk) else answer(table, known))


def answer(table: Table, known: Collection[str]) -> str | None:
    """Read `ok`, the pattern that an answer must have. Raises BadFileError."""
    ok = table.take_or_none("ok", str)
    if ok is not None:
        _answer(ok, known, f"{table.where}.ok")
    return ok


def _answer(ok: str, known: Collection[str], where: str) -> str:
    pattern(FIELD.sub("x", fields(ok, known, where)), where)
    return ok


def one(table: Table, ways: Mapping[str, _Way], known: Collection[str], given: Ways) -> Any:
    """Return the one way that the table names. Raises BadFileError."""
    key = one_key(table, ways)
    return ways[key](table, key, known, given)


def one_key(table: Table, possible: Collection[str]) -> str:
    """Return the one of these keys that the table has. Raises BadFileError."""
    named = [key for key in possible if key in table]
    if len(named) != 1:
        raise BadFileError(
            f"{table.where}: expected exactly one of {', '.join(possible)}; found "
            f"{', '.join(named) or 'none'}"
        )
    return named[0]


def _http(table: Table, key: str, known: Collection[str], given: Ways) -> HttpAsk:
    inner = table.table(key)
    headers, may = inner.table("headers"), [*known, *given.secrets]
    made = HttpAsk(
        method=inner.take("method", str, "POST"),
        url=url(inner.take("url", str), may, f"{inner.where}.url"),
        body=fields(inner.take("body", str, ""), may, f"{inner.where}.body"),
        headers={
            name: fields(text(value, f"{headers.where}.{name}"), may, f"{headers.where}.{name}")
            for name, value in headers.rest().items()
        },
    )
    inner.finish()
    return made


def text(value: object, where: str) -> str:
    """Return a value that must be text. Raises BadFileError."""
    if not isinstance(value, str):
        raise BadFileError(f"{where}: expected text, found {value!r}")
    return value


def _http_stream(table: Table, key: str, known: Collection[str], given: Ways) -> HttpAsk:
    may = [*known, *given.secrets]
    return HttpAsk(method="GET", url=url(table.take(key, str), may, f"{table.where}.{key}"))


def url(text: str, known: Collection[str], where: str) -> str:
    """Return the URL, if every field in it is known. Raises BadFileError."""
    if not text.startswith("http://"):
        raise BadFileError(
            f"{where}: expected a URL that begins with http:// (the node's own network, nobody "
            f"listens in); found {text!r}"
        )
    return fields(text, known, where)


def _tcp(table: Table, key: str, known: Collection[str], given: Ways) -> TcpAsk:
    del given
    return TcpAsk(to=fields(table.take(key, str), known, f"{table.where}.{key}"))


def exec_argv(table: Table, key: str, known: Collection[str], given: Ways) -> tuple[str, ...]:
    """Read a program and its arguments, in which no secret may stand. Raises BadFileError."""
    where = f"{table.where}.{key}"
    argv = table.texts(key)
    for each in argv:
        for name in FIELD.findall(each):
            if name in given.secrets:
                raise BadFileError(
                    f"{where}: {{{name}}} is a secret, and anybody on this host can read a command "
                    "line; expected it in an environment, a file, a line or an HTTP request"
                )
        fields(each, known, where)
    if not argv:
        said = f"expected the program and its arguments, found nothing{table.misspelt(key)}"
        raise BadFileError(f"{where}: {said}")
    return tuple(argv)


def _exec(table: Table, key: str, known: Collection[str], given: Ways) -> ExecAsk:
    return ExecAsk(argv=exec_argv(table, key, known, given))


def _helper(table: Table, key: str, known: Collection[str], given: Ways) -> HelperAsk:
    where = f"{table.where}.{key}"
    _require_helper(given, where)
    say = fields(table.take(key, str), [*known, *given.secrets], where)
    if "\n" in say:
        raise BadFileError(f"{where}: expected one line, found {say!r}")
    return HelperAsk(say=say)


def _helper_reports(table: Table, key: str, known: Collection[str], given: Ways) -> HelperReports:
    del known
    _require_helper(given, f"{table.where}.{key}")
    if not table.take(key, bool):
        raise BadFileError(f"{table.where}.{key}: expected true, or another way; found false")
    return HelperReports()


def _require_helper(given: Ways, where: str) -> None:
    if not given.has_helper:
        raise BadFileError(f"{where}: expected [helper], which says what program it is; found none")


def _line(table: Table, key: str, known: Collection[str], given: Ways) -> LineAsk | DialogAsk:
    if table.is_text(key):
        where = f"{table.where}.{key}"
        say = fields(table.take(key, str), [*known, *given.secrets], where)
        return LineAsk(to=_to(None, given, where), say=say, speech=given.speech, shape=given.shape)
    inner = table.table(key)
    may = [*known, *given.secrets]
    to = _to(address(inner, known), given, inner.where)
    speech, shape = speech_of(inner, given), shape_of(inner, given.shape)
    if inner.has_list("say"):
        said, oks = inner.texts("say"), inner.texts("ok")
        if not said or len(said) != len(oks):
            raise BadFileError(
                f"{inner.where}.ok: expected a list with a pattern for the answer to each of the "
                f"{len(said)} lines of say; found {len(oks)}"
            )
        made: LineAsk | DialogAsk = DialogAsk(
            to=to,
            say=tuple(fields(each, may, f"{inner.where}.say") for each in said),
            ok=tuple(_answer(each, known, f"{inner.where}.ok") for each in oks),
            speech=speech,
            shape=shape,
        )
    else:
        say = fields(inner.take("say", str), may, f"{inner.where}.say")
        made = LineAsk(to=to, say=say, speech=speech, shape=shape)
    inner.finish()
    return made


def _to(to: str | None, given: Ways, where: str) -> str:
    if to is None and given.to is None:
        raise BadFileError(
            f"{where}: expected to, HOST:PORT or unix:PATH, here or in [connection]; found neither"
        )
    return to or given.to or ""


def address(table: Table, known: Collection[str] = OF_ASKING) -> str | None:
    """Read `to`, whom lines are said to. Raises BadFileError."""
    to = table.take_or_none("to", str)
    if to is None:
        return None
    fields(to, known, f"{table.where}.to")
    if not to.startswith("unix:") and not re.fullmatch(r"[^:]+:\d+", to):
        raise BadFileError(f"{table.where}.to: expected HOST:PORT or unix:PATH, found {to!r}")
    return to


def speech_of(table: Table, given: Ways) -> Speech:
    """Read how a server speaks on a connection; what is not said is as before. Raises
    BadFileError.
    """
    before, may = given.speech, [*OF_ASKING, *given.secrets]
    end = table.take("end", str, before.end)
    if not end.endswith("\n"):
        raise BadFileError(rf"{table.where}.end: expected \n or \r\n, found {end!r}")
    replies = before.replies
    if "reply" in table:
        replies = tuple(
            (_taken(each, "on"), _finished(each, fields(each.take("say", str), may, each.where)))
            for each in table.tables("reply")
        )
    return Speech(
        end=end,
        greeting=_pattern_or(table, "greeting", before.greeting),
        hello=_hello(table, may) if "hello" in table else before.hello,
        skip=_pattern_or(table, "skip", before.skip),
        replies=replies,
    )


def _hello(table: Table, may: Collection[str]) -> tuple[Hello, ...]:
    """Read what is said first: text, of which no answer comes, or tables with say and ok."""
    if table.is_text("hello"):
        return (Hello(say=fields(table.take("hello", str), may, f"{table.where}.hello")),)
    found = []
    for each in table.tables("hello"):
        say = fields(each.take("say", str), may, f"{each.where}.say")
        found.append(Hello(say=say, ok=_pattern_or(each, "ok", None)))
        each.finish()
    return tuple(found)


def shape_of(table: Table, before: Shape) -> Shape:
    """Read what an answer looks like; what is not said is as before. Raises BadFileError."""
    length = _pattern_or(table, "length", before.length)
    if length is not None and length.groups < 1:
        raise BadFileError(
            f"{table.where}.length: expected a group that is the number of bytes, such as "
            rf"'^\$(-?\d+)'; found {length.pattern!r}"
        )
    return replace(before, length=length, until=_pattern_or(table, "until", before.until))


def _pattern_or(table: Table, key: str, before: re.Pattern[str] | None) -> re.Pattern[str] | None:
    said = table.take_or_none(key, str)
    return before if said is None else pattern(said, f"{table.where}.{key}")


def _taken(table: Table, key: str) -> re.Pattern[str]:
    return pattern(table.take(key, str), f"{table.where}.{key}")


def _finished(table: Table, value: str) -> str:
    table.finish()
    return value


def _log(table: Table, key: str, known: Collection[str], given: Ways) -> LogAsk:
    del known, given
    return LogAsk(pattern=pattern(table.take(key, str), f"{table.where}.{key}"))


def pattern(said: str, where: str) -> re.Pattern[str]:
    """Return a regular expression. Raises BadFileError."""
    try:
        return re.compile(said)
    except re.error as error:
        raise BadFileError(
            f"{where}: expected a regular expression, found {said!r}: {error}"
        ) from None


ASKING: Mapping[str, _Way] = {"http": _http, "exec": _exec, "line": _line, "helper": _helper}
READINESS: Mapping[str, _Way] = {
    "http": _http_stream,
    "tcp": _tcp,
    "exec": _exec,
    "log": _log,
    "line": _line,
    "helper": _helper,
}
REPORTING: Mapping[str, _Way] = {
    "http": _http_stream,
    "line": _line,
    "log": _log,
    "helper": _helper_reports,
}
