"""The writer makes TOML text of tables, which `tables` reads: the way back to a file."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

COMMENT = "#"  # the key of a table's comment, which no TOML file can have: lines above the table
BARE = re.compile(r"[A-Za-z0-9_-]+")


def text_of(document: Mapping[str, object]) -> str:
    """Return a document as TOML text, keys of None left out.

    Values are texts, finite numbers, flags, lists, and tables of them. Tables stand below the keys
    that are none; below the key `COMMENT` a table has a text that is written above it.
    """
    return "\n".join(_lines(document, ())).lstrip("\n") + "\n"


def _lines(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    lines = []
    inner: list[str] = []
    for key, value in table.items():
        at = (*path, key)
        if value is None or key == COMMENT:
            continue
        if isinstance(value, Mapping):
            inner += ["", *_comment(value), f"[{_dotted(at)}]", *_lines(value, at)]
        elif isinstance(value, list) and value and all(isinstance(one, Mapping) for one in value):
            for one in value:
                inner += ["", *_comment(one), f"[[{_dotted(at)}]]", *_lines(one, at)]
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return [*lines, *inner]


def _comment(table: Mapping[str, object]) -> list[str]:
    """Return the lines of a table's comment."""
    return [f"# {line}".rstrip() for line in str(table.get(COMMENT) or "").splitlines()]


def _value(value: object) -> str:
    """Write a value; TOML has JSON's texts, numbers and flags."""
    if isinstance(value, Mapping):
        pairs = (f"{_key(key)} = {_value(one)}" for key, one in value.items() if one is not None)
        return f"{{ {', '.join(pairs)} }}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{', '.join(map(_value, value))}]"
    return _json(value)


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _json(key)


def _dotted(path: Sequence[str]) -> str:
    return ".".join(map(_key, path))


def _json(value: object) -> str:
    """JSON lets a text have the one control character that TOML does not."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).replace("\x7f", "\\u007f")
