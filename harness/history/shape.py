"""The shape of what was read: whether a value of JSON is of the type that a field declares."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any

_LEAST, _MOST = -(2**63), 2**63 - 1  # what a column of numbers can hold


def fits(value: object, hint: Any) -> bool:
    """Whether a value is of the type; a type that is not known here fits everything.

    A bool is no number, an integer has 64 bits, and a fraction is finite. The fields of a dataclass
    are of their types too.
    """
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(fits(value, one) for one in args)
    if origin in (tuple, list):
        return _fits_sequence(value, args)
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            fits(key, args[0]) and fits(one, args[1]) for key, one in value.items()
        )
    if hint in (int, float):
        whole = isinstance(value, int) and not isinstance(value, bool) and _LEAST <= value <= _MOST
        return whole or (hint is float and isinstance(value, float) and math.isfinite(value))
    if hint in (str, bool, dict, list):
        return isinstance(value, hint)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return isinstance(value, hint) and misfit(value) is None
    return value is None if hint in (None, types.NoneType) else True


def _fits_sequence(value: object, args: tuple[Any, ...]) -> bool:
    if not isinstance(value, tuple | list):
        return False
    if len(args) == 1 or args[1:] == (...,):
        return all(fits(one, args[0]) for one in value)
    return len(value) == len(args) and all(map(fits, value, args))


def misfit(one: Any) -> str | None:
    """Name the first field of a dataclass whose value is not of its type; None: there is none."""
    for name, hint in _hints(type(one)).items():  # type: ignore[arg-type]
        if not fits(getattr(one, name), hint):
            return f"{name}: expected {hint if typing.get_args(hint) else hint.__name__}"
    return None


@cache
def _hints(kind: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {name: hints[name] for name in getattr(kind, "__dataclass_fields__", ())}


def misses(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str | None:
    """Name the first key that is not of the type wanted; a dict in `wanted` is wanted inside.

    A key that ends in ``?`` need not be there. None: all is well.
    """
    for key, hint in wanted.items():
        name = key.removesuffix("?")
        if name not in found:
            if key == name:
                return f"{name}: expected it, found nothing"
        elif isinstance(hint, Mapping):
            inside = found[name]
            if not isinstance(inside, dict):
                return f"{name}: expected a table, found {inside!r}"
            if wrong := misses(inside, hint):
                return f"{name}.{wrong}"
        elif isinstance(hint, tuple):
            wrong = _misses_in_list(found[name], hint[0])
            if wrong:
                return f"{name}: {wrong}"
        elif not fits(found[name], hint):
            return f"{name}: found {str(found[name])[:40]!r}"
    return None


def _misses_in_list(found: object, wanted: Mapping[str, Any]) -> str | None:
    if not isinstance(found, list):
        return f"expected a list, found {str(found)[:40]!r}"
    for one in found:
        if not isinstance(one, dict):
            return f"expected tables, found {str(one)[:40]!r}"
        if wrong := misses(one, wanted):
            return wrong
    return None
