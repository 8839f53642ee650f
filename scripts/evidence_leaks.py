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
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from evidence_clean import HARNESS
from evidence_record import Record
from scipy.signal import lfilter
from sections import items

from harness.checks import leaks, slope
from harness.checks.leaks import Watched
from harness.checks.slope import Life
from harness.checks.watched import watched
from harness.history import reader

NODES, MINUTES = 10, 20
START_S = 600  # at most, and as long for what comes after
COVER = "saw-tooth-memory"
PLANTED = {
    1: ("leaks-a-descriptor-a-minute", "fds"),
    3: ("leaks-memory-in-saw-tooth", "memory"),
    5: ("leaks-a-connection-a-reconnect", "connections"),
}
# What a planted leak brings along: a connection is a descriptor, and is in the mean.
FOLLOWS = {
    ("node-5", "fds"),
    *((leaks.TOGETHER, resource) for resource in ("fds", "memory", "connections")),
}
# Of the drawn: resource → what is planted in an hour, in steps of so much.
DRAWN = {"fds": (60, 1), "memory": (2e6, 4096), "connections": (60, 1)}
DRAWN_SECONDS = 2 * 3600
SOAKS_CLEAN, SOAKS_PLANTED = 100, 20
PIECE_S = 180  # of residuals, drawn whole: what repeats within repeats in what is drawn
CONSTRUCTED, CONSTRUCTED_S = 1000, 1800
KINDS = (
    "each repeats of the one before 0.0",
    "each repeats of the one before 0.9",
    "each repeats of the one before 0.99",
    "each repeats of the one before 0.998",
    "steps, up or down",
    "random walk",
)
# What a node of 19 MB takes, MB: as a cache that is full after twenty minutes, or that fills ever
# more slowly; or that much in each hour, without an end.
FILLING_MINUTES, FILLING = (14, 30, 60, 120), 100
FILLS = {
    "1.5, evenly for 20 minutes, then no more": lambda at: 1.5 * np.minimum(at / 1200, 1),
    "2, half of what is left each 5 minutes": lambda at: 2 * (1 - 0.5 ** (at / 300)),
    "2, half of what is left each 20 minutes": lambda at: 2 * (1 - 0.5 ** (at / 1200)),
    "0.5 with each doubling of the minutes": lambda at: 0.5 * np.log2(1 + at / 60),
    "a leak of 2 each hour": lambda at: 2 * at / 3600,
    "a leak of 20 each hour": lambda at: 20 * at / 3600,
    "2, half of what is left each 5 minutes; a leak of 4 each hour": lambda at: (
        2 * (1 - 0.5 ** (at / 300)) + 4 * at / 3600
    ),
}
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


def write_topology(folder: Path, planted: bool) -> None:
    """Write ten nodes whose memory rises and falls, of which three leak or none."""
    topology = '[shape]\nkind = "full-mesh"\n'
    for node in range(NODES):
        bug = PLANTED[node][0] if planted and node in PLANTED else COVER
        topology += f'[[node]]\nname = "node-{node}"\noptions = {{ planted_bug = "{bug}" }}\n'
    (folder / "topology.toml").write_text(topology)


def written(folder: Path, minutes: int, planted: bool) -> Path:
    """A scenario of steady load on ten nodes; its keys are few, for new ones would be kept."""
    write_topology(folder, planted)
    text = SCENARIO.format(seconds=minutes * 60)
    for operation, rate, keys in STREAMS:
        text += f'[[phase.stream]]\noperation = "{operation}"\nrate_per_s = {rate}\n'
        text += f"keys = {keys}\n" if keys else ""
    file = folder / ("planted.toml" if planted else "clean.toml")
    file.write_text(text)
    return file


def play(folder: Path, arguments: Sequence[str], minutes: int) -> Path:
    """Have the harness play something in a state folder of its own; return the run's folder."""
    state = folder / "s"
    state.mkdir()
    subprocess.run(
        [str(HARNESS), *arguments, "--runtime", "netns", "--runs", str(folder / "runs")],
        env={**os.environ, "HARNESS_STATE": str(state)},
        capture_output=True,
        timeout=minutes * 60 + 2 * START_S,
        check=False,
    )
    return folder / "runs" / "latest"


def played(folder: Path, minutes: int, planted: bool) -> Path:
    """Play it; return the run's folder."""
    return play(folder, ["run", str(written(folder, minutes, planted))], minutes)


def real(run: Path, planted: bool) -> dict[str, Any]:
    """What was found in a run of real nodes."""
    history = reader.read(reader.find(run))
    trends = leaks.found(watched(history))
    wanted = {(f"node-{node}", resource) for node, (_, resource) in PLANTED.items()}
    found = {(one.watched.of, one.watched.resource) for one in trends if one.is_leak}
    planned = wanted if planted else set()
    named = [one.sentence for one in trends if (one.watched.of, one.watched.resource) in wanted]
    others = found - wanted - FOLLOWS if planted else found
    return {
        "kind": "real, planted" if planted else "real, clean",
        "minutes": round(sum(phase.seconds for phase in history.phases) / 60),
        "series": len(trends),
        "missed": sorted(map(" ".join, planned - found)),
        "others": sorted(map(" ".join, others)),
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
    """Draw soaks without a leak, and with each."""
    nodes = [one for one in clean if one.is_node and one.resource != leaks.RESIDENT]
    for resource, count in ((None, SOAKS_CLEAN), *((name, SOAKS_PLANTED) for name in DRAWN)):
        alarms, missed, series = Counter[str](), 0, 0
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
        yield {
            "kind": "drawn",
            "planted": resource or "nothing",
            "soaks": count,
            "series": series,
            "missed": missed,
            "alarms": alarms,
        }


def made(kind: str, count: int, rng: np.random.Generator) -> slope.Floats:
    """A series that does not rise, by how it wanders."""
    if kind == "steps, up or down":
        at = rng.integers(0, count, 6)
        return np.cumsum(np.bincount(at, rng.choice([-1.0, 1.0], 6), count))
    noise = rng.normal(size=count)
    if kind == "random walk":
        return np.cumsum(noise)
    repeats = float(kind.rsplit(maxsplit=1)[-1])
    found, last = np.empty(count), rng.normal() / np.sqrt(1 - repeats**2)
    for at, one in enumerate(noise.tolist()):
        found[at] = last = repeats * last + one
    return found


def constructed() -> Iterator[dict[str, Any]]:
    """Clean series of half an hour that repeat themselves more and more: how often each test says
    that they rise, where it should one time in a hundred.
    """
    from scipy.stats import kendalltau

    at = np.arange(CONSTRUCTED_S, dtype=float)
    for kind in KINDS:
        rng = np.random.default_rng(zlib.crc32(kind.encode()))
        ours = strict = theirs = 0
        for _ in range(CONSTRUCTED):
            values = made(kind, CONSTRUCTED_S, rng)
            found = slope.of([Life(at_s=at, values=values)], confidence=0.99)
            assert found is not None
            ours += found.p < 0.01
            told = Watched(of="n", resource=leaks.MEMORY, lives=(Life(at_s=at, values=values),))
            is_leak = not leaks.fills(told, found) and found.repeats < leaks.WANDERS
            strict += found.p < leaks.FALSE_ALARMS / 40 and is_leak
            some = values[CONSTRUCTED_S // 5 :: 10]
            tau = kendalltau(at[: len(some)], some, alternative="greater")
            theirs += bool(tau.pvalue < 0.01)
        yield {
            "kind": "constructed",
            "planted": kind,
            "series": CONSTRUCTED,
            "ours": ours,
            "strict": strict,
            "theirs": theirs,
        }


def filled() -> Iterator[dict[str, Any]]:
    """Series of memory that fills or leaks, of soaks of several lengths: how many surely rise, and
    how many are said to leak, each told as one among 40.
    """
    for kind, shape in FILLS.items():
        rng = np.random.default_rng(zlib.crc32(kind.encode()))
        counts = []
        for minutes in FILLING_MINUTES:
            at, rises, leak = np.arange(60.0 * minutes), 0, 0
            for _ in range(FILLING):
                noise = lfilter([1.0], [1.0, -0.9], rng.normal(0, 45e3, len(at)))
                life = Life(at_s=at, values=19e6 + 1e6 * shape(at) + noise)
                one = Watched(of="n", resource=leaks.MEMORY, lives=(life,))
                found = leaks.found([one], leaks.FALSE_ALARMS / 40)[0]
                rises, leak = rises + found.rises, leak + found.is_leak
            counts.append([rises, leak])
        yield {"kind": "filled", "planted": kind, "series": FILLING, "counts": counts}


def filling(rows: Mapping[str, dict[str, Any]]) -> list[str]:
    """The table of what fills and what leaks, by how long it was watched."""
    heads = " | ".join(f"{minutes} min" for minutes in FILLING_MINUTES)
    return [
        "",
        f"{FILLING} nodes each, of 19 MB with noise of 0.1 MB that is over after some ten seconds:",
        "how many surely rise, and how many are said to leak. The others are *too early to",
        "tell*: they may still fill. By the slope alone 80, 65 and 44 of the first, third and",
        "fourth row were said to leak after 14 minutes, and 93 and 70 of the latter two after 30.",
        "",
        f"| a node takes, MB | {heads} |",
        f"|---|{'---|' * len(FILLING_MINUTES)}",
        *(
            f"| {kind} | " + " | ".join(f"{rises}, {leak}" for rises, leak in one["counts"]) + " |"
            for kind, one in rows.items()
        ),
    ]


def section(results: list[dict[str, Any]]) -> str:
    """The section: what was drawn, what was real."""
    tables: dict[str, dict[str, dict[str, Any]]] = {"drawn": {}, "constructed": {}, "filled": {}}
    runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if result["kind"] in tables:
            tables[result["kind"]][result["planted"]] = result
        else:
            runs[result["kind"]].append(result)
    lines = [
        "## Leaks (`make evidence-leaks`)",
        "",
        "Ten nodes whose memory rises and falls by 10 MB in 40 s ([what is done](leaks.md)).",
        "*Drawn*: soaks of two hours, put together of pieces of three minutes of what real clean",
        "nodes had, without their own slope; a leak is planted in one node. *Others*: series that",
        "were said to leak and do not. Of the real nodes, 2 MB/h are 0.5 MB in the 16 minutes that",
        "are looked at: two hours show them.",
        "",
        "| drawn soaks with | soaks | series | found | others |",
        "|---|---|---|---|---|",
    ]
    for planted, one in tables["drawn"].items():
        found = "–" if planted == "nothing" else f"{one['soaks'] - one['missed']} of {one['soaks']}"
        per_h = DRAWN.get(planted, (0, 0))[0]
        what = planted if planted == "nothing" else f"{planted} +{per_h:,.0f}/h"
        others = sum(one["alarms"].values())
        lines.append(f"| {what} | {one['soaks']} | {one['series']:,} | {found} | {others} |")
    lines += [
        "",
        f"Clean series of {CONSTRUCTED_S // 60} minutes that repeat themselves: how many are said",
        "to rise, where a test at 1 % may say so of one in a hundred. *scipy*: Mann and Kendall's",
        "test as it has it, of every tenth sample. *Leak*: told as one among 40 series.",
        "",
        "| series | number | rises | rises, scipy | leak |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {kind} | {one['series']:,} | {one['ours']} | {one['theirs']} | {one['strict']} |"
        for kind, one in tables["constructed"].items()
    ]
    lines += filling(tables["filled"])
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
            lines += ["", title, "", *items(planted_runs[-1][key])]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clean", type=Path, help="a clean run that was played already")
    parser.add_argument("--planted", type=Path, help="a planted run that was played already")
    parser.add_argument("--minutes", type=int, default=MINUTES, help="of each real run")
    asked, record = parser.parse_args(), Record("leaks")
    with tempfile.TemporaryDirectory(prefix="hl-", dir="/tmp") as folder:
        runs = {False: asked.clean, True: asked.planted}
        for planted, given in runs.items():
            own = Path(folder) / ("planted" if planted else "clean")
            own.mkdir()
            runs[planted] = given or played(own, asked.minutes, planted)
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
                f"{dict(result['alarms'])} of {result['series']}",
                flush=True,
            )
        for result in (*constructed(), *filled()):
            record.add(result)
            print(result, flush=True)
    record.publish(section(record.results()))


if __name__ == "__main__":
    sys.exit(main())
