"""Quantities as a person reads them: three figures, and the unit that fits."""

from __future__ import annotations

NOTHING = "–"


def seconds(value_s: float | None) -> str:
    """A time: 9.9 s, 2.70 ms, 47.2 µs, 3 min 20 s."""
    if value_s is None:
        return NOTHING
    if value_s == 0:
        return "0 s"
    if value_s >= 99.95:
        minutes, rest = divmod(round(value_s), 60)
        return f"{minutes} min {rest} s"
    for factor, unit in ((1, "s"), (1e3, "ms")):
        if value_s * factor >= 0.9995:
            return f"{_figures(value_s * factor)} {unit}"
    return f"{_figures(value_s * 1e6)} µs"


def size(value_bytes: float | None) -> str:
    """A number of bytes: 28.9 MB."""
    return NOTHING if value_bytes is None else _scaled(value_bytes, "B")


def rate(bytes_per_s: float | None) -> str:
    """Traffic: 1.20 MB/s."""
    return NOTHING if bytes_per_s is None else f"{size(bytes_per_s)}/s"


def count(number: int, what: str) -> str:
    """So many of something: 1 node, 1,000 nodes."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _scaled(value: float, unit: str) -> str:
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor * 0.9995:
            return f"{_figures(value / factor)} {prefix}{unit}"
    return f"{value:.0f} {unit}"


def _figures(value: float) -> str:
    if value >= 99.95:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"
