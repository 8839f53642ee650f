"""What nodes tell of themselves, against what was measured of them: a number that both know must be
the same. Pure.

A node tells its numbers at the end of a phase, and is sampled once a second: they are held against
each other there, and far apart is what cannot be one thing. What a node tells may be of one of its
processes: it is too little only where it has no other, and CPU time never, which others that have
ended used too. Of a node whose record has a gap then, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from harness.checks import record
from harness.checks.verdict import Answer, Finding
from harness.history.gaps import Part
from harness.history.history import History, PhaseWindow

NAME = "nodes: what they tell of themselves"
NEEDS = frozenset({Part.SAMPLES, Part.GAUGES})  # of the node, in that phase
NEAR_NS = 3_000_000_000  # so far from the end of a phase samples tell of it
SAMPLES_LEAST = 2
TIMES = 2.0  # so many times what was measured is another thing
SAID = 3


class Claim(NamedTuple):
    """A number that is measured too: its column of SAMPLES, what is nothing beside it (in the
    column's unit), how much of the column's unit it counts in, and the words for both.
    """

    column: str
    slack: float
    unit: float
    told: str
    measured: str
    may_be_less: bool = False


_RSS = Claim("rss_bytes", 4e6, 1.0, "{:,.0f} bytes of resident memory", "{:,.0f}")
_CPU = Claim("cpu_ns", 1e9, 1e9, "{:,.1f} s of CPU time", "{:,.1f} s", may_be_less=True)
_FDS = Claim("fds", 16, 1.0, "{:,.0f} descriptors", "{:,.0f}")
_THREADS = Claim("threads", 8, 1.0, "{:,.0f} threads", "{:,.0f}")
# By names that mean one thing: those of Prometheus' client libraries, and ours.
CLAIMS = {
    "rss_bytes": _RSS,
    "process_resident_memory_bytes": _RSS,
    "process_cpu_seconds_total": _CPU,
    "process_open_fds": _FDS,
    "process_threads": _THREADS,
}
LINKS = "links"  # of systems whose links are TCP connections: no more than these
LINKS_SLACK = 1  # one that goes as both are counted


def check(history: History) -> list[Finding]:
    """One finding where nodes tell of themselves what is not so; none where they do not."""
    wrong = [
        sentence
        for phase in history.phases
        for node, name in enumerate(history.nodes)
        if record.lacking(history, NEEDS, phase, name) is None
        for sentence in _wrong(history, phase, node)
    ]
    if not wrong:
        return []
    more = f"; and {len(wrong) - SAID} more" if len(wrong) > SAID else ""
    return [
        Finding(
            name=NAME,
            answer=Answer.FAIL,
            promised="0 numbers that are not so",
            measured=f"{len(wrong):,} number{'s' * (len(wrong) > 1)}",
            sentence="; ".join(wrong[:SAID]) + more,
        )
    ]


def _wrong(history: History, phase: PhaseWindow, node: int) -> Iterator[str]:
    """Say each number that a node told at the end of a phase and that is not so."""
    yield from differing(
        history,
        phase,
        node,
        {
            name: value
            for (of, who, name), value in history.gauges.items()
            if of == phase.name and who == node
        },
    )


def differing(
    history: History, phase: PhaseWindow, node: int, told: Mapping[str, float]
) -> Iterator[str]:
    """Say each of these numbers that is not so, of a node at the end of a phase."""
    if not told.keys() & {*CLAIMS, LINKS}:
        return
    columns = _near(history, phase, node)
    if columns is None:
        return
    who, when = history.nodes[node], f"at the end of phase {phase.name}"
    most = columns["connections"].max()
    if history.ports and (links := told.get(LINKS, 0)) > most + LINKS_SLACK:
        yield f"{who} told {links:,.0f} links {when}, and had {most:,.0f} TCP connections"
    for name in CLAIMS.keys() & told.keys():
        claim = CLAIMS[name]
        values, value = columns[claim.column], told[name] * claim.unit
        is_too_much = value > values.max() * TIMES + claim.slack
        is_alone = (columns["processes"] == 1).all() and not claim.may_be_less
        if is_too_much or (is_alone and value * TIMES + claim.slack < values.min()):
            words = claim.told.format(told[name]), claim.measured.format(values[-1] / claim.unit)
            yield f"{who} told {words[0]} {when}, and had {words[1]}"


def _near(
    history: History, phase: PhaseWindow, node: int
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]] | None:
    """The samples of a node around the end of a phase, as columns; None where they are too few, or
    of more than one life.
    """
    at, nodes = (history.samples.column(name).to_numpy() for name in ("at_ns", "node"))
    mine = np.flatnonzero((nodes == node) & (np.abs(at - phase.end_ns) <= NEAR_NS))
    names = ("pid", "processes", "connections", *{claim.column for claim in CLAIMS.values()})
    found = {
        name: history.samples.column(name).to_numpy(zero_copy_only=False)[mine].astype(np.float64)
        for name in names
    }
    is_one_life = len(np.unique(found["pid"])) == 1
    return found if len(mine) >= SAMPLES_LEAST and is_one_life else None
