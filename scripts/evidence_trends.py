"""Trends of the history: how often a row that does not change seems to, and how soon a slow drift
is called out. `make evidence-trends` (about ten minutes; it goes on where it stopped).

The noise is drawn, and that of real runs: of `docs/evidence/trends-real.json`, which has what rows
measured in the same scenario played again and again on one host; `python
scripts/evidence_trends.py --real RUNS` writes it of a folder of such runs.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from evidence_record import ROOT, Record
from scipy import stats

from harness.history import store
from harness.history.series import series
from harness.history.trend import Change, look

REAL = ROOT / "docs" / "evidence" / "trends-real.json"
CLEAN, DRIFTS = 1000, 100  # series of a case
LOOKS = (10, 20, 30)  # after so many runs
SPREADS = (0.01, 0.02, 0.03, 0.05, 0.1)
ROWS = (1, 20, 60)
DRIFT, BY = 1.02, 10
LEAST = 0.05  # of what is called out (`--least`)
SOON = (10, 12, 15, 20, 30, 40)  # runs after which a drift is looked for
SOON_SPREADS = (*SPREADS, 0.2, 0.4)
LEVEL = 0.01  # of a look
SLOW_LEAST = 3  # runs before it that a real row must have
Draw = Callable[[np.random.Generator, int], np.ndarray[Any, Any]]
DRAWN: dict[str, Draw] = {
    "normal": lambda rng, size: rng.normal(0, 1, size),
    "heavy tails (t, 3)": lambda rng, size: rng.standard_t(3, size),
    "skewed (log-normal)": lambda rng, size: np.exp(rng.normal(0, 1, size)),
    "whole numbers": lambda rng, size: np.round(rng.normal(0, 1, size)),
    "remembers the run before (AR 0.3)": lambda rng, size: remembering(rng, size, 0.3),
    "remembers the run before (AR 0.6)": lambda rng, size: remembering(rng, size, 0.6),
}


def remembering(rng: np.random.Generator, size: int, how_much: float) -> np.ndarray[Any, Any]:
    """Noise of which a part is that of the run before."""
    found = rng.normal(0, 1, size)
    for at in range(1, size):
        found[at] = how_much * found[at - 1] + math.sqrt(1 - how_much**2) * found[at]
    return found


def real() -> dict[str, Draw]:
    """What rows of real runs measured, relative to their median, drawn in random order."""
    if not REAL.exists():
        return {}
    found = json.loads(REAL.read_text())

    def of(values: list[float]) -> Draw:
        shares = np.array(values) / np.median(values)
        return lambda rng, size: rng.choice(shares, size) - 1

    return {f"real: {name}": of(values) for name, values in found["rows"].items()}


def write_real(runs: Path) -> None:
    """Write what rows measured in the runs of one scenario."""
    with store.opened(runs) as database:
        entries = database.entries()
    rows = {
        one.key.name: [point.row.value for point in one.known]
        for one in series(entries, false_alarms=0.0)
        if len(one.known) >= SLOW_LEAST and len({point.row.value for point in one.known}) > 1
    }
    host = entries[-1].environment
    said = {"runs": len(entries), "scenario": entries[-1].scenario, "host": host, "rows": rows}
    REAL.write_text(json.dumps(said, indent=1) + "\n")


def cases() -> Iterator[dict[str, Any]]:
    """What is to be tried, each with its seed."""
    for name in DRAWN:
        for runs in LOOKS:
            yield {"kind": "clean", "noise": name, "runs": runs}
        yield {"kind": "every night", "noise": name, "runs": max(LOOKS)}
    for name in real():
        yield {"kind": "clean", "noise": name, "runs": 20}
    for rows in ROWS[1:]:
        yield {"kind": "page", "noise": "normal", "runs": 20, "rows": rows}
    for rows in ROWS:
        for spread in SPREADS:
            yield {"kind": "drift", "noise": "normal", "spread": spread, "rows": rows}
    for name in real():
        yield {"kind": "drift", "noise": name, "spread": 1.0, "rows": 20}
    for spread in SOON_SPREADS:
        for runs in SOON:
            yield {"kind": "soon", "noise": "normal", "spread": spread, "runs": runs}


def tried(case: dict[str, Any], seed: int) -> dict[str, Any]:
    """Try a case: of how many series (or pages) something was found, and certain."""
    rng, draw = np.random.default_rng(seed), {**DRAWN, **real()}[case["noise"]]
    is_real = case["noise"].startswith("real")

    def level(runs: int, spread: float = 0.03) -> np.ndarray[Any, Any]:
        return 100 * np.maximum(1 + (1.0 if is_real else spread) * draw(rng, runs), 0.0)

    count = {"clean": CLEAN, "every night": 200, "page": 100}.get(case["kind"], DRIFTS)
    found = certain = sharpest = 0
    for _ in range(count):
        if case["kind"] == "clean":
            changes = look([level(case["runs"])])[0]
        elif case["kind"] == "every night":  # the same row, looked at after each run
            values = level(case["runs"])
            changes = [one for at in range(6, len(values) + 1) for one in look([values[:at]])[0]]
        elif case["kind"] == "page":
            page = look([level(case["runs"]) for _ in range(case["rows"])])
            changes = [one for of in page for one in of]
        elif case["kind"] == "soon":
            values = level(case["runs"], case["spread"]) * DRIFT ** np.arange(case["runs"])
            changes = called_out(look([values])[0])
            logs = np.log(np.maximum(values, 1e-3))
            sharpest += stats.linregress(np.arange(len(logs)), logs).pvalue <= LEVEL
        else:
            still = [level(BY, case["spread"]) for _ in range(case["rows"] - 1)]
            drifting = level(BY, case["spread"]) * DRIFT ** np.arange(BY)
            changes = called_out(look([drifting, *still])[0])
        found += bool(changes)
        certain += any(one.is_certain for one in changes)
    result = {**case, "count": count, "found": found, "certain": certain, "seed": seed}
    return result | ({"sharpest": int(sharpest)} if case["kind"] == "soon" else {})


def called_out(changes: Sequence[Change]) -> list[Change]:
    """What of a row that grows for the worse is called out."""
    return [one for one in changes if one.share >= LEAST]


def section(results: list[dict[str, Any]]) -> str:
    """The section of docs/evidence.md."""
    by: dict[str, list[dict[str, Any]]] = {}
    for one in results:
        by.setdefault(one["kind"], []).append(one)
    nights = {one["noise"]: one for one in by.get("every night", ())}
    clean: dict[str, dict[int, dict[str, Any]]] = {}
    for one in by.get("clean", ()):
        clean.setdefault(one["noise"], {})[one["runs"]] = one
    return "\n".join(
        [
            *HEAD,
            *(_clean_line(name, of, nights.get(name)) for name, of in clean.items()),
            *PAGES,
            *(
                f"| {one['rows']} | {one['count']} | {_share(one, 'found')} | "
                f"{_share(one, 'certain')} |"
                for one in by.get("page", ())
            ),
            *DRIFTING,
            *(_drift_line(one) for one in by.get("drift", ())),
            *SOONER,
            *_soon_lines(by.get("soon", ())),
        ]
    )


HEAD = (
    "## Trends of the history (`make evidence-trends`)",
    "",
    "Rows over runs as `harness history` looks at them, at its default of 1 %. *Clean*: nothing",
    "changes; in how many of 1,000 seeded series something was found after so many runs, and in",
    "how many of 200 at any look, when they were looked at after each of 30. *Real*: what a row",
    "measured when one scenario was played again and again on one host with other work beside",
    "it (`docs/evidence/trends-real.json`), drawn with replacement; in brackets its standard",
    "deviation. Noise that remembers the run before is outside what is promised: it is what a",
    "host makes that is busy for some runs on end.",
    "",
    "| clean noise | 10 runs | 20 runs | 30 runs | at any of 25 looks |",
    "|---|---|---|---|---|",
)
PAGES = (
    "",
    "| rows of a page, none changes | pages | something seems to | something certain |",
    "|---|---|---|---|",
)
DRIFTING = (
    "",
    "One row of a page grows by 2 % a run from the first run on; in how many of 100 series it is",
    "called out by the tenth run.",
    "",
    "| noise | standard deviation | rows of the page | called out | of them certain |",
    "|---|---|---|---|---|",
)


SOONER = (
    "",
    "The same row by itself, after so many runs, with normal noise: in how many of 100 series it",
    "is called out; in brackets, by a regression of the logarithms at the same level. Of such",
    "noise up to 10 % that is about the sharpest test there is, and of other noise it is none.",
    "",
    f"| standard deviation | {' | '.join(f'{runs} runs' for runs in SOON)} |",
    f"|---|{len(SOON) * '---|'}",
)


def _soon_lines(results: Sequence[dict[str, Any]]) -> Iterator[str]:
    by_spread: dict[float, list[dict[str, Any]]] = {}
    for one in results:
        by_spread.setdefault(one["spread"], []).append(one)
    for spread, some in by_spread.items():
        cells = (f"{one['found']}% ({one['sharpest']}%)" for one in some)
        yield f"| {spread:.0%} | {' | '.join(cells)} |"


def _clean_line(name: str, of: dict[int, dict[str, Any]], night: dict[str, Any] | None) -> str:
    cells = [_share(of[runs], "found") if runs in of else "" for runs in LOOKS]
    last = _share(night, "found") if night else ""
    spread = f" ({_spread(name):.1%})" if name in real() else ""
    return f"| {name}{spread} | {' | '.join(cells)} | {last} |"


def _drift_line(one: dict[str, Any]) -> str:
    spread = one["spread"] if one["noise"] in DRAWN else _spread(one["noise"])
    return (
        f"| {one['noise']} | {spread:.1%} | {one['rows']} | {_share(one, 'found')} | "
        f"{_share(one, 'certain')} |"
    )


def _spread(name: str) -> float:
    values = np.array(json.loads(REAL.read_text())["rows"][name.removeprefix("real: ")])
    return float(values.std(ddof=1) / np.median(values))


def _share(one: dict[str, Any], what: str) -> str:
    return f"{one[what] / one['count']:.1%}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, metavar="RUNS", help="write what such runs measured")
    asked = parser.parse_args()
    if asked.real:
        write_real(asked.real)
        return
    record = Record("trends")
    done = [{key: one[key] for key in one if key in KEYS} for one in record.results()]
    for seed, case in enumerate(cases(), 1):
        if case in done:
            continue
        result = tried(case, seed)
        record.add(result)
        print(f"{case}: {result['found']}, {result['certain']} of {result['count']}", flush=True)
    record.publish(section(record.results()))


KEYS = ("kind", "noise", "runs", "rows", "spread")

if __name__ == "__main__":
    main()
