"""A fault as people ask for it, on the command line, in scenarios and in topologies: the same words
everywhere, made into values.

One table of words (`WORDS`); everything is checked before anything changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import BadFileError
from harness.faults import partitions, targets
from harness.faults.fault import Fault
from harness.topology import quantities
from harness.topology.impairment import HALF_OPEN, WORDS, Impairment, _read, toxic
from harness.topology.topology import Node

KEYS = ("where", "toxic", "cut", "of", "one_way", "half_open", "part", "name", "up", "down", *WORDS)


def asked(values: Mapping[str, Any], nodes: Sequence[Node], seed: int) -> Fault:
    """A fault from its words: ``{"where": "region:eu -> region:us", "delay": "80ms"}`` or ``{"cut":
    "halves"}``. Raises BadFileError.
    """
    for key in values:
        if key not in KEYS:
            raise BadFileError(f"fault: {key}: unknown; possible: {', '.join(KEYS)}")
    impairments: dict[str, Any] = {
        WORDS[key].field: _read(key, values[key]) for key in WORDS if values.get(key) is not None
    }
    if values.get("toxic") is not None:
        said = values["toxic"]
        impairments["toxics"] = tuple(sorted(map(toxic, [said] if isinstance(said, str) else said)))
    if values.get("half_open") is not None:
        if values["half_open"] not in HALF_OPEN:
            raise BadFileError(
                f"half_open: expected one of {', '.join(HALF_OPEN)}; found {values['half_open']!r}"
            )
        impairments[HALF_OPEN[values["half_open"]]] = True
    words = _words(values)
    name = str(values.get("name") or words)
    if values.get("cut") is not None:
        if values.get("where") is not None:
            raise BadFileError("fault: expected where or cut, found both")
        return _cut(values, nodes, seed, name, words, impairments)
    if values.get("where") is None:
        raise BadFileError(
            "fault: expected where (a node, region:NAME, all, A -> B, A <-> B) or cut (one of "
            f"{', '.join(partitions.PATTERNS)}), found neither"
        )
    return _impaired(values, nodes, seed, name, words, impairments)


def _cut(
    values: Mapping[str, Any],
    nodes: Sequence[Node],
    seed: int,
    name: str,
    words: str,
    impairments: Mapping[str, Any],
) -> Fault:
    pattern, of = str(values["cut"]), [str(word) for word in values.get("of") or ()]
    far = partitions.cut(
        pattern,
        [
            one
            for word in of
            for one in (targets.nodes_of(word, nodes) if pattern == "isolate" else [word])
        ],
        nodes,
        seed,
    )
    if values.get("one_way"):
        far = partitions.one_way(far, [node.name for node in nodes])
    if not impairments and values.get("part") is None:
        return Fault(name=name, far=far, words=words)
    paths = partitions.pairs(far)
    if values.get("part") is not None:
        paths = partitions.gray(paths, quantities.share(str(values["part"])), seed)
    # With impairments the pattern only says where: "loss 30 % between the halves" is a gray
    # failure, no cut.
    what = Impairment(**impairments) if impairments else Impairment(blocked=True)
    return Fault(name=name, paths=paths, impairment=what, words=words)


def _impaired(
    values: Mapping[str, Any],
    nodes: Sequence[Node],
    seed: int,
    name: str,
    words: str,
    impairments: dict[str, Any],
) -> Fault:
    at = str(values["where"])
    ups = {key: _read("rate", values[key]) for key in ("up", "down") if values.get(key) is not None}
    if not impairments and not ups:
        raise BadFileError(
            f"fault at {at!r}: expected at least one of {', '.join(WORDS)}, toxic, up, down, "
            "half_open; found none"
        )
    rates: dict[str, dict[str, int]] = {"up": {}, "down": {}}
    if targets.is_node(at):
        whom = targets.nodes_of(at, nodes)
        both = impairments.pop("rate_bps", None)  # of a node: its own link, not each of its paths
        for direction in ("up", "down"):
            rate = ups.get(direction, both)
            if rate is not None:
                rates[direction] = dict.fromkeys(whom, int(rate))
    elif ups:
        raise BadFileError(f"fault at {at!r}: up and down are of nodes; of a path, say rate")
    what = Impairment(**impairments)
    paths = targets.paths_of(at, nodes) if not what.is_clear else frozenset()
    if values.get("part") is not None and paths:
        paths = partitions.gray(paths, quantities.share(str(values["part"])), seed)
    return Fault(
        name=name, paths=paths, impairment=what, up=rates["up"], down=rates["down"], words=words
    )


def named_nodes(values: Mapping[str, Any], nodes: Sequence[Node]) -> set[str]:
    """The nodes that the words name one by one: a fault there wants them alive."""
    names = {node.name for node in nodes}
    said = [str(values.get("where") or ""), *(str(word) for word in values.get("of") or ())]
    return {
        part.strip()
        for text in said
        for side in text.replace("<->", "->").split("->")
        for part in side.split(",")
        if part.strip() in names
    }


def _words(values: Mapping[str, Any]) -> str:
    said = (
        [f"cut {values['cut']}", *(values.get("of") or ())]
        if values.get("cut") is not None
        else [str(values.get("where") or "")]
    )
    said += [
        f"{key} {values[key]}"
        for key in (*WORDS, "up", "down", "part")
        if values.get(key) is not None
    ]
    toxics = values.get("toxic") or ()
    said += [f"toxic {words}" for words in ([toxics] if isinstance(toxics, str) else toxics)]
    said += ["one-way"] if values.get("one_way") else []
    said += [f"half-open {values['half_open']}"] if values.get("half_open") else []
    return " ".join(str(each) for each in said)
