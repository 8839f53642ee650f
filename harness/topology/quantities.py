"""Quantities with units, as people write them: times, rates, shares; and every number that is
shown.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from harness.errors import BadFileError

SHOWN = 20  # characters of what is no number
TIMES_MS = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3, "m": 6e4}
LONG_TIMES_S = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86_400.0}

RATES_BPS = {
    "bit": 1,
    "kbit": 1_000,
    "mbit": 1_000_000,
    "gbit": 1_000_000_000,
    "Bps": 8,
    "kBps": 8_000,
    "MBps": 8_000_000,
}

SIZES_BYTES = {
    "kb": 1_000,
    "mb": 1_000_000,
    "gb": 1_000_000_000,
    "kib": 1 << 10,
    "mib": 1 << 20,
    "gib": 1 << 30,
}

RATE_BPS_LEAST, RATE_BPS_MOST = 8_000, 34_000_000_000  # of the kernel's 32 bits of bytes a second
SHARE_LEAST = 1e-6  # one of a million: what a rule draws from

DIGITS_MOST = 17  # tell every float from every other

QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ%]*)")


def time_ms(text: str) -> float:
    """Read a time in ms: ``80ms``, ``1.5s``, ``250us``.

    Raises BadFileError with the units that there are.
    """
    return _quantity(text, TIMES_MS, "a time such as 80ms")


def long_time_s(text: str) -> float:
    """Read a time of seconds to days in s: ``8h``, ``10m``, ``90s``. Raises BadFileError."""
    return _quantity(text, LONG_TIMES_S, "a time such as 8h")


def rate_bps(text: str) -> int:
    """Read a rate in bits a second: ``10mbit``, ``1gbit``, ``500kbit``.

    Raises BadFileError with the units that there are, and for a rate that no link can have.
    """
    value = round(_quantity(text, RATES_BPS, "a rate such as 10mbit"))
    require_rate(value)
    return value


def size_bytes(text: str) -> int:
    """Read a size in bytes: ``64mb``, ``1gib``. Raises BadFileError with the units there are."""
    return round(_quantity(text, SIZES_BYTES, "a size such as 64mb"))


def share(text: str) -> float:
    """Read ``1%`` or ``0.01`` as a probability. Raises BadFileError."""
    value = _quantity(text, {"%": 0.01, "": 1.0}, "a share such as 1%")
    if not 0 <= value <= 1:
        raise BadFileError(f"expected 0% to 100%, found {text!r}")
    if 0 < value < SHARE_LEAST:
        raise BadFileError(f"expected 0% or at least 0.0001%, found {text!r}")
    return value


def number(value: float, *beside: float, digits: int = 3) -> str:
    """Show a number with `digits` digits, never as an exponent, and all of those before its point:
    ``0.123``, ``12.3``, ``12,345``.

    It has as many more as it takes to lie where it does of each number that it stands `beside`:
    2,499 of 2,500 are 99.96 %, and not 100. ``number(x, x)`` shows all digits.
    """
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    before = math.floor(math.log10(abs(value))) + 1 if value else 1
    for count in range(digits, DIGITS_MOST + 1):
        places = max(count - before, 0)
        shown = round(value, places)
        if all(_order(shown, other) == _order(value, other) for other in beside):
            break
    text = f"{shown:,.{places}f}"
    return text.rstrip("0").removesuffix(".") if places else text


def _order(one: float, other: float) -> int:
    """Whether the first of two is less than the other (−1), equal to it, or more (1)."""
    return (one > other) - (one < other)


def percent(value: float) -> str:
    """Show a share that was measured as a percentage of two or three digits, or of as many as it
    takes to be neither 0 nor 100 % where it is not: ``4.8 %``.
    """
    return f"{number(value * 100, 0.0, 100.0, digits=3 if value >= 0.1 else 2)} %"


def compared(achieved: str, of: str, asked: str) -> str:
    """Show an amount beside what was asked: ``4.8 % of packets (5 % asked)``."""
    return f"{achieved} of {of} ({asked} asked)" if of else f"{achieved} ({asked} asked)"


def require_rate(value: int) -> None:
    """Raise BadFileError for a rate in bits a second that no link can be given."""
    if not RATE_BPS_LEAST <= value <= RATE_BPS_MOST:
        raise BadFileError(f"expected 8kbit to 34gbit, found {value:,} bit a second")


def _quantity(text: str, units: Mapping[str, float], expected: str) -> float:
    match = QUANTITY.fullmatch(text.strip())
    if match is None or match[2] not in units:
        raise BadFileError(
            f"expected {expected}, found {text!r}; units: "
            f"{', '.join(unit or 'none' for unit in units)}"
        )
    value = float(match[1]) * units[match[2]]
    if not math.isfinite(value):
        raise BadFileError(f"expected {expected}, found more than any number: {text[:SHOWN]!r}")
    return value
