"""A comparison of two sides as text, as Markdown for a comment on a pull request, and as a page:
what `harness compare --json` prints, laid out. Everything of it is escaped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from rich.console import Group
from rich.text import Text

from harness.checks.verdict import Answer
from harness.reports import markdown
from harness.reports.html import elements
from harness.reports.html.elements import Column, escape
from harness.reports.terminal import Plain, plain
from harness.reports.text import COLOURS, to_text
from harness.topology.quantities import number

ORDER = (Answer.FAIL, Answer.UNKNOWN, Answer.PASS, Answer.MEASURED)
HEADS = ("phase", "row", "base", "head", "change", "95 % interval", "answer", "why")
WIDTH, HEIGHT, MIDDLE = 170, 18, 85  # of a row's picture
SPAN = 0.5  # the change at its ends: more is drawn there
NOTHING = "–"
Row = Mapping[str, Any]


def render(facts: Row) -> Group:
    """Lay a comparison out for a terminal: the rows with the worst answers first."""
    table = Plain(header_style="bold", expand=False)
    for head in HEADS[:-2]:
        table.add_column(
            head, no_wrap=head != "row", justify="left" if head in HEADS[:2] else "right"
        )
    table.add_column(HEADS[-2], no_wrap=True)
    table.add_column(HEADS[-1], overflow="fold")
    for row in _ordered(facts):
        cells = _cells(row)
        coloured = Text(cells[-2], style=COLOURS[Answer(row["answer"])])
        table.add_row(*cells[:-2], coloured, cells[-1])
    total = Text.assemble(
        (facts["answer"], COLOURS[Answer(facts["answer"])]), "  ", plain(facts["sentence"])
    )
    notes = [plain(one) for one in notes_of(facts)]
    return Group(plain(sides(facts)), Text(), table, Text(), total, *notes)


def as_text(facts: Row) -> str:
    """Write a comparison as plain text."""
    return to_text(render(facts))


def rendered(facts: Row, format_: str) -> str:
    """Write a comparison as ``text``, ``json``, ``markdown`` or ``html``."""
    writers = {"text": as_text, "json": _to_json, "markdown": to_markdown, "html": page}
    return writers[format_](facts)


def _to_json(facts: Row) -> str:
    return json.dumps(facts, indent=1) + "\n"


def sides(facts: Row) -> str:
    """Say which sides are compared."""
    told = (f"{name} {_side(facts[name])}" for name in ("base", "head"))
    return f"{facts['base']['scenario']} · {' · '.join(told)}"


def _side(side: Row) -> str:
    count = len(side["runs"])
    return f"{side['named']} ({count} run{'' if count == 1 else 's'})"


def notes_of(facts: Row) -> Iterator[str]:
    """Say what a reader should know besides: how often it is wrong, and what differs."""
    often = number(facts["thresholds"]["false_alarms"] * 100, digits=2)
    if any(row["p"] is not None for row in facts["rows"]):
        yield (
            f"false alarms: of comparisons whose sides do not differ, at most {often} % say that "
            f"any of these {len(facts['rows'])} rows changed (permutations of the runs, corrected "
            "over rows); each interval is of its row alone (bootstrap over runs)"
        )
    for part, found in facts["differs"].items():
        how = "compared: " if part == "subject" else "differs: "
        if part in facts["despite"]:
            how = "differs, and may: "
        yield f"{how}{part}: {', '.join(found)}"
    yield from facts["remarks"]


def to_markdown(facts: Row) -> str:
    """Write a comparison as Markdown, in at most markdown.MAX_CHARACTERS."""
    answer = Answer(facts["answer"])
    text = (
        f"## {markdown.MARKS[answer]} {answer} · {markdown.escaped(sides(facts))}\n\n"
        f"{markdown.escaped(facts['sentence'])}\n"
    )
    rows = _ordered(facts)
    told = [row for row in rows if row["level"] != "none" or row["answer"] in ("FAIL", "UNKNOWN")]
    rest = [row for row in rows if row not in told]
    if told:
        text += f"\n{_head()}{_rows(told)}"
    if rest:
        text += (
            f"\n<details><summary>{len(rest)} without a change that is said</summary>\n\n"
            f"{_head()}{_rows(rest)}\n</details>\n"
        )
    return text + "".join(f"\n- {markdown.escaped(note)}" for note in notes_of(facts)) + "\n"


def _head() -> str:
    return f"| {' | '.join(HEADS)} |\n|---|---|--:|--:|--:|--:|---|---|\n"


def _rows(rows: Sequence[Row]) -> str:
    """Write as many rows as there is room for, and the number of the others."""
    text, room = "", markdown.MAX_CHARACTERS // 2 - 2000
    for done, row in enumerate(rows):
        line = f"| {' | '.join(map(markdown.escaped, _cells(row)))} |\n"
        if len(text) + len(line) > room:
            return text + f"| | … and {len(rows) - done} more | | | | | | |\n"
        text += line
    return text


def page(facts: Row) -> str:
    """Write a comparison as one page, offline."""
    css = (resources.files("harness.reports.html") / "report.css").read_text()
    title = (
        f"{facts['base']['scenario']}: {facts['head']['named']} against {facts['base']['named']}"
    )
    answer = Answer(facts["answer"])
    numeric = set(HEADS[2:6])
    heads = [Column(head, head in numeric) for head in HEADS]
    heads.insert(6, Column("picture"))
    return "".join(
        [
            "<!doctype html><html lang=en><head><meta charset=utf-8><meta name=viewport ",
            f"content='width=device-width, initial-scale=1'><title>{escape(title)}</title>",
            f"<style>{css}</style></head><body><main><header><h1>{escape(title)}</h1></header>",
            f"<p class=total>{elements.answer(answer)} {escape(facts['sentence'])}</p>",
            elements.section(
                "rows",
                "Rows",
                elements.table(heads, (_markup(facts, one) for one in _ordered(facts))),
            ),
            elements.note(
                f"Pictures: from {-SPAN:.0%} to {SPAN:+.0%}; a line is the interval, a dot the "
                "change; dashed: what is said, warned of and failed."
            ),
            elements.section("notes", "What to know", *map(elements.note, notes_of(facts))),
            elements.section("runs", "Runs", _runs(facts)),
            "</main></body></html>\n",
        ]
    )


def _markup(facts: Row, row: Row) -> list[str]:
    cells = [escape(cell) for cell in _cells(row)]
    answer = Answer(row["answer"])
    cells[6] = elements.answer(answer)
    if said := _level(row):
        cells[6] += f" {escape(said)}"
    return [*cells[:6], _picture(facts["thresholds"], row), *cells[6:]]


def _runs(facts: Row) -> str:
    heads = (
        *map(Column, ("side", "run", "started", "verdict")),
        Column("others on the host", True),
    )
    return elements.table(
        heads,
        (
            (
                name,
                escape(run["run"]),
                escape(run["started"]),
                elements.answer(Answer(run["answer"])),
                NOTHING if run["others"] is None else f"{run['others']:.0%}",
            )
            for name in ("base", "head")
            for run in facts[name]["runs"]
        ),
    )


def _picture(thresholds: Row, row: Row) -> str:
    """Draw a row's change and interval between the thresholds; empty where it has none."""
    if row["change"] is None:
        return ""
    lines = "".join(
        f"<line class=bound x1='{_at(share)}' x2='{_at(share)}' y1=1 y2='{HEIGHT - 1}'/>"
        for name in ("said", "warned", "failed")
        for share in (-thresholds[name], thresholds[name])
    )
    y = HEIGHT / 2
    interval = ""
    if row["low"] is not None:
        interval = (
            f"<line x1='{_at(row['low'])}' x2='{_at(row['high'])}' y1='{y}' y2='{y}' "
            "stroke='currentColor' stroke-width=2 />"
        )
    return (
        f"<svg class=chart style='width:{WIDTH}px' viewBox='0 0 {WIDTH} {HEIGHT}' role=img "
        f"aria-label='{escape(_cells(row)[4])}'>"
        f"<line class=grid x1='{MIDDLE}' x2='{MIDDLE}' y1=0 y2='{HEIGHT}'/>{lines}{interval}"
        f"<circle class='{elements.mark(Answer(row['answer']))}' cx='{_at(row['change'])}' "
        f"cy='{y}' r=4 fill='currentColor'/></svg>"
    )


def _at(share: float) -> str:
    """Where a change lies; one that is beyond the ends lies at them."""
    inside = min(max(share, -SPAN), SPAN)
    return f"{MIDDLE + inside / SPAN * (MIDDLE - 6):.1f}"


def _ordered(facts: Row) -> list[Row]:
    """The rows, the worst answers first, and of these the greatest levels."""
    levels = ("failed", "warned", "said", "none")
    return sorted(
        facts["rows"],
        key=lambda row: (ORDER.index(Answer(row["answer"])), levels.index(row["level"])),
    )


def _cells(row: Row) -> list[str]:
    """A row as plain texts, in the order of HEADS."""
    values = (_value(row, row[side]) for side in ("base", "head"))
    change = NOTHING if row["change"] is None else _percent(row["change"])
    interval = NOTHING
    if row["low"] is not None:
        interval = f"{_percent(row['low'])} … {_percent(row['high'])}"
    answer = f"{row['answer']}{f' ({_level(row)})' if _level(row) else ''}"
    why = row["sentence"]
    if row["p"] is not None:
        why += f" (p {number(row['p'], digits=2)})"
    return [row["phase"] or NOTHING, row["name"], *values, change, interval, answer, why]


def _level(row: Row) -> str:
    """What is said of a change beside the answer: what is better is only said."""
    if row["level"] == "none" or row["answer"] == Answer.FAIL:
        return ""
    if not row["is_worse"]:
        return "changed" if row["answer"] == Answer.MEASURED else "better"
    return str(row["level"])


def _value(row: Row, value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{number(value)}{'' if row['unit'] == '1' else ' ' + row['unit']}"


def _percent(share: float) -> str:
    sign = "+" if share > 0 else "−" if share < 0 else ""
    return f"{sign}{number(abs(share) * 100, digits=2 if abs(share) < 0.0995 else 3)} %"
