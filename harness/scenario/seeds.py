"""A seed is the number that all which is drawn in a scenario is a function of."""

from __future__ import annotations

from harness.errors import BadFileError

LARGEST = (1 << 63) - 1  # what numpy draws from, and every message and file can hold


def require(seed: int) -> None:
    """Raise BadFileError for a number that is no seed."""
    if not 0 <= seed <= LARGEST:
        raise BadFileError(f"seed: expected 0 to {LARGEST:,}, found {seed:,}")
