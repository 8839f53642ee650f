"""Sections of a document that a script writes anew: between two markers that name it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "docs" / "benchmarks.md"


COLUMNS = 100


def items(sentences: Iterable[str]) -> list[str]:
    """Return a list's items, each as narrow as lines of a document are."""
    return [
        textwrap.fill(one, COLUMNS, initial_indent="- ", subsequent_indent="  ")
        for one in sentences
    ]


def publish(document: Path, name: str, text: str) -> None:
    """Replace the document's section of this name; a new one comes last."""
    section = f"<!-- {name} -->\n{text.strip()}\n<!-- end of {name} -->"
    pattern = re.escape(section.splitlines()[0]) + ".*?" + re.escape(section.splitlines()[-1])
    before = document.read_text()
    after, found = re.subn(pattern, lambda _: section, before, flags=re.DOTALL)
    document.write_text(after if found else f"{before.rstrip()}\n\n{section}\n")
