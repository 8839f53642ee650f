"""Whole scenarios, drawn by Hypothesis: phases of every kind, faults of every kind that overlap,
faults of nodes, and churn. They are documents of ten nodes in three regions, as files have them.

Times are eighths of a second, whose sums are exact: what ends with its phase does so in the file.
"""

from __future__ import annotations

import functools
import operator
import re
import tempfile
import tomllib
from functools import partial
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from harness.errors import BadFileError
from harness.faults import churn
from harness.faults.churn import Sessions
from harness.faults.fault import Condition, State
from harness.faults.partitions import PATTERNS
from harness.faults.spec import FLAP_S_LEAST
from harness.faults.words import CONDITIONS
from harness.history.plan import PhaseKind
from harness.scenario import files, seeds, timeline, writer
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
SHORT, LONG = 24, 160  # of a phase, in eighths of a second
AWAY, CRASHED = (round(8 * least_s) for least_s in (churn.AWAY_S_LEAST, churn.CRASHED_S_LEAST))
DOWN = tuple(word for word in CONDITIONS if Condition(word).is_down)
LATE = "300ms"  # what jitter and reordering need beside them

# Strategies of which the words of a fault are made.
of, one_of, merged = st.fixed_dictionaries, st.sampled_from, partial(st.builds, operator.or_)
some_nodes = st.lists(one_of(NODES), min_size=1, max_size=4, unique=True)
places = st.one_of(some_nodes.map(", ".join), one_of([*map("region:{}".format, REGIONS), "all"]))
pairs = st.permutations(NODES).map(lambda nodes: (nodes[0], ", ".join(nodes[1:3])))
sides = st.one_of(pairs, pairs.map(lambda pair: ("all", pair[0])), st.just(("region:eu", "all")))
paths = st.builds("{0[0]} {1} {0[1]}".format, sides, one_of(["->", "<->"]))
parts = one_of([{}, {}, {"part": "5%"}, {"part": "30%"}])
half_open = of({"half_open": one_of([*HALF_OPEN])})
AMOUNTS = {
    impairment.TIME: st.integers(1, 300).map("{}ms".format),
    impairment.SPREAD: st.integers(1, 300).map("{}ms".format),
    impairment.SHARE: st.integers(1, 1000).map(lambda tenths: f"{tenths / 10:g}%"),
    impairment.RATE: st.integers(64, 100_000).map("{}kbit".format),
}
# Of few bytes no stream is made, and of no time Toxiproxy waits for ever.
toxics = st.one_of(
    st.builds(
        " ".join,
        st.tuples(
            st.just(kind),
            *(st.integers(50, 500).map(f"{name}={{}}".format) for name in names),
            one_of([*map("stream={}".format, STREAMS)]),
        ),
    )
    for kind, names in TOXICS.items()
)
cuts = st.one_of(
    of({"cut": one_of([name for name, pattern in PATTERNS.items() if not pattern.words])}),
    of({"cut": st.just("isolate"), "of": some_nodes}),
    of({"cut": st.just("k-way"), "of": st.integers(2, len(NODES)).map(str)}),
)
of_nodes = merged(
    of({"where": places}),
    st.one_of(
        of({"condition": one_of([word for word in CONDITIONS if word not in DOWN])}),
        of({"condition": one_of(DOWN)}, optional={"state": one_of([*map(str, State)])}),
        of(
            {"fds": st.just(64)},
            optional={"cpu": st.just("20%"), "memory": st.just("500mb")},
        ),
        of({"cpu": st.just("10%")}),
        of({"up": AMOUNTS[impairment.RATE]}),
        of({"down": AMOUNTS[impairment.RATE]}),
    ),
)


@functools.cache
def faults_of(kinds: tuple[str, ...]) -> SearchStrategy[Document]:
    """The words of any fault but its times. `kinds`: what may be wrong with paths."""
    found = [of({name: AMOUNTS[WORDS[name].kind]}) for name in kinds]
    amounts = st.lists(st.one_of(found), min_size=1, max_size=3).map(_together)
    some = merged(of({"where": paths}), st.one_of(amounts, half_open))
    return st.one_of(
        of_nodes,
        of({"where": paths, "toxic": st.lists(toxics, min_size=1, max_size=2)}),
        merged(of({"where": places}), amounts),
        merged(some, parts),
        merged(merged(cuts, one_of([{}, {"one_way": True}])), parts),
        merged(merged(cuts, parts), st.one_of(amounts, half_open)),
    )


def _together(amounts: list[Document]) -> Document:
    words: Document = functools.reduce(operator.or_, amounts)
    return words | ({"delay": LATE} if {"jitter", "reorder"} & words.keys() else {})


shares = st.integers(0, 63)
maybe = st.none() | shares


def _at(share: int, least: int, most: int) -> int:
    """So far from the least to the most."""
    return least + (most - least) * share // 63


@st.composite
def faults(draw: DrawFn, phase: int, kinds: tuple[str, ...]) -> Document:
    """One fault of any kind, at any time of a phase of so many eighths of a second."""
    words = dict(draw(faults_of(kinds)))
    begin = _at(draw(shares), 0, phase - 1)
    words["at_s"] = begin / 8
    lasts, flaps = draw(maybe), draw(maybe)
    if words.get("condition") != Condition.RESTARTED:
        if lasts is not None:
            words["for_s"] = _at(lasts, 1, phase - begin) / 8
        if flaps is not None:
            words["flap_s"] = _at(flaps, round(8 * FLAP_S_LEAST), phase) / 8
    if draw(one_of([False, False, True])):
        words["name"] = "the same"
    return words


@st.composite
def leaving(draw: DrawFn, phase: int) -> Document:
    """Churn that fits into a phase, at a rate that its nodes can have."""
    how, whom = draw(one_of(churn.WAYS)), draw(st.just(NODES) | some_nodes)
    down = _at(draw(shares), CRASHED if how is Condition.CRASHED else AWAY, phase)
    floor = _at(draw(shares), 0, len(whom) - 1)
    most = min(len(whom) - floor, 0.99 * len(whom)) / (down / 8)
    weibull = {"sessions": str(Sessions.WEIBULL), "shape": 0.5}
    return {
        "where": ", ".join(whom),
        "rate_per_s": _at(draw(shares), 5, 90) / 100 * most,
        "down_s": down / 8,
        "floor": floor,
        "how": str(how),
        "state": str(draw(one_of(State))),
        "at_s": _at(draw(shares), 0, phase - down) / 8,
        **draw(one_of([{}, weibull])),
    }


streams = of(
    {
        "operation": one_of(OPERATIONS),
        "rate_per_s": st.integers(5, 20),
        "timeout_ms": st.just(3000),
    }
)


@st.composite
def phases(draw: DrawFn, number: int, longest: int, kinds: tuple[str, ...]) -> Document:
    """One phase with load: it ends by a condition, or has faults, or neither."""
    phase, kind = _at(draw(shares), SHORT, longest), draw(st.none() | one_of(PhaseKind))
    sent = draw(st.lists(streams, min_size=1, max_size=3))
    words: Document = {"name": f"phase-{number}", "kind": kind and str(kind), "stream": sent}
    if kind is PhaseKind.CONVERGE and draw(st.booleans()):
        until = f"success of {sent[0]['operation']} in the last second >= {draw(shares) + 1} %"
        return words | {"until": until, "at_most_s": phase / 8}
    return words | {
        "duration_s": phase / 8,
        "fault": draw(st.lists(faults(phase, kinds), max_size=5)),
        "churn": draw(st.lists(leaving(phase), max_size=2)),
    }


@st.composite
def _any(
    draw: DrawFn, *, most: int = 4, longest: int = LONG, kinds: tuple[str, ...] = tuple(WORDS)
) -> Document:
    return {
        "topology": "ten.toml",
        "seed": draw(st.integers(0, seeds.LARGEST)),
        "phase": [
            draw(phases(number, longest, kinds))
            for number in range(1, draw(st.integers(1, most)) + 1)
        ],
    }


def scenarios(**bounds: Any) -> SearchStrategy[Document]:
    """Scenarios of at most so many phases (`most`), each of at most so many eighths of a second
    (`longest`), whose paths have so many `kinds` of faults. Churn in which by the seed nobody would
    leave is refused, and so left out.
    """
    return _any(**bounds).map(_without_idle_churn)


def _without_idle_churn(document: Document) -> Document:
    if not any(phase.get("churn") for phase in document["phase"]):
        return document
    with tempfile.TemporaryDirectory() as folder:
        while True:
            try:
                timeline.compile(read(Path(folder), document))
                return document
            except BadFileError as error:
                idle = re.match(r"phase phase-(\d+): churn (\d+): .*nobody would leave", str(error))
                if idle is None:
                    raise
                phase, number = (int(each) - 1 for each in idle.groups())
                del document["phase"][phase]["churn"][number]


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
    """Draw the document of a number, the largest of twenty: with one version of Hypothesis it is
    always the same.
    """
    found: list[Document] = []

    @seed(number)
    @settings(
        max_examples=20, database=None, phases=[Phase.generate], suppress_health_check=HealthCheck
    )
    @given(strategy)
    def keep(document: Document) -> None:
        found.append(document)

    keep()
    return max(found, key=lambda document: len(str(document)))
