"""A fault as people ask for it, on the command line, in scenarios and in topologies: the same words everywhere, made into values.

One table of words (`WORDS`); everything is checked before anything changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import cuts, fault, where
from harness.errors import BadFileError
from harness.fault import HALF_OPEN, Fault, Impairment, Toxic
from harness.topology import Node


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """One thing that can be wrong, as it is written: what reads it, and the impairment's field."""

    read: Callable[[str], float | int]
    field: str
    example: str
    sentence: str


WORDS: dict[str, Word] = {
    "delay": Word(read=fault.time_ms, field="delay_ms", example="80ms", sentence="each packet is later by"),
    "jitter": Word(read=fault.time_ms, field="jitter_ms", example="10ms", sentence="its delay differs by, uniformly, up and down"),
    "loss": Word(read=fault.share, field="loss", example="1%", sentence="share of packets that vanish"),
    "duplicate": Word(read=fault.share, field="duplicate", example="1%", sentence="share that comes twice (needs netem)"),
    "reorder": Word(read=fault.share, field="reorder", example="5%", sentence="share that is not delayed, and overtakes"),
    "corrupt": Word(read=fault.share, field="corrupt", example="0.1%", sentence="share with a flipped bit (needs netem)"),
    "rate": Word(read=fault.rate_bps, field="rate_bps", example="10mbit", sentence="at most so much: of a path, or of a node's link, up and down"),
}
KEYS = ("where", "toxic", "cut", "of", "one_way", "half_open", "part", "name", "up", "down", *WORDS)


def asked(values: Mapping[str, Any], nodes: Sequence[Node], seed: int) -> Fault:
    """A fault from its words: ``{"where": "region:eu -> region:us", "delay": "80ms"}`` or ``{"cut": "halves"}``. Raises BadFileError."""
    for key in values:
        if key not in KEYS:
            raise BadFileError(f"fault: {key}: unknown; possible: {', '.join(KEYS)}")
    impairments: dict[str, Any] = {WORDS[key].field: _read(key, values[key]) for key in WORDS if values.get(key) is not None}
    if values.get("toxic") is not None:
        said = values["toxic"]
        impairments["toxics"] = tuple(sorted(map(toxic, [said] if isinstance(said, str) else said)))
    if values.get("half_open") is not None:
        if values["half_open"] not in HALF_OPEN:
            raise BadFileError(f"half_open: expected one of {', '.join(HALF_OPEN)}; found {values['half_open']!r}")
        impairments[HALF_OPEN[values["half_open"]]] = True
    words = _words(values)
    name = str(values.get("name") or words)
    if values.get("cut") is not None:
        if values.get("where") is not None:
            raise BadFileError("fault: expected where or cut, found both")
        return _cut(values, nodes, seed, name, words, impairments)
    if values.get("where") is None:
        raise BadFileError(f"fault: expected where (a node, region:NAME, all, A -> B, A <-> B) or cut (one of {', '.join(cuts.PATTERNS)}), found neither")
    return _impaired(values, nodes, seed, name, words, impairments)


def _cut(values: Mapping[str, Any], nodes: Sequence[Node], seed: int, name: str, words: str, impairments: Mapping[str, Any]) -> Fault:
    pattern, of = str(values["cut"]), [str(word) for word in values.get("of") or ()]
    far = cuts.cut(pattern, [one for word in of for one in (where.nodes_of(word, nodes) if pattern == "isolate" else [word])], nodes, seed)
    if values.get("one_way"):
        far = cuts.one_way(far, [node.name for node in nodes])
    if not impairments and values.get("part") is None:
        return Fault(name=name, far=far, words=words)
    paths = cuts.pairs(far)
    if values.get("part") is not None:
        paths = cuts.gray(paths, fault.share(str(values["part"])), seed)
    # With impairments the pattern only says where: "loss 30 % between the halves" is a gray failure, no cut.
    what = Impairment(**impairments) if impairments else Impairment(blocked=True)
    return Fault(name=name, paths=paths, impairment=what, words=words)


def _impaired(values: Mapping[str, Any], nodes: Sequence[Node], seed: int, name: str, words: str, impairments: dict[str, Any]) -> Fault:
    at = str(values["where"])
    ups = {key: _read("rate", values[key]) for key in ("up", "down") if values.get(key) is not None}
    if not impairments and not ups:
        raise BadFileError(f"fault at {at!r}: expected at least one of {', '.join(WORDS)}, toxic, up, down, half_open; found none")
    rates: dict[str, dict[str, int]] = {"up": {}, "down": {}}
    if where.is_node(at):
        whom = where.nodes_of(at, nodes)
        both = impairments.pop("rate_bps", None)          # of a node: its own link, not each of its paths
        for direction in ("up", "down"):
            rate = ups.get(direction, both)
            if rate is not None:
                rates[direction] = dict.fromkeys(whom, int(rate))
    elif ups:
        raise BadFileError(f"fault at {at!r}: up and down are of nodes; of a path, say rate")
    what = Impairment(**impairments)
    paths = where.paths_of(at, nodes) if not what.is_clear else frozenset()
    if values.get("part") is not None and paths:
        paths = cuts.gray(paths, fault.share(str(values["part"])), seed)
    return Fault(name=name, paths=paths, impairment=what, up=rates["up"], down=rates["down"], words=words)


def impairment(values: Mapping[str, Any]) -> Impairment:
    """Only what is wrong, for baselines that say where in another way. Raises BadFileError."""
    read: dict[str, Any] = {WORDS[key].field: _read(key, value) for key, value in values.items()}
    return Impairment(**read)


def toxic(words: str) -> Toxic:
    """``latency latency=100 jitter=10 stream=upstream toxicity=0.5``: a kind of Toxiproxy's and its attributes. Raises BadFileError."""
    kind, *rest = words.split() or [""]
    stream, toxicity, attributes = "downstream", 1.0, []
    for word in rest:
        key, equals, value = word.partition("=")
        if not equals or not value:
            raise BadFileError(f"toxic {kind}: expected NAME=VALUE, found {word!r}")
        try:
            if key == "stream":
                stream = value
            elif key == "toxicity":
                toxicity = float(value)
            else:
                attributes.append((key, int(value)))
        except ValueError:
            raise BadFileError(f"toxic {kind}: {key}: expected a whole number, found {value!r}") from None
    return Toxic(kind, stream, tuple(sorted(attributes)), toxicity)


def named_nodes(values: Mapping[str, Any], nodes: Sequence[Node]) -> set[str]:
    """The nodes that the words name one by one: a fault there wants them alive."""
    names = {node.name for node in nodes}
    said = [str(values.get("where") or ""), *(str(word) for word in values.get("of") or ())]
    return {part.strip() for text in said for side in text.replace("<->", "->").split("->") for part in side.split(",") if part.strip() in names}


def _read(key: str, value: Any) -> float | int:
    try:
        return WORDS[key].read(str(value))
    except BadFileError as error:
        raise BadFileError(f"{key}: {error}") from None


def _words(values: Mapping[str, Any]) -> str:
    said = [f"cut {values['cut']}", *(values.get("of") or ())] if values.get("cut") is not None else [str(values.get("where") or "")]
    said += [f"{key} {values[key]}" for key in (*WORDS, "up", "down", "part") if values.get(key) is not None]
    toxics = values.get("toxic") or ()
    said += [f"toxic {words}" for words in ([toxics] if isinstance(toxics, str) else toxics)]
    said += ["one-way"] if values.get("one_way") else []
    said += [f"half-open {values['half_open']}"] if values.get("half_open") else []
    return " ".join(str(each) for each in said)
