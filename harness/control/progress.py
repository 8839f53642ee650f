"""Progress says how far something long is, to whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable

# Stage, how much of it is done, of how much. It may raise to give up.
Progress = Callable[[str, int, int], None]


def nobody(stage: str, done: int, total: int) -> None:
    """Show no progress: nobody waits for it."""
    del stage, done, total
