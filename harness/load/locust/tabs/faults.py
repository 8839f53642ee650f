"""The "Faults" tab: what is in force, its proof, and a form that is made from FaultSpec's words."""

from __future__ import annotations

from typing import Any

from harness.errors import BadFileError
from harness.faults.partitions import PATTERNS
from harness.faults.spec import CONDITIONS, STATES, WORDS, parse
from harness.load.locust.tabs import blocks, quantities
from harness.load.locust.tabs.blocks import Block
from harness.load.locust.tabs.desk import Desk
from harness.topology.impairment import HALF_OPEN

SECONDS = ("for_s", "flap_s")
FLAGS = ("one_way",)
MANY = ("of", "toxic")  # several, parted by ;
BY_HAND = tuple(name for name in WORDS if name != "at_s")  # a fault by hand is set now
CHOICES = {
    "cut": tuple(PATTERNS),
    "condition": CONDITIONS,
    "state": STATES,
    "half_open": tuple(HALF_OPEN),
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
    serves = [blocks.row(what, who) for what, who in sorted(look["backends"].items())]
    return [
        *found,
        blocks.text("What this host can do, and by what:"),
        blocks.table(("Impairment", "Served by"), serves),
    ]


def _row(fault: dict[str, Any]) -> dict[str, Any]:
    proof, level = fault["proof"]
    return blocks.row(
        fault["name"],
        fault["does"],
        fault["in_force"],
        left(fault),
        blocks.marked(proof, level),
        f"{fault['paths']:,} paths" if fault["paths"] else ", ".join(fault["nodes"][:5]),
        actions=[blocks.action("heal", "heal", name=fault["name"])],
    )


def left(fault: dict[str, Any]) -> str:
    """How long a fault stays."""
    if "left_s" not in fault:
        return "time left not told"
    known = fault["left_s"]
    return "until it is healed" if known is None else f"{quantities.seconds(known)} left"


def form() -> Block:
    """The form that sets a fault: a field for each word that is said by hand."""
    return {
        "kind": "form",
        "title": "Set a fault",
        "submit": "Set",
        "route": "fault",
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
