"""Plugins by name, loaded when they are named, from a written table."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from harness.errors import UsageError


def load(what: str, table: Mapping[str, str], name: str) -> Any:
    """The object that ``table[name]`` ("module:attribute") names. Raises UsageError with the known names."""
    if name not in table:
        raise UsageError(f"{what}: expected one of {', '.join(table)}; found {name!r}")
    module, attribute = table[name].split(":")
    return getattr(importlib.import_module(module), attribute)
