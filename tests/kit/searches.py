"""What saturation.json holds of a search for the highest rate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def attempt(rate: float, p99: float | None, answer: str = "PASS") -> dict[str, Any]:
    """One try of a rate; p99 None: too much of it never arrived."""
    values = {"p50": None if p99 is None else p99 / 2, "p99": p99}
    return {"rate_per_s": rate, "answer": answer, "why": "", "values": values, "run": ""}


def facts(
    tries: Sequence[dict[str, Any]], bound: float = 50.0, holds: float = 400.0, fails: float = 430.0
) -> dict[str, Any]:
    """A search whose answer lies between two rates."""
    return {
        "scenario": "demo",
        "searched": "rate",
        "stream": "private_message",
        "until": "p99 < 50 ms",
        "unit": "ms",
        "bound": bound,
        "interrupted": False,
        "sentence": "400/s held in 3 of 3 tries, 430/s did not (missed: 51 is not < 50 ms)",
        "holds_at_per_s": holds,
        "fails_at_per_s": fails,
        "tries": list(tries),
    }


TRIES = [attempt(rate, rate / 10) for rate in (100, 200, 400, 404, 412, 430, 460, 500, 600, 800)]
