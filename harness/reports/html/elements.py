"""Elements of a page. Whatever a run says goes through `escape` here before it becomes markup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape as _escape
from urllib.parse import quote

from harness.checks.verdict import Answer


def escape(text: object) -> str:
    """Make a text harmless, in an element and in an attribute."""
    return _escape(str(text), quote=True)


def answer(one: Answer) -> str:
    """Show an answer: a word with a mark of its own."""
    return f'<span class="answer {mark(one)}">{one}</span>'


def mark(one: Answer) -> str:
    """The class of an answer's colour."""
    return one.replace(" ", "-")


def file_link(name: str) -> str:
    """Link a file of the run folder, beside which the page lies."""
    return f'<a class=file href="{escape(quote(name))}">{escape(name)}</a>'


def files(names: Sequence[str]) -> str:
    """Link files of the run folder; empty without any."""
    return ", ".join(map(file_link, names))


def safe_json(value: object) -> str:
    """Write JSON that cannot end the script element it stands in."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its head, and whether its cells are numbers."""

    head: str
    is_number: bool = False


def table(columns: Sequence[Column], rows: Iterable[Sequence[str]], look: str = "") -> str:
    """Lay a table out whose cells are markup; where there is little room, each row becomes a card
    whose cells name their columns.
    """
    numeric = ' class="number"'
    head = "".join(
        f"<th{numeric if column.is_number else ''}>{escape(column.head)}" for column in columns
    )
    body = "".join(
        "<tr>"
        + "".join(
            f'<td{numeric if column.is_number else ""} data-label="{escape(column.head)}">'
            f"<span>{cell}</span>"
            for column, cell in zip(columns, row, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<table class="cards {escape(look)}"><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table>"
    )


def section(key: str, title: str, *parts: str) -> str:
    """Open a part of the page with an anchor; without content there is none."""
    inside = "".join(parts)
    return (
        f'<section id="{escape(key)}"><h2>{escape(title)}</h2>{inside}</section>' if inside else ""
    )


def note(text: str) -> str:
    """Show a remark, whose text is plain."""
    return f"<p class=soft>{escape(text)}</p>" if text else ""
