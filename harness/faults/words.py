"""The words of a fault, live and in scenarios.

`WORDS` is the one list of them: files are parsed by it, and the command line's options, the page's
form and the documentation are made from it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.choices import one_of
from harness.errors import BadFileError
from harness.faults import limits
from harness.faults.fault import CUT_OF_A_CRASH, Condition, State
from harness.topology import impairment as impairments
from harness.topology import quantities
from harness.topology.impairment import HALF_OPEN


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One word of a fault: what reads its value, an example, and a sentence about it."""

    read: Callable[[object], Any]
    example: str
    sentence: str


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise BadFileError(f"expected text, found {value!r}")
    return value


def _name(value: object) -> str:
    name = _text(value)
    if name.endswith(CUT_OF_A_CRASH):
        raise BadFileError(
            f"expected a name that does not end with {CUT_OF_A_CRASH!r}, as the cut around a "
            f"machine that crashes is called; found {name!r}"
        )
    return name


def texts(value: object) -> tuple[str, ...]:
    """Read one text, or a list of them."""
    many = value if isinstance(value, (list, tuple)) else [value]
    return tuple(_text(one) for one in many)


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadFileError(f"expected true or false, found {value!r}")
    return value


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadFileError(f"expected a number of seconds, found {value!r}")
    if not math.isfinite(value):
        raise BadFileError(f"expected a finite number of seconds, found {value}")
    return float(value)


def _one_of(*choices: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in choices:
            raise BadFileError(one_of(value, choices))
        return str(value)

    return read


def _quantity(read: Callable[[str], Any]) -> Callable[[object], Any]:
    return lambda value: read(str(value))


CONDITIONS = tuple(str(one) for one in Condition if one is not Condition.RUNNING)
STATES = tuple(map(str, State))
WORDS: dict[str, Word] = {
    "where": Word(
        read=_text,
        example="node-1 -> node-2",
        sentence="a node, region:NAME, all, or paths A -> B (one way) and A <-> B",
    ),
    "cut": Word(read=_text, example="halves", sentence="the pattern of a cut, instead of where"),
    "of": Word(read=texts, example="node-9", sentence="what the pattern takes: nodes, a number"),
    "one_way": Word(
        read=_flag, example="true", sentence="of a cut, only what the earlier node of a pair sends"
    ),
    "part": Word(
        read=_quantity(quantities.share),
        example="30%",
        sentence="only on a seeded share of these paths (a gray failure)",
    ),
    "half_open": Word(
        read=_one_of(*HALF_OPEN),
        example="new",
        sentence="new: connections that exist go on, nothing new is made; established: these are "
        "cut, new ones pass",
    ),
    **{
        name: Word(read=_quantity(word.kind.read), example=word.example, sentence=word.sentence)
        for name, word in impairments.WORDS.items()
    },
    "up": Word(
        read=_quantity(quantities.rate_bps), example="10mbit", sentence="rate of what nodes send"
    ),
    "down": Word(
        read=_quantity(quantities.rate_bps), example="10mbit", sentence="rate of what nodes receive"
    ),
    "toxic": Word(
        read=texts,
        example="latency latency=100",
        sentence="a stream fault by Toxiproxy, with its attributes; several in a list",
    ),
    "condition": Word(
        read=_one_of(*CONDITIONS),
        example="stopped",
        sentence="of nodes: paused (SIGSTOP), stopped (SIGTERM), killed (SIGKILL), crashed (cut "
        "off, then killed), or restarted, which is a moment; they run again afterwards",
    ),
    "state": Word(
        read=_one_of(*STATES),
        example="wipe",
        sentence="what nodes that were down start again with: all that they had (keep, the "
        "default), or only what was prepared for them",
    ),
    "command": Word(
        read=_text,
        example="/opt/v2/node {arguments}",
        sentence="what nodes that were down start with from then on ({program} {arguments}: their "
        "own again)",
    ),
    "image": Word(
        read=_text,
        example="node:v2",
        sentence="of containers, the image that they start from from then on",
    ),
    **{
        name: Word(read=word.read, example=word.example, sentence=word.sentence)
        for name, word in limits.WORDS.items()
    },
    "name": Word(read=_name, example="wan", sentence="what it is called, to clear it"),
    "at_s": Word(read=_seconds, example="5", sentence="seconds after its phase began"),
    "for_s": Word(read=_seconds, example="20", sentence="it is taken back after so many seconds"),
    "flap_s": Word(
        read=_seconds, example="2", sentence="meanwhile it comes and goes, so long each time"
    ),
}
OF_PROGRAMS = ("command", "image")
OF_NODES = (*OF_PROGRAMS, *limits.WORDS)
