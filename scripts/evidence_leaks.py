"""Planted leaks, each in one of ten nodes: found, and none else; and how often something is said
to leak that does not. Of real nodes for twenty minutes, and of two-hour series drawn from the
samples of real clean nodes. `make evidence-leaks` (50 minutes),
`python scripts/evidence_leaks.py [--clean RUN] [--planted RUN]`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evidence_clean import HARNESS
from evidence_record import Record

from harness.checks import leaks, slope
from harness.checks.leaks import Trend, Watched
from harness.checks.slope import Life
from harness.checks.watched import watched
from harness.history import reader

NODES, SECONDS = 10, 1200
LONGEST_S = SECONDS + 600
COVER = "saw-tooth-memory"
PLANTED = {
    1: ("leaks-a-descriptor-a-minute", "fds"),
    3: ("leaks-memory-in-saw-tooth", "rss"),
    5: ("leaks-a-connection-a-reconnect", "connections"),
}
# Of the drawn: resource → what is planted in an hour, in steps of so much.
DRAWN = {"fds": (60, 1), "rss": (2e6, 4096), "connections": (60, 1)}
DRAWN_SECONDS = 2 * 3600
SOAKS_CLEAN, SOAKS_PLANTED = 100, 20
PIECE_S = 180  # of residuals, drawn whole: what repeats within repeats in what is drawn
SCENARIO = """topology = "topology.toml"
seed = 1
checks = ["leaks"]
[[phase]]
name = "steady"
duration_s = {seconds}
"""
STREAMS = (
    ("private_message", 20, 0),
    ("broadcast", 1, 0),
    ("dht_put", 2, 50),
    ("dht_get", 2, 50),
    ("connect", 5, 0),
)


def written(folder: Path, planted: bool) -> Path:
    """A scenario of steady load on ten nodes; its keys are few, for new ones would be kept."""
    topology = '[shape]\nkind = "full-mesh"\n'
    for node in range(NODES):
        bug = PLANTED[node][0] if planted and node in PLANTED else COVER
        topology += f'[[node]]\nname = "node-{node}"\noptions = {{ planted_bug = "{bug}" }}\n'
    (folder / "topology.toml").write_text(topology)
    text = SCENARIO.format(seconds=SECONDS)
    for operation, rate, keys in STREAMS:
        text += f'[[phase.stream]]\noperation = "{operation}"\nrate_per_s = {rate}\n'
        text += f"keys = {keys}\n" if keys else ""
    file = folder / ("planted.toml" if planted else "clean.toml")
    file.write_text(text)
    return file


def played(folder: Path, planted: bool) -> Path:
    """Play it; return the run's folder."""
    state = folder / "s"
    state.mkdir()
    command = [str(HARNESS), "run", str(written(folder, planted)), "--runtime", "netns"]
    subprocess.run(
        [*command, "--runs", str(folder / "runs")],
        env={**os.environ, "HARNESS_STATE": str(state)},
        capture_output=True,
        timeout=LONGEST_S,
        check=False,
    )
    return folder / "runs" / "latest"


def told(trends: Sequence[Trend]) -> list[str]:
    return [trend.sentence for trend in trends if trend.is_leak]


def real(run: Path, planted: bool) -> dict[str, Any]:
    """What was found in a run of real nodes."""
    history = reader.read(reader.find(run))
    trends = leaks.found(watched(history))
    wanted = {(f"node-{node}", resource) for node, (_, resource) in PLANTED.items()}
    found = {(one.watched.of, one.watched.resource) for one in trends if one.is_leak}
    planned = wanted if planted else set()
    named = [one.sentence for one in trends if (one.watched.of, one.watched.resource) in wanted]
    return {
        "kind": "real, planted" if planted else "real, clean",
        "minutes": round(sum(phase.seconds for phase in history.phases) / 60),
        "series": len(trends),
        "missed": sorted(map(" ".join, planned - found)),
        "others": sorted(one for one in told(trends) if not planted or one not in named),
        "told": named if planted else [],
        "own": [one.sentence for one in trends if not one.watched.is_node],
    }


def drawn(clean: Sequence[Watched], seed: int, resource: str | None) -> Iterator[Watched]:
    """Ten nodes of two hours drawn from clean nodes of twenty minutes: pieces of what is left of
    each without its own slope; in the first, a leak of this resource.
    """
    for one in clean:
        life = max(one.lives, key=lambda life: len(life.at_s))
        settled = life.at_s >= life.at_s[0] + 240
        at, values = life.at_s[settled], life.values[settled]
        if len(at) < 2 * PIECE_S:  # what is sampled seldom
            continue
        trend = slope.of([replace(life, at_s=at, values=values)], confidence=0.9, warm_up_s=0.0)
        own = 0.0 if trend is None else trend.per_s
        left = values - own * (at - at[0])
        rng = np.random.default_rng(zlib.crc32(f"{seed} {one.of} {one.resource}".encode()))
        begins = rng.integers(0, len(left) - PIECE_S, DRAWN_SECONDS // PIECE_S)
        made = np.concatenate([left[begin : begin + PIECE_S] for begin in begins])
        if one.resource == resource and one.of == "node-0":
            per_h, step = DRAWN[one.resource]
            made = made + np.floor(np.arange(len(made)) * per_h / 3600 / step) * step
        yield replace(one, lives=(Life(at_s=np.arange(len(made), dtype=float), values=made),))


def repeated(clean: Sequence[Watched]) -> Iterator[dict[str, Any]]:
    """Draw soaks without a leak, and with each; of scipy's own slope and interval the same."""
    nodes = [one for one in clean if one.is_node]
    for resource, count in ((None, SOAKS_CLEAN), *((name, SOAKS_PLANTED) for name in DRAWN)):
        alarms, missed, series, naive = Counter[str](), 0, 0, 0
        for seed in range(count):
            soak = list(drawn(nodes, seed, resource))
            trends = leaks.found(soak)
            series += len(soak)
            found = {(one.watched.of, one.watched.resource) for one in trends if one.is_leak}
            missed += resource is not None and ("node-0", resource) not in found
            others = [one for one in found if resource is None or one[1] != resource]
            others += [
                one
                for one in found
                if one[1] == resource and one[0] not in ("node-0", leaks.TOGETHER)
            ]
            alarms.update(" ".join(one) for one in others)
            naive += sum(map(_naive, soak)) if resource is None and seed < 10 else 0
        yield {
            "kind": "drawn",
            "planted": resource or "nothing",
            "soaks": count,
            "series": series,
            "missed": missed,
            "alarms": alarms,
            "naive_of": 10 * len(nodes) if resource is None else 0,
            "naive": naive,
        }


def _naive(one: Watched) -> bool:
    """Whether Mann and Kendall's test of the samples, one in ten, says that a series rises."""
    from scipy.stats import kendalltau

    life = one.lives[0]
    values = life.values[1440::10]
    if np.ptp(values) == 0:
        return False
    return bool(kendalltau(np.arange(len(values)), values, alternative="greater").pvalue < 0.001)


def section(results: list[dict[str, Any]]) -> str:
    """The section: what was drawn, what was real."""
    newest: dict[str, dict[str, Any]] = {}
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if result["kind"] == "drawn":
            newest[result["planted"]] = result
        else:
            runs[result["kind"]].append(result)
    lines = [
        "## Leaks (`make evidence-leaks`)",
        "",
        "Ten nodes whose memory rises and falls by 10 MB in 40 s ([what is done](leaks.md)).",
        "*Drawn*: soaks of two hours, put together of pieces of three minutes of what real clean",
        "nodes had, without their own slope; a leak is planted in one node. *Others*: series that",
        "were said to leak and do not.",
        "",
        "| drawn soaks with | soaks | series | found | others |",
        "|---|---|---|---|---|",
    ]
    for planted, one in newest.items():
        found = "–" if planted == "nothing" else f"{one['soaks'] - one['missed']} of {one['soaks']}"
        per_h = DRAWN.get(planted, (0, 0))[0]
        what = planted if planted == "nothing" else f"{planted} +{per_h:,.0f}/h"
        others = sum(one["alarms"].values())
        lines.append(f"| {what} | {one['soaks']} | {one['series']:,} | {found} | {others} |")
    if (clean := newest.get("nothing")) and clean["naive_of"]:
        lines += [
            "",
            "Mann and Kendall's test as scipy has it, of every tenth of the same samples, calls",
            f"{clean['naive']} of {clean['naive_of']} clean series a leak with p < 0.001.",
        ]
    lines += ["", "| real nodes | minutes | series | missed | others |", "|---|---|---|---|---|"]
    for kind, of in sorted(runs.items()):
        for one in of:
            lines.append(
                f"| {kind} | {one['minutes']} | {one['series']} | "
                f"{'; '.join(one['missed']) or '–'} | {'; '.join(one['others']) or '–'} |"
            )
    planted_runs = runs.get("real, planted", [])
    for title, key in (
        ("What was said of the planted:", "told"),
        ("Of the harness itself:", "own"),
    ):
        if planted_runs:
            lines += ["", title, "", *(f"- {said}" for said in planted_runs[-1][key])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=Path, help="a clean run that was played already")
    parser.add_argument("--planted", type=Path, help="a planted run that was played already")
    asked, record = parser.parse_args(), Record("leaks")
    with tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as folder:
        runs = {False: asked.clean, True: asked.planted}
        for planted, given in runs.items():
            own = Path(folder) / ("planted" if planted else "clean")
            own.mkdir()
            runs[planted] = given or played(own, planted)
            result = real(runs[planted], planted)
            record.add(result)
            print(
                f"{result['kind']}: missed {result['missed']}, others {result['others']}",
                flush=True,
            )
        for result in repeated(watched(reader.read(reader.find(runs[False])))):
            record.add(result)
            print(
                f"drawn, {result['planted']}: missed {result['missed']}, others "
                f"{dict(result['alarms'])} of {result['series']}, naive {result['naive']}",
                flush=True,
            )
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
