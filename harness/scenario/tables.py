"""Tables of TOML while they are read: every key is taken or refused, with what is possible."""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from harness.choices import did_you_mean, one_of, possible
from harness.errors import BadFileError

T = TypeVar("T")
SHOWN_MOST = 80  # characters of a value that is not what was expected

_WORDS: dict[type, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    dict: "a table",
    list: "a list",
}


def _require_numbers(value: object, where: str) -> None:
    """Raise BadFileError for a whole number that no float can be."""
    if isinstance(value, dict):
        for key, one in value.items():
            _require_numbers(one, f"{where}.{key}")
    elif isinstance(value, list):
        for number, one in enumerate(value, 1):
            _require_numbers(one, f"{where}[{number}]")
    elif isinstance(value, int) and abs(value) > sys.float_info.max:
        found = f"found one of {value.bit_length():,} bits"
        raise BadFileError(f"{where}: expected a number of 1023 bits at most, {found}")


class Table:
    """One TOML table while it is read.

    Every key must be taken; `finish` refuses those that nobody asked for.
    """

    def __init__(self, values: dict[str, object], where: str) -> None:
        self._values = values
        self.where = where
        self._known: list[str] = []

    def take(self, key: str, kind: type[T], default: T | None = None) -> T:
        """Return the value of `key`; the key is required where there is no default.

        A whole number serves as a number. Raises BadFileError.
        """
        value = self.take_or_none(key, kind)
        if value is not None:
            return value
        if default is None:
            raise BadFileError(
                f"{self._path(key)}: expected {_WORDS[kind]}, found nothing: the key is required"
                f"{self.misspelt(key)}"
            )
        return default

    def take_or_none(self, key: str, kind: type[T]) -> T | None:
        """Return the value of `key`, or None where the file does not have it.

        Raises BadFileError.
        """
        self._known.append(key)
        if key not in self._values:
            return None
        value = self._values[key]
        _require_numbers(value, self._path(key))
        if kind is float and type(value) is int:
            value = float(value)
        is_flag = isinstance(value, bool) and kind is not bool
        is_finite = not isinstance(value, float) or math.isfinite(value)
        if isinstance(value, kind) and is_finite and not is_flag:
            return value
        raise BadFileError(f"{self._path(key)}: expected {_WORDS[kind]}, found {shown(value)}")

    def choice(self, key: str, options: Iterable[str], default: str | None = None) -> str:
        """Return a text that must be one of `options`. Raises BadFileError."""
        value = self.take(key, str, default)
        allowed = list(options)
        if value not in allowed:
            raise BadFileError(f"{self._path(key)}: {one_of(value, allowed)}")
        return value

    def table(self, key: str) -> Table:
        """Return the table below `key`; it is empty where the file does not have it."""
        return Table(self.take(key, dict, {}), self._path(key))

    def tables(self, key: str) -> list[Table]:
        """Return the tables of ``[[key]]``."""
        found = []
        for number, value in enumerate(self.take(key, list, []), 1):
            where = f"{self._path(key)}[{number}]"
            if not isinstance(value, dict):
                raise BadFileError(f"{where}: expected a table, found {shown(value)}")
            found.append(Table(value, where))
        return found

    def texts(self, key: str) -> list[str]:
        """Return a list of texts. Raises BadFileError."""
        values = self.take(key, list, [])
        for value in values:
            if not isinstance(value, str):
                raise BadFileError(
                    f"{self._path(key)}: expected a list of texts, found {shown(value)} in it"
                )
        return values

    def __contains__(self, key: str) -> bool:
        self._known.append(key)
        return key in self._values

    @property
    def keys(self) -> list[str]:
        """The keys that the file has here."""
        return list(self._values)

    def has_list(self, key: str) -> bool:
        """Whether the file has a list below `key`."""
        return isinstance(self._values.get(key), list)

    def is_text(self, key: str) -> bool:
        """Whether the file has a text below `key`."""
        return isinstance(self._values.get(key), str)

    def rest(self) -> dict[str, object]:
        """Return what nobody has taken yet: for tables of free options."""
        left = {key: value for key, value in self._values.items() if key not in self._known}
        self._known += left
        return left

    def misspelt(self, key: str) -> str:
        """Return ``; did you mean it by 'arvg'?`` where a key that nobody has asked for is close to
        one that is missing, else nothing.
        """
        left = (one for one in self._values if one not in self._known)
        return next(
            (f"; did you mean it by {one!r}?" for one in left if did_you_mean(one, [key])), ""
        )

    def finish(self) -> None:
        """Refuse unknown keys. Raises BadFileError."""
        for key in self._values:
            if key not in self._known:
                said = possible(key, sorted(self._known))
                raise BadFileError(f"{self._path(key)}: unknown key{said}")

    def _path(self, key: str) -> str:
        return (
            f"{self.where}: {key}" if self.where.endswith((".toml", ">")) else f"{self.where}.{key}"
        )


def shown(value: object) -> str:
    """Show a value of a file in a sentence; of a table its keys."""
    if isinstance(value, dict):
        return f"a table with {', '.join(value)}" if value else "an empty table"
    said = repr(value)
    return said if len(said) <= SHOWN_MOST else f"{said[:SHOWN_MOST]}…"


def with_file(where: str, build: Callable[[], T]) -> T:
    """Run `build`; put the file's name in front of what it refuses. Raises BadFileError."""
    try:
        return build()
    except BadFileError as error:
        text = str(error)
        raise BadFileError(
            text if text.startswith(where) or ".toml:" in text else f"{where}: {text}"
        ) from None


def load(path: Path) -> dict[str, object]:
    """Read a TOML file. Raises BadFileError with line and column."""
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise BadFileError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise BadFileError(f"{path}: expected a TOML file, found a folder") from None
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # also of a number of too many digits
        raise BadFileError(f"{path}: not valid TOML: {error}") from None
