"""What a command file's node said, read: the ids and keys of a report, the value of a get."""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Mapping

from harness.operations import Operation, Outcome, Request, Response
from harness.operations.operation import ID_BYTES
from harness.systems.adapters import driven
from harness.systems.adapters.command_asks import Ask, HelperAsk, HttpAsk
from harness.systems.transports.http import refuses

HEXADECIMAL = re.compile(r"[0-9a-f]{32,}")
ID_CHARACTERS = 32
KEY_CHARACTERS = 64
BASE64 = re.compile(r"[A-Za-z0-9+/]{43,}={0,2}")  # of an id as text, and more
SHOWN = 80  # characters of an answer
WORD = re.compile(r"[A-Za-z0-9_.-]+")  # a node's name or address


def known_ids(line: str, known: Container[bytes]) -> set[bytes]:
    """Return the ids of a line that are known.

    What stands right before one may be hexadecimal too (``received`` ends so), and so may be what
    follows it, the rest of its payload: after the first of them others are sought side by side.
    """
    found = set()
    for digits in HEXADECIMAL.findall(line):
        at, step = 0, 1
        while at + ID_CHARACTERS <= len(digits):
            id_ = bytes.fromhex(digits[at : at + ID_CHARACTERS])
            if id_ in known:
                found.add(id_)
                step = ID_CHARACTERS
            at += step
    return found


def keys_of(line: str, known: Container[bytes]) -> set[bytes]:
    """Return the keys of a line, by how they begin, that are known."""
    found = set()
    for digits in HEXADECIMAL.findall(line):
        for at in range(len(digits) - KEY_CHARACTERS + 1):
            key = bytes.fromhex(digits[at : at + KEY_CHARACTERS])[:ID_BYTES]
            if key in known:
                found.add(key)
    return found


def named_in(line: str, names: Mapping[str, bytes]) -> list[bytes]:
    """Return the nodes that a line names, by name or address, in their order."""
    found = (names.get(word.strip(".-")) for word in WORD.findall(line))
    return list(dict.fromkeys(each for each in found if each is not None))


def others(line: str, names: Mapping[str, bytes], own: bytes) -> list[bytes]:
    """Return the nodes that a line names beside its own."""
    return [each for each in named_in(line, names) if each != own]


def shown(said: str, ok: str | None) -> str:
    """Show in one line what a node answered, and the pattern that it should have matched."""
    text = " ".join(said.split())[:SHOWN] or "nothing"
    return text if ok is None else f"{text} (expected {ok!r})"


def refused(request: Request, ask: Ask, said: str) -> Outcome:
    """How an operation ended to which a node did not agree: what it said may come after the fact.
    A get changes nothing, and an HTTP status, or a helper, may say that nothing was done.
    """
    if isinstance(ask, HttpAsk) and refuses(int(said[:3])):
        return Outcome.FAILED
    if isinstance(ask, HelperAsk) and said.startswith("failed"):
        return Outcome.FAILED
    return Outcome.FAILED if request.operation is Operation.DHT_GET else Outcome.UNKNOWN


def read_value(request: Request, known: driven.Values, said: str, at_ns: int) -> Response:
    """Return what a get brought: the first value of its key that is in the answer, as it was put or
    in base64, by the id that it begins with.
    """
    key = request.target or b""
    texts = [said, *map(_decoded, BASE64.findall(said))]
    runs = [run for text in texts for run in HEXADECIMAL.findall(text.replace(key.hex(), " "))]
    for digits in runs:
        for at in range(len(digits) - ID_CHARACTERS + 1):
            id_ = bytes.fromhex(digits[at : at + ID_CHARACTERS])
            if known.may_hold(key, id_):
                return Response(request.id, Outcome.OK, at_ns, value=id_)
    why = "the value is not one that was put under the key, or not as it was put"
    if not runs:
        why = f"no value is in the answer, of which each begins with {ID_CHARACTERS} hexadecimal "
        why += f"digits: {said[:100].strip() or 'nothing'}"
    return Response(request.id, Outcome.FAILED, at_ns, why)


def _decoded(text: str) -> str:
    """Read base64, as HTTP interfaces of stores answer; what is none is nothing."""
    try:
        return base64.b64decode(text, validate=True).decode("ascii", "replace")
    except ValueError:
        return ""
