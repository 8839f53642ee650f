"""The page of the history: what got worse first, then each row over all runs, a small chart each.

Runs on other hosts, kernels, runtimes, or of another load, have charts of their own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.history.series import LEAST_SHARE, Series, told
from harness.history.trend import FALSE_ALARMS
from harness.reports.html import page
from harness.reports.html.elements import Column, escape, note, section, table
from harness.reports.svg import trend as drawing

CALLED = "worse"
KEYS = (
    '<p class=keys><span class="key c0">value of a run</span>'
    '<span class="key bound">promised</span><span class="key dot-fail">FAIL</span>'
    '<span class="key dot-unknown">UNKNOWN (not counted)</span>'
    '<span class="key news">a version changed</span><span class="key worse">became worse</span>'
    '<span class="key moved">another change</span></p>'
)


def render(
    series: Sequence[Series],
    where: str,
    false_alarms: float = FALSE_ALARMS,
    least: float = LEAST_SHARE,
) -> str:
    """Write the page. `where`: the folder of runs; `series`: those of the newest runs first."""
    groups = grouped(series)
    names = {id(one): f"s{number}" for number, one in enumerate(series, 1)}
    worse = [(one, change) for one in series for change in one.degraded(least)]
    titles = {CALLED: "What got worse"} | {
        f"g{number}": title for number, title in enumerate(groups, 1)
    }
    listed = (
        f'<li><a href="#{names[id(one)]}">{escape(_named(one))}</a>: '
        f"{escape(told(one, change))}</li>"
        for one, change in sorted(worse, key=lambda pair: not pair[1].is_certain)
    )
    called = f"<ul>{''.join(listed)}</ul>" if worse else note("Nothing that lasts until now.")
    runs = {point.entry.id for one in series for point in one.points}
    header = (
        f"<header><h1>History</h1><span class=soft>{escape(where)} · {len(runs):,} runs · "
        f"{len(series):,} rows</span><button id=theme type=button>light / dark</button></header>"
    )
    inside = {CALLED: called + note(_how(false_alarms, least))} | {
        f"g{number}": _group(of, names, least) for number, of in enumerate(groups.values(), 1)
    }
    return page.page(
        "History",
        [
            header,
            page.contents(list(titles.items())),
            *(section(key, titles[key], inside[key]) for key in titles),
        ],
    )


def _how(false_alarms: float, least: float) -> str:
    return (
        f"Called out: drifts and lasting changes to the worse, of {least:.0%} or more, of values "
        f"that are known. A row without a trend seems to have one in {false_alarms:.1%} of looks "
        "at most (“it seems”); where no row of this page has one, one that does not only seem so "
        "is here in as few. That holds where a run's noise says nothing of the next one's."
    )


def grouped(series: Iterable[Series]) -> dict[str, list[Series]]:
    """Put series together that are of the same scenario on the same ground."""
    found: dict[str, list[Series]] = {}
    for one in series:
        found.setdefault(f"{one.key.scenario} · {ground(one)}", []).append(one)
    return found


def ground(one: Series) -> str:
    """Say on what a series was measured: what keeps it apart from others."""
    said = dict(one.environment)
    cores, cpu = said.pop("cores", "?"), said.pop("cpu", "a CPU")
    said.pop("machine", None)
    first = [one.key.kind] if one.key.kind != "run" else []
    first += [said.pop("runtime", "?"), f"{cores} × {cpu}"]
    return ", ".join([*first, *(f"{key} {value}" for key, value in said.items())])


def _named(one: Series) -> str:
    phase = f" ({one.key.phase})" if one.key.phase else ""
    return f"{one.key.scenario}: {one.key.name}{phase}"


def _group(of: Sequence[Series], names: dict[int, str], least: float) -> str:
    drawn = [one for one in of if any(point.row.value is not None for point in one.points)]
    others = [one for one in of if one not in drawn]
    figures = "".join(_figure(one, names[id(one)], least) for one in drawn)
    columns = (Column("row"), Column("phase"), Column("newest"), Column("runs, the newest last"))
    rows = (
        (
            f'<span id="{names[id(one)]}">{escape(one.key.name)}</span>',
            escape(one.key.phase or "–"),
            _answer(one),
            drawing.strip(one),
        )
        for one in others
    )
    charts = f'{KEYS}<div class="charts small">{figures}</div>' if drawn else ""
    return charts + (table(columns, rows, "answers") if others else "")


def _answer(one: Series) -> str:
    answer = one.newest.row.answer
    return f'<span class="answer {escape(answer.replace(" ", "-"))}">{escape(answer)}</span>'


def _figure(one: Series, key: str, least: float) -> str:
    row = one.newest.row
    promised = f" · promised {row.promised}" if row.bound is not None else ""
    worse = one.degraded(least)
    sentences = "".join(
        f'<p class="foot{" bad" if change in worse else ""}">{escape(told(one, change))}</p>'
        for change in one.changes
    )
    said = f"{one.key.phase or '–'} · {row.measured or '–'}{promised} · "
    return (
        f'<figure id="{key}"><figcaption><h3>{escape(one.key.name)}</h3>'
        f"<span class=note>{escape(said)}{_answer(one)}</span></figcaption>"
        f"{drawing.draw(one, worse)}{sentences}</figure>"
    )
