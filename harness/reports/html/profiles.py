"""The profiles of a run: of whom, when, in what most was counted, and their files beside it."""

from __future__ import annotations

from harness.history.events import ProfileBegan, ProfileEnded
from harness.history.history import History
from harness.reports.html.elements import Column, escape, files, note, table
from harness.reports.series import clock

COLUMNS = (
    Column("of"),
    Column("by"),
    Column("from – until", is_number=True),
    Column("counted", is_number=True),
    Column("most in"),
    Column("files"),
)
PERTURBS = (
    "A profiler perturbs what is measured: a row that is missed with what was under way meanwhile, "
    "and kept without it, is UNKNOWN. A flame graph is read from the top: callers first, each "
    "function as wide as its share."
)


def listed(history: History) -> str:
    """List the profiles; empty without any."""
    began = {one.number: one for one in history.events if isinstance(one, ProfileBegan)}
    ended = {one.number: one for one in history.events if isinstance(one, ProfileEnded)}
    rows = [_row(history, began.get(at), ended.get(at)) for at in sorted({*began, *ended})]
    return note(PERTURBS) + table(COLUMNS, rows, "profiles") if rows else ""


def _row(
    history: History, began: ProfileBegan | None, ended: ProfileEnded | None
) -> tuple[str, ...]:
    one = began or ended
    assert one is not None
    from_ = "–" if began is None else f"{clock.of_s(history, began.at_ns):.1f}"
    until = "–" if ended is None else f"{clock.of_s(history, ended.at_ns):.1f}"
    if ended is None or not ended.file:
        why = "the run was cut short" if ended is None else ended.error
        counted, most, links = "–", f"not taken: {escape(why)}", ""
    else:
        counted = f"{ended.count:,} {escape(ended.unit)}"
        most = "<br>".join(f"{escape(name)} {part:.0%}" for name, part in ended.hottest.items())
        links = files([ended.graph, ended.file])
    return (
        f"<b>{escape(one.who)}</b>",
        escape(one.tool),
        f"{from_} – {until} s",
        counted,
        most or "–",
        links,
    )
