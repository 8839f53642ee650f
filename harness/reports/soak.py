"""The page of a soak: its verdict, its windows, what grows, and what it cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from harness.checks.verdict import Answer, Verdict
from harness.reports import headline
from harness.reports.html import findings, page
from harness.reports.html.elements import Column, answer, escape, section, table
from harness.topology.quantities import number

UNITS = (("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def render(verdict: Verdict, facts: Mapping[str, Any], run: str, details: Mapping[str, Any]) -> str:
    """Write the page. Everything of it is escaped."""
    sections = {
        "verdict": ("Verdict", findings.rows(verdict.findings, lambda _: "", with_files=False)),
        "windows": ("Windows", windows(details)),
        "slopes": ("What grows", slopes(details)),
        "cost": ("What it costs", "".join(f"<p>{escape(one)}</p>" for one in costs(details))),
    }
    return page.page(
        f"{facts['name']} · {verdict.answer}",
        [
            page.header(facts),
            findings.total(verdict),
            page.contents([(key, title) for key, (title, _) in sections.items()]),
            *(section(key, title, content) for key, (title, content) in sections.items()),
            f"<p>{escape(headline.again(facts, run))}</p>",
        ],
    )


def windows(details: Mapping[str, Any]) -> str:
    """Lay out a row a window, with a link to its report where its raw values are kept."""
    heads = (
        Column("window"),
        Column("began"),
        Column("length", is_number=True),
        Column("pause before", is_number=True),
        Column("verdict"),
        Column("faults"),
        Column("what else"),
    )
    return table(heads, (_window(one) for one in details["windows"]))


def _window(one: Mapping[str, Any]) -> tuple[str, ...]:
    of = str(one["number"])
    link = one["page"] or one["summary"]
    named = f"<a href='{escape(link)}'>{of}</a>" if link else of
    began = datetime.fromtimestamp(one["began_s"], UTC).strftime("%Y-%m-%d %H:%M:%S")
    pause = "–" if one["pause_s"] is None else f"{one['pause_s']:.1f} s"
    said = [] if one["stage"] == "played" else [one["stage"]]
    said += [one["problem"]] if one["problem"] else []
    said += one["notes"]
    said += [] if one["raw"] else ["summarised"]
    told = answer(Answer(one["answer"])) if one["answer"] else "not judged"
    return (
        named,
        escape(began),
        f"{one['seconds']:g} s",
        pause,
        told,
        escape(", ".join(one["faults"])) or "–",
        escape("; ".join(said)),
    )


def slopes(details: Mapping[str, Any]) -> str:
    """List the series that grow most, of how many that were looked at."""
    some = details["slopes"]
    said = f"<p>{details['series']:,} series were looked at; these grow most.</p>"
    if not some:
        return f"<p>Of {details['series']:,} series none grows, as far as anybody can tell.</p>"
    rows = (
        (answer(Answer.FAIL) if one["leaks"] else "no leak", escape(one["says"])) for one in some
    )
    return said + table((Column("answer"), Column("slope, with its interval")), rows)


def costs(details: Mapping[str, Any]) -> Iterator[str]:
    """Say what it takes of the disk, and for how long no load was sent."""
    cost, asked = details["cost"], details["asked"]
    yield (
        f"Its folder holds {size(cost['bytes'])}; {size(cost['planned_bytes'])} at most were "
        "planned."
    )
    if "raw_bytes_an_hour" in cost:
        yield (
            f"An hour of raw values takes {size(cost['raw_bytes_an_hour'])}, and "
            f"{size(cost['summary_bytes_an_hour'])} once it is summarised, which raw values are "
            f"after {asked['raw_s'] / 3600:g} h where nothing was found."
        )
        yield extrapolated(cost["after_all"])
        if cost["after_8h"]["for_s"] != cost["after_all"]["for_s"]:
            yield extrapolated(cost["after_8h"])
    if pauses := details["pauses"]:
        yield (
            f"Between windows no load was sent for {pauses['mean_s']:.1f} s on average, "
            f"{pauses['most_s']:.1f} s at most, {pauses['total_s']:.0f} s in all."
        )


def extrapolated(one: Mapping[str, Any]) -> str:
    """Say what so long would take: ``8 h would take 1.2 GB [1.1, 1.3]``."""
    name, factor = _unit(one["bytes"])
    if one["low"] is None:
        bounds = "(too few windows for an interval)"
    else:
        bounds = f"[{number(one['low'] / factor)}, {number(one['high'] / factor)}]"
    return f"{hours(one['for_s'])} would take {number(one['bytes'] / factor)} {name} {bounds}."


def hours(seconds: float) -> str:
    """Show a time: ``8 h``, ``12 min``, ``36 s``."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} s"


def size(count: float) -> str:
    """Show so many bytes: ``1.2 GB``."""
    name, factor = _unit(count)
    return f"{number(count / factor)} {name}"


def _unit(count: float) -> tuple[str, float]:
    return next(((name, factor) for name, factor in UNITS if count >= factor), ("B", 1.0))
