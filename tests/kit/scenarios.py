"""Whole scenarios, drawn by Hypothesis: phases of every kind, faults of every kind that overlap,
faults of nodes, and churn. They are documents of ten nodes in three regions, as files have them.

Times are eighths of a second, whose sums are exact: what ends with its phase does so in the file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.faults import churn, limits, partitions
from harness.faults.churn import Sessions
from harness.faults.fault import Condition, State
from harness.faults.spec import CONDITIONS, FLAP_S_LEAST
from harness.history.plan import PhaseKind
from harness.scenario import files, writer
from harness.scenario.scenario import Scenario
from harness.topology import impairment
from harness.topology.impairment import HALF_OPEN, STREAMS, TOXICS, WORDS

Document = dict[str, Any]
NODES = tuple(f"node-{number}" for number in range(10))
REGIONS = ("eu", "us", "asia")
TOPOLOGY: Document = {
    "name": "ten",
    "nodes": {"count": len(NODES), "regions": [*REGIONS]},
    "shape": {"kind": "full-mesh"},
}
OPERATIONS = ("private_message", "broadcast", "dht_put", "dht_get", "dht_lookup", "connect")
SHORT_S = 3.0  # of a phase

some_nodes = st.lists(st.sampled_from(NODES), min_size=1, max_size=4, unique=True)
anywhere = st.one_of(
    some_nodes.map(", ".join), st.sampled_from(REGIONS).map("region:{}".format), st.just("all")
)
AMOUNTS = {
    impairment.TIME: st.integers(1, 300).map("{}ms".format),
    impairment.SPREAD: st.integers(1, 50).map("{}ms".format),
    impairment.SHARE: st.integers(1, 1000).map(lambda tenths: f"{tenths / 10:g}%"),
    impairment.RATE: st.integers(64, 100_000).map("{}kbit".format),
}


def seconds(least_s: float, most_s: float) -> SearchStrategy[float]:
    """So many seconds, in eighths."""
    return st.integers(round(least_s * 8), int(most_s * 8)).map(lambda eighths: eighths / 8)


@st.composite
def paths(draw: DrawFn) -> str:
    """Paths between nodes that differ."""
    first, *others = draw(st.lists(st.sampled_from(NODES), min_size=2, max_size=4, unique=True))
    sides = draw(st.sampled_from([(first, ", ".join(others)), ("all", first), REGION_PATH]))
    return draw(st.sampled_from(["->", "<->"])).join(f" {side} " for side in sides).strip()


REGION_PATH = ("region:eu", "region:us")


@st.composite
def impaired(draw: DrawFn, kinds: Collection[str]) -> Document:
    """What is wrong with paths: one impairment, or several."""
    names = draw(st.lists(st.sampled_from([*kinds]), min_size=1, max_size=3, unique=True))
    words = {name: draw(AMOUNTS[WORDS[name].kind]) for name in names}
    if {"jitter", "reorder"} & words.keys():
        words["delay"] = draw(st.integers(50, 300).map("{}ms".format))
    return words


@st.composite
def toxic(draw: DrawFn) -> str:
    """One toxic. Of few bytes no stream is made, and of no time Toxiproxy waits for ever."""
    kind = draw(st.sampled_from([*TOXICS]))
    numbers = [f"{name}={draw(st.integers(50, 500))}" for name in TOXICS[kind]]
    return " ".join([kind, *numbers, f"stream={draw(st.sampled_from(STREAMS))}"])


def _part(draw: DrawFn) -> Document:
    return {"part": draw(st.sampled_from(["5%", "30%", "100%"]))} if draw(st.booleans()) else {}


def _of_paths(draw: DrawFn, kinds: Collection[str]) -> Document:
    return {"where": draw(paths()), **draw(impaired(kinds)), **_part(draw)}


def _of_places(draw: DrawFn, kinds: Collection[str]) -> Document:
    return {"where": draw(anywhere), **draw(impaired(kinds))}


def _of_links(draw: DrawFn, _: Collection[str]) -> Document:
    rates = AMOUNTS[impairment.RATE]
    ways = draw(st.sampled_from([("up",), ("down",), ("up", "down")]))
    return {"where": draw(anywhere), **{way: draw(rates) for way in ways}}


def _half_open(draw: DrawFn, _: Collection[str]) -> Document:
    return {"where": draw(paths()), "half_open": draw(st.sampled_from([*HALF_OPEN]))}


def _toxic(draw: DrawFn, _: Collection[str]) -> Document:
    return {"where": draw(paths()), "toxic": draw(st.lists(toxic(), min_size=1, max_size=2))}


def _cut(draw: DrawFn, kinds: Collection[str]) -> Document:
    pattern = draw(st.sampled_from([*partitions.PATTERNS]))
    of = {"isolate": some_nodes, "k-way": st.integers(2, len(NODES)).map(lambda ways: [str(ways)])}
    words: Document = {"cut": pattern, **({"of": draw(of[pattern])} if pattern in of else {})}
    if draw(st.booleans()):
        words["one_way"] = True
    half_open = st.sampled_from([*HALF_OPEN]).map(lambda which: {"half_open": which})
    return words | draw(st.one_of(st.just({}), half_open, impaired(kinds))) | _part(draw)


def _condition(draw: DrawFn, _: Collection[str]) -> Document:
    words = {"where": draw(anywhere), "condition": draw(st.sampled_from(CONDITIONS))}
    if Condition(words["condition"]).is_down and draw(st.booleans()):
        words["state"] = draw(st.sampled_from([*map(str, State)]))
    return words


def _limits(draw: DrawFn, _: Collection[str]) -> Document:
    names = draw(st.lists(st.sampled_from([*limits.WORDS]), min_size=1, max_size=3, unique=True))
    return {"where": draw(anywhere), **{name: limits.WORDS[name].example for name in names}}


KINDS = (_of_paths, _of_places, _of_links, _half_open, _toxic, _cut, _condition, _limits)


@st.composite
def faults(draw: DrawFn, phase_s: float, kinds: Collection[str]) -> Document:
    """One fault of any kind, at any time of a phase."""
    words = draw(st.sampled_from(KINDS))(draw, kinds)
    words["at_s"] = draw(seconds(0, phase_s - 1 / 8))
    if words.get("condition") != Condition.RESTARTED:
        words["for_s"] = draw(st.none() | seconds(1 / 8, phase_s - words["at_s"]))
        words["flap_s"] = draw(st.none() | seconds(FLAP_S_LEAST, phase_s))
    words["name"] = draw(st.sampled_from([None, None, "the same"]))
    return {name: value for name, value in words.items() if value is not None}


@st.composite
def leaving(draw: DrawFn, phase_s: float) -> Document:
    """Churn that fits into a phase, at a rate that its nodes can have."""
    how = draw(st.sampled_from(churn.WAYS))
    least_s = churn.CRASHED_S_LEAST if how is Condition.CRASHED else churn.AWAY_S_LEAST
    down_s = draw(seconds(least_s, phase_s))
    whom = draw(st.just([*NODES]) | some_nodes)
    floor = draw(st.integers(0, len(whom) - 1))
    most = min(len(whom) - floor, 0.99 * len(whom)) / down_s
    words: Document = {
        "where": ", ".join(whom),
        "rate_per_s": draw(st.integers(1, 9)) / 10 * most,
        "down_s": down_s,
        "floor": floor,
        "how": str(how),
        "state": str(draw(st.sampled_from(State))),
        "at_s": draw(seconds(0, phase_s - down_s)),
    }
    if draw(st.booleans()):
        words |= {"sessions": str(Sessions.WEIBULL), "shape": draw(st.sampled_from([0.4, 1.0, 2]))}
    return words


@st.composite
def phases(draw: DrawFn, number: int, longest_s: float, kinds: Collection[str]) -> Document:
    """One phase with load: it ends by a condition, or has faults, or neither."""
    phase_s = draw(seconds(SHORT_S, longest_s))
    kind = draw(st.none() | st.sampled_from(PhaseKind))
    rate = st.integers(5, 20)
    sent = draw(st.lists(st.sampled_from(OPERATIONS), min_size=1, max_size=3, unique=True))
    streams = [{"operation": word, "rate_per_s": draw(rate), "timeout_ms": 3000} for word in sent]
    words: Document = {"name": f"phase-{number}", "kind": kind and str(kind), "stream": streams}
    if kind is PhaseKind.CONVERGE and draw(st.booleans()):
        until = f"success of {sent[0]} in the last second >= {draw(st.integers(1, 100))} %"
        return words | {"until": until, "at_most_s": phase_s}
    return words | {
        "duration_s": phase_s,
        "fault": draw(st.lists(faults(phase_s, kinds), max_size=5)),
        "churn": draw(st.lists(leaving(phase_s), max_size=2)),
    }


@st.composite
def scenarios(
    draw: DrawFn, *, most: int = 4, longest_s: float = 20.0, kinds: Collection[str] = tuple(WORDS)
) -> Document:
    """A scenario of at most so many phases. `kinds`: what paths may have."""
    numbers = range(1, draw(st.integers(1, most)) + 1)
    return {
        "topology": "ten.toml",
        "seed": draw(st.integers(0, 1 << 31)),
        "phase": [draw(phases(number, longest_s, kinds)) for number in numbers],
    }


def written(folder: Path, document: Document) -> Path:
    """Write a scenario and its topology; the file that `harness run` plays."""
    (folder / document["topology"]).write_text(writer.text_of(TOPOLOGY))
    file = folder / "generated.toml"
    file.write_text(writer.text_of(document))
    assert tomllib.loads(file.read_text())["seed"] == document["seed"]
    return file


def read(folder: Path, document: Document) -> Scenario:
    """The scenario that a document is, read as any file is."""
    return files.read_scenario(written(folder, document))


def numbered(number: int, strategy: SearchStrategy[Document]) -> Document:
    """Draw the document of a number: with one version of Hypothesis always the same."""
    found: list[Document] = []

    @seed(number)
    @settings(
        max_examples=20, database=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(strategy)
    def keep(document: Document) -> None:
        found.append(document)

    keep()
    return found[-1]
