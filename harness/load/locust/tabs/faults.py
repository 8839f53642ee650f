"""The "Faults" tab: what is in force, its proof, and a form that is made from FaultSpec's words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from harness.errors import BadFileError
from harness.faults import limits
from harness.faults.partitions import PATTERNS
from harness.faults.spec import parse
from harness.faults.words import CONDITIONS, STATES, WORDS
from harness.load.locust.tabs import blocks, quantities
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk
from harness.topology.impairment import HALF_OPEN

NAMED = 6  # nodes that are named; of more, how many
SECONDS = ("for_s", "flap_s")
FLAGS = ("one_way",)
MANY = ("of", "toxic")  # several, parted by ;
BY_HAND = tuple(name for name in WORDS if name != "at_s")  # a fault by hand is set now
CHOICES = {"cut": tuple(PATTERNS), "state": STATES, "half_open": tuple(HALF_OPEN)}
# Kind of a fault → what every fault of it says. What else it may say FaultSpec tells.
KINDS: dict[str, dict[str, str]] = {
    "paths: delay, loss, rate …": {"where": "all", "delay": "80ms"},
    "cut": {"cut": "halves"},
    **{f"nodes {word}": {"where": "all", "condition": word} for word in CONDITIONS},
    "nodes limited": {
        "where": "all",
        **{name: word.example for name, word in limits.WORDS.items()},
    },
}
COLUMNS = ("Fault", "Does", "In force for", "How long", "Proof", "On")


def view(desk: Desk, wanted: str) -> list[Block]:
    """The tab; `wanted`: only faults whose name or words have this."""
    standing = desk.faults()
    rows = [_row(fault) for fault in standing if wanted in f"{fault['name']} {fault['words']}"]
    look = desk.kernel()
    if rows:
        found = [blocks.table(COLUMNS, rows)]
    elif standing:
        no = f"no fault has {wanted!r} in its name or words, of {len(standing):,} in force"
        found = [blocks.text(no, "warn")]
    else:
        found = [blocks.text("no fault is in force", "good")]
    found += [
        blocks.text(f"{name}: the kernel does not have what was asked: {why}", "bad")
        for name, why in look["disagree"].items()
    ]
    return [*found, blocks.text(_served(look["backends"]), "soft")]


def _served(backends: Mapping[str, str]) -> str:
    """Say what this host can do to the network, by what, and what it cannot."""
    by: dict[str, list[str]] = {}
    for what, who in sorted(backends.items()):
        by.setdefault(who, []).append(what)
    cannot = by.pop("none", [])
    said = "; ".join(f"{', '.join(what)} by {who}" for who, what in sorted(by.items()))
    return f"Here are set: {said}" + (f". Not here: {', '.join(cannot)}" if cannot else "")


def _row(fault: dict[str, Any]) -> dict[str, Any]:
    proof, level = fault["proof"]
    return blocks.row(
        fault["name"],
        fault["does"],
        fault["in_force"],
        left(fault),
        blocks.marked(proof, level),
        quantities.count(fault["paths"], "path") if fault["paths"] else names(fault["nodes"]),
        actions=[blocks.action("heal", "heal", name=fault["name"])],
    )


def left(fault: dict[str, Any]) -> str:
    """How long a fault stays."""
    if "left_s" not in fault:
        return "time left not told"
    known = fault["left_s"]
    return "until it is healed" if known is None else f"{quantities.seconds(known)} left"


def names(every: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(every) - NAMED
    return ", ".join(every[:NAMED]) + (f" and {more:,} more" if more > 0 else "")


def limited(standing: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Find, of the faults in force, which nodes are held to which limits."""
    found: dict[str, list[str]] = {}
    for fault in standing:
        said = [part.strip() for part in fault["does"].split(",")]
        held = [part for part in said if part.partition(" ")[0] in limits.WORDS]
        for node in fault["nodes"] if held else ():
            found.setdefault(node, []).extend(held)
    return {node: ", ".join(held) for node, held in found.items()}


def form() -> Block:
    """The form that sets a fault: a field for each word that is said by hand, and which of them
    each kind of fault takes.
    """
    return {
        "kind": "form",
        "title": "Set a fault",
        "submit": "Set",
        "route": "fault",
        "kinds": [
            {
                "title": title,
                "says": (says := _condition(given)),
                "note": " ".join(WORDS[name].sentence for name in says),
                "fields": _taken(given),
            }
            for title, given in _kinds().items()
        ],
        "fields": [
            {
                "name": name,
                "sentence": WORDS[name].sentence
                + ("; several parted by ;" if name in MANY else ""),
                "example": WORDS[name].example,
                "choices": CHOICES.get(name, ("true",) if name in FLAGS else ()),
            }
            for name in BY_HAND
        ],
    }


def _kinds() -> dict[str, dict[str, str]]:
    """The kinds of faults; a word that none of KINDS takes is one of its own."""
    known = {name for given in KINDS.values() for name in (*given, *_taken(given))}
    alone = (name for name in BY_HAND if name not in known)
    return KINDS | {name: {"where": "all", name: WORDS[name].example} for name in alone}


def _condition(given: Mapping[str, str]) -> dict[str, str]:
    """What a kind of fault says by itself."""
    return {name: said for name, said in given.items() if name == "condition"}


def _taken(given: Mapping[str, str]) -> list[str]:
    """The words that a kind of fault takes: those that FaultSpec does not refuse beside it, or
    beside a delay of it, which some need.
    """
    return [
        name
        for name in BY_HAND
        if name != "condition" and (name in given or _is_taken(given, name))
    ]


def _is_taken(given: Mapping[str, str], name: str) -> bool:
    for beside in ({}, {"delay": WORDS["delay"].example}):
        with suppress(BadFileError):
            words({**given, **beside, name: WORDS[name].example})
            return True
    return False


def words(given: dict[str, Any]) -> dict[str, Any]:
    """The words of a form that was filled in. Raises BadFileError with our sentence."""
    found: dict[str, Any] = {}
    for name, value in given.items():
        said = str(value).strip()
        if not said:
            continue
        found[name] = said
        if name in FLAGS:
            found[name] = said == "true"
        elif name in MANY:
            found[name] = [part.strip() for part in said.split(";") if part.strip()]
        elif name in SECONDS:
            try:
                found[name] = float(said.removesuffix("s"))
            except ValueError:
                raise BadFileError(
                    f"{name}: expected a number of seconds, found {said!r}"
                ) from None
    parse(found)
    return found
