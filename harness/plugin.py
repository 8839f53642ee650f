"""Plugins are loaded by name: from a written table, or anybody's own as ``module:attribute``."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from harness.choices import did_you_mean
from harness.errors import UsageError


def load(what: str, table: Mapping[str, str], name: str) -> Any:
    """Load the object that ``table[name]`` names, or `name` itself as ``module:attribute``.

    Raises UsageError with the known names.
    """
    module, colon, attribute = table.get(name, name).partition(":")
    if not colon:
        raise UsageError(
            f"{what}: expected one of {', '.join(table)}, or module:attribute of your own; found "
            f"{name!r}{did_you_mean(name, table)}"
        )
    try:
        return getattr(importlib.import_module(module), attribute)
    except Exception as error:  # whatever it does when it is imported
        raise UsageError(
            f"{what}: {name!r} cannot be loaded: {type(error).__name__}: {error}; is its folder "
            "on PYTHONPATH?"
        ) from error
