"""The terminal shows texts as they are: what a node or a file says is never read as markup.

Every table and every console of the harness is made here (tests/unit/reports/test_terminal.py).
"""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

# All but tabs and line ends: they would move the cursor, colour, or ask the terminal something.
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"


def visible(text: str) -> str:
    """Show the control characters of a text, which a terminal would obey."""
    return CONTROLS.sub(REPLACEMENT, text)


def plain(text: str) -> Text:
    """Return a text for the terminal: no markup, no emoji codes, no control characters."""
    return Text(visible(text))


class Terminal(Console):
    """A console without markup. A reader that is gone raises BrokenPipeError."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **settings})

    def on_broken_pipe(self) -> None:
        """Raise what rich would make an exit code of 1 of, which says FAIL."""
        raise BrokenPipeError


class Plain(Table):
    """A table without lines, of plain texts."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"box": None, "pad_edge": False, **settings})

    def add_row(self, *cells: RenderableType | None, **settings: Any) -> None:
        """Add a row; every text in it stays what it is."""
        super().add_row(
            *(plain(cell) if isinstance(cell, str) else cell for cell in cells), **settings
        )
