"""The ruleset is our table as the kernel lists it, compared with what was compiled. Pure.

What never changes (declarations, hooks, the rules of our own chains) is compared with the table as
it was listed when it was made; chains of classes and of cuts with what their class or cut asks.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from harness.network.injectors.compiler import Compiled
from harness.topology.impairment import Impairment

Listed = list[dict[str, Any]]  # as libnftables-json(5) has it
HELD, DIVERT = 0x40000000, 0x20000000  # bits of the mark; its low 16 bits are the class
MILLION = 1_000_000
_VOLATILE = frozenset({"handle", "elem", "packets", "bytes"})


class Ruleset:
    """What stands in one table: chains with their hooks, rules in order, sets, maps, counters."""

    def __init__(self, listed: Listed) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.rules: dict[str, list[Any]] = {}
        for kind, value in (pair for entry in listed for pair in entry.items()):
            if kind == "rule":
                self.rules.setdefault(value["chain"], []).append(value["expr"])
            elif kind != "metainfo":
                self.objects[kind, value["name"]] = {
                    key: one for key, one in value.items() if key not in _VOLATILE
                }

    def difference(
        self, made: Ruleset, wanted: Compiled, sides: Collection[int], *, holds: bool
    ) -> str | None:
        """Say what is not as it was `made` and compiled; None where all is.

        `sides`: the numbers of the chains that cut. `holds`: delays are made by holding packets.
        """
        objects = dict(made.objects)
        rules = dict(made.rules)
        for number, what in wanted.classes.items():
            objects |= {key: {} for key in _of_class(number)}
            rules[f"c{number}"] = [expression for _, expression in class_rules(number, what, holds)]
        for number in sides:
            objects |= {("chain", f"s{number}"): {}, ("set", f"far{number}"): {}}
            rules[f"s{number}"] = [_cut(number)]
        return (
            _first_difference(objects, self.objects, made.objects)
            or _first_rule(rules, self.rules)
            or None
        )


def class_rules(number: int, what: Impairment, holds: bool) -> list[tuple[str, list[Any]]]:
    """Return the rules of a class, in order: each in nft's words, and as the kernel lists it.

    `holds`: delays are made by holding packets, which wants a mark, and not by netem.
    """
    rules: list[tuple[str, list[Any]]] = [
        (f"counter name in{number}", [{"counter": f"in{number}"}])
    ]
    lost = max(round(what.loss * MILLION), 1 if what.loss else 0)
    dropped: list[Any] = [{"counter": f"lost{number}"}, {"drop": None}]
    if lost >= MILLION:
        rules.append((f"counter name lost{number} drop", dropped))
    elif lost:
        drawn = {"numgen": {"mode": "random", "mod": MILLION, "offset": 0}}
        rules.append(
            (
                f"numgen random mod {MILLION} < {lost} counter name lost{number} drop",
                [{"match": {"op": "<", "left": drawn, "right": lost}}, *dropped],
            )
        )
    if what.rate_bps or not holds:
        rules.append(_set("priority", f"1:{number:x}"))
    if holds and what.delay_ms:
        rules.append(_set("mark", HELD | number))
    return rules


def _set(key: str, value: str | int) -> tuple[str, list[Any]]:
    changed = {"key": {"meta": {"key": key}}, "value": value}
    return f"meta {key} set {value}", [{"mangle": changed}]


def _of_class(number: int) -> Iterable[tuple[str, str]]:
    return ("chain", f"c{number}"), ("counter", f"in{number}"), ("counter", f"lost{number}")


def _cut(number: int) -> list[Any]:
    target = {"payload": {"protocol": "ip", "field": "daddr"}}
    return [
        {"match": {"op": "==", "left": target, "right": f"@far{number}"}},
        {"counter": "cut"},
        {"drop": None},
    ]


def _first_difference(
    asked: Mapping[tuple[str, str], dict[str, Any]],
    found: Mapping[tuple[str, str], dict[str, Any]],
    made: Mapping[tuple[str, str], dict[str, Any]],
) -> str | None:
    for key in asked:
        if key not in found:
            return f"{' '.join(key)} is gone"
        if key in made and found[key] != made[key]:
            return f"{' '.join(key)} is not as it was made: {found[key]}"
        if key not in made and key[0] == "chain" and "hook" in found[key]:
            return f"{' '.join(key)} has a hook"
    strangers = [" ".join(key) for key in found if key not in asked]
    return f"a stranger's {strangers[0]} stands in our table" if strangers else None


def _first_rule(asked: Mapping[str, list[Any]], found: Mapping[str, list[Any]]) -> str | None:
    for chain in dict.fromkeys((*asked, *found)):
        wants, has = asked.get(chain, []), found.get(chain, [])
        if wants != has:
            return f"chain {chain}: asked {len(wants)} rules, the kernel has {len(has)}, not these"
    return None


def verdicts_of(named: Mapping[str, Any], name: str, verb: str) -> dict[Any, str]:
    """Return each key of a map with the chain that its verdict names.

    Raises ValueError for a verdict that is not `verb` (jump, goto).
    """
    found = {}
    for element in named[name].get("elem", []):
        key, verdict = element
        if not isinstance(verdict, dict) or list(verdict) != [verb]:
            raise ValueError(f"map {name}: an element says {verdict}, expected {verb}")
        found[key_of(key)] = verdict[verb]["target"]
    return found


def key_of(element: Any) -> Any:
    """Return an element's key: an address, or a tuple of addresses, prefixes and ports."""
    if isinstance(element, dict) and "concat" in element:
        return tuple(map(key_of, element["concat"]))
    if isinstance(element, dict) and "prefix" in element:
        return f"{element['prefix']['addr']}/{element['prefix']['len']}"
    if isinstance(element, dict) and "elem" in element:
        return key_of(element["elem"]["val"])
    return element
