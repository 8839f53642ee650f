"""Quantities with units, as people write them: times, rates, shares."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness.errors import BadFileError

TIMES_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}

RATES_BPS = {
    "bit": 1,
    "kbit": 1_000,
    "mbit": 1_000_000,
    "gbit": 1_000_000_000,
    "Bps": 8,
    "kBps": 8_000,
    "MBps": 8_000_000,
}

QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)")


def time_ms(text: str) -> float:
    """Read a time in ms: ``80ms``, ``1.5s``, ``250us``.

    Raises BadFileError with the units that there are.
    """
    return _quantity(text, TIMES_MS, "a time such as 80ms")


def rate_bps(text: str) -> int:
    """Read a rate in bits a second: ``10mbit``, ``1gbit``, ``500kbit``.

    Raises BadFileError with the units that there are.
    """
    return round(_quantity(text, RATES_BPS, "a rate such as 10mbit"))


def share(text: str) -> float:
    """Read ``1%`` or ``0.01`` as a probability. Raises BadFileError."""
    value = _quantity(text, {"%": 0.01, "": 1.0}, "a share such as 1%")
    if not 0 <= value <= 1:
        raise BadFileError(f"expected 0% to 100%, found {text!r}")
    return value


def _quantity(text: str, units: Mapping[str, float], expected: str) -> float:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise BadFileError(
            f"expected {expected}, found {text!r}; units: "
            f"{', '.join(unit or 'none' for unit in units)}"
        )
    return float(match[1]) * units[match[2]]
